//! The form of the code, as a test: the walls between the parts, sizes, names, and what the docs cite.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/form.rs"]
mod form;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/walls.rs"]
mod walls;

use source::Source;

/// Fails with every finding at once.
fn report(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{} {what}:\n{}\n", findings.len(), findings.join("\n"));
}

fn check(what: &str, rule: impl Fn(&Source) -> Vec<String>) {
    let sources = source::all();
    assert!(sources.len() > 20, "the sources were not found");
    report(what, &sources.iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn imports_run_one_way() {
    check("imports run the wrong way", walls::wrong_imports);
}

#[test]
fn pure_code_knows_no_clock_no_socket_and_no_async() {
    check("places in pure code that are not pure", walls::impurities);
}

#[test]
fn engines_and_unsafe_stay_in_their_rooms() {
    check("things in the wrong room", walls::strays);
}

#[test]
fn files_and_functions_stay_small() {
    check("things too large", form::oversized);
}

#[test]
fn every_file_begins_with_a_sentence() {
    check("files without a first sentence", form::missing_sentence);
}

#[test]
fn names_say_what_things_are() {
    check("names that say nothing", form::empty_words);
}

/// `UPDATE=1` writes the table anew.
#[test]
fn the_documented_metrics_are_those_of_the_catalogue() {
    docs::check_part("docs/metrics.md", "metrics", &ringway::telemetry::catalogue::reference());
}

#[test]
fn nothing_is_cited_that_does_not_exist() {
    report("things that are cited and do not exist", &docs::missing_citations());
}
