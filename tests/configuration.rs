//! The configuration as its users meet it: good files, bad files with every error they get, and the documentation.
//!
//! `UPDATE=1 cargo test --test configuration` writes what is expected anew; read the difference before you keep it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use ringway::cli::DEMO_CONFIGURATION;
use ringway::config::options::{OPTIONS, is_literal, policies_reference, reference};
use ringway::config::{Config, Environment, Problem, RUNTIME_KINDS, Warning};
use ringway::route::{Found, HostRule};
use ringway::runtime::RUNTIMES;

const ENVIRONMENT: Environment = Environment { cores: 4, descriptors: 20_256 };
const MINIMAL: &str = include_str!("configuration/valid/minimal.toml");

fn parse(text: &str, name: &str) -> Result<(Config, Vec<Warning>), Vec<Problem>> {
    Config::parse(text, name, &ENVIRONMENT)
}

fn good(text: &str) -> Config {
    match parse(text, "good.toml") {
        Ok((config, _)) => config,
        Err(problems) => panic!("{}\n{text}", lines(&problems)),
    }
}

fn lines<T: ToString>(messages: &[T]) -> String {
    messages.iter().map(|message| message.to_string() + "\n").collect()
}

/// The TOML files of a folder beside this test, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configuration").join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    files
}

/// Compares with a file, or writes it with `UPDATE=1`. A file that is not there is an empty one.
fn compare(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE").is_some() && !actual.is_empty() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "\n{} differs: UPDATE=1 writes it anew", path.display());
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn good_files_are_taken_with_their_warnings() {
    for path in files("valid") {
        match parse(&fs::read_to_string(&path).unwrap(), name_of(&path)) {
            Ok((_, warnings)) => compare(&path.with_extension("expected"), &lines(&warnings)),
            Err(problems) => panic!("{}", lines(&problems)),
        }
    }
}

#[test]
fn what_is_shown_of_a_good_file_is_the_same_configuration() {
    let texts = files("valid").iter().map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>();
    for text in texts.iter().map(String::as_str).chain([DEMO_CONFIGURATION]) {
        let config = good(text);
        let again = good(&config.to_toml());
        assert_eq!(format!("{config:#?}"), format!("{again:#?}"));
        assert_eq!(config.to_toml(), again.to_toml());
    }
}

#[test]
fn a_route_for_every_listener_is_shown_once_and_without_the_timeouts_that_differ() {
    let config = good(include_str!("configuration/valid/own-before-common.toml"));
    let shown = config.to_toml();
    let routes: Vec<_> =
        shown.split("[[route]]\n").skip(1).map(|rest| rest.split("\n\n").next().unwrap()).collect();
    let route = |listener: &str, path: &str, upstream: &str, body: &str| {
        let place = format!("{listener}path = \"{path}\"\nstrip-prefix = false\nupstream = \"{upstream}\"\n");
        format!("{place}timeouts = {{ {body}connect = \"3s\", first-byte = \"1m\", tunnel = \"1h\" }}")
    };
    let expected = [
        route("listener = \"a\"\n", "/", "own", "body = \"5s\", "),
        route("", "/images/", "common", ""),
        route("", "/videos/", "common", "body = \"2m\", "),
        route("", "/", "common", ""),
    ];
    assert_eq!(routes, expected, "{shown}");
}

#[test]
fn what_is_shown_names_every_option() {
    let everything = fs::read_to_string(&files("valid")[0]).unwrap();
    let shown = good(&everything).to_toml();
    for option in OPTIONS {
        let (_, key) = option.path.rsplit_once('.').unwrap_or(("", option.path));
        assert!(
            shown.contains(&format!("{key} = ")) || shown.contains(&format!("[{key}]")),
            "{}",
            option.path
        );
        assert!(everything.contains(key), "everything.toml leaves out {}", option.path);
    }
}

#[test]
fn bad_files_get_exactly_these_errors() {
    let bad = files("invalid");
    assert!(bad.len() >= 25);
    for path in bad {
        match parse(&fs::read_to_string(&path).unwrap(), name_of(&path)) {
            Ok(_) => panic!("{} passes", path.display()),
            Err(problems) => {
                assert!(problems.is_sorted_by_key(|problem| problem.line), "{}", path.display());
                compare(&path.with_extension("expected"), &lines(&problems));
            }
        }
    }
}

#[test]
fn faults_are_told_apart_whatever_the_editor_makes_of_lines() {
    for text in [
        include_str!("configuration/invalid/missing-quote.toml"),
        include_str!("configuration/invalid/single-brackets.toml"),
        include_str!("configuration/invalid/broken-list.toml"),
    ] {
        let expected = parse(text, "bad.toml").unwrap_err();
        for other in [text.replace('\n', "\r\n"), format!("\u{feff}{text}"), text.trim_end().to_owned()] {
            assert_eq!(parse(&other, "bad.toml").unwrap_err(), expected, "{other:?}");
        }
    }
}

/// A table with defaults, its keys written as the table of options has them.
fn written_out(table: &str) -> String {
    let keys = OPTIONS.iter().filter(|option| is_literal(option.default)).filter_map(|option| {
        let key = option.path.strip_prefix(table)?.strip_prefix('.')?;
        (!key.contains('.')).then(|| format!("{key} = {}\n", option.default))
    });
    keys.collect()
}

#[test]
fn defaults_are_those_of_the_table_of_options() {
    let mut text = String::new();
    for table in ["runtime", "log", "timeouts", "limits"] {
        text += &format!("[{table}]\n{}", written_out(table));
    }
    text += &format!("[[listener]]\naddress = \"127.0.0.1:8080\"\n{}", written_out("listener"));
    text += &format!("[[route]]\nupstream = \"site\"\n{}", written_out("route"));
    let weight = written_out("upstream.backends");
    let backends = format!("backends = [{{ address = \"127.0.0.1:8888\", {} }}]", weight.trim());
    text += &format!("[[upstream]]\nname = \"site\"\n{backends}\n{}", written_out("upstream"));
    assert!(
        text.contains("first-byte") && text.contains("weight = 1") && text.contains("fail-for"),
        "{text}"
    );
    assert_eq!(format!("{:#?}", good(&text)), format!("{:#?}", good(MINIMAL)));
    let plain = include_str!("configuration/valid/plain-admin.toml");
    let written = plain.replace("[admin]\n", &format!("[admin]\n{}", written_out("admin")));
    assert!(written.contains("address = \"127.0.0.1:9901\""), "{written}");
    assert_eq!(format!("{:#?}", good(&written)), format!("{:#?}", good(plain)));
    assert!(good(plain).admin.is_some() && good(MINIMAL).admin.is_none());
}

#[test]
fn defaults_that_depend_on_the_machine() {
    let with = |cores, descriptors| {
        let config = Config::parse(MINIMAL, "minimal.toml", &Environment { cores, descriptors }).unwrap().0;
        (config.runtime.workers, config.limits.connections)
    };
    assert_eq!(with(1, 1024), (1, 384));
    assert_eq!(with(8, 1 << 20), (8, 10_000));
    assert_eq!(with(8, u64::MAX), (8, 10_000));
    assert_eq!(with(0, 0), (1, 1));
    assert_eq!(with(9999, 1024), (1024, 384));
    assert_eq!(good(&format!("limits.head-size = \"4KiB\"\n{MINIMAL}")).limits.target_size, 4096);
}

#[test]
fn the_strongest_timeouts_win() {
    let text = r#"
        timeouts = { head = "11s", body = "12s", connect = "13s", first-byte = "14s", client-idle = "15s", backend-idle = "16s", tunnel = "17s", drain = "18s" }
        [[listener]]
        address = "127.0.0.1:8080"
        timeouts = { head = "21s", body = "22s", connect = "23s", first-byte = "24s", tunnel = "27s" }
        [[route]]
        upstream = "site"
        timeouts = { body = "42s" }
        [[upstream]]
        name = "site"
        backends = ["127.0.0.1:8888"]
        timeouts = { body = "32s", connect = "33s", backend-idle = "36s", tunnel = "37s" }
    "#;
    let config = good(text);
    let listener = &config.listeners[0];
    let seconds = |t: &ringway::config::Timeouts| {
        [t.head, t.body, t.connect, t.first_byte, t.client_idle, t.backend_idle, t.tunnel]
            .map(|d| d.as_secs())
    };
    assert_eq!(seconds(&config.timeouts), [11, 12, 13, 14, 15, 16, 17]);
    assert_eq!(seconds(&listener.timeouts), [21, 22, 23, 24, 15, 16, 27]);
    assert_eq!(seconds(&listener.routes.routes()[0].timeouts), [21, 42, 33, 24, 15, 36, 37]);
    assert_eq!(config.upstreams[0].backend_idle.as_secs(), 36);
    assert_eq!(config.drain_timeout.as_secs(), 18);
}

#[test]
fn each_listener_trusts_whom_it_names() {
    let trust = |listener: usize, address: &str| {
        let everything = good(include_str!("configuration/valid/everything.toml"));
        everything.listeners[listener].trusted.contains(address.parse().unwrap())
    };
    for address in ["10.255.0.1", "192.0.2.7", "172.16.9.9", "fdab::1", "::1", "::ffff:10.0.0.1"] {
        assert!(trust(0, address) && !trust(1, address), "{address}");
    }
    assert!(!trust(0, "127.0.0.1") && !trust(0, "::2") && !trust(0, "172.32.0.1"));
}

/// The configuration is pure and does not look at the runtimes: their names stand in both tables.
#[test]
fn the_runtimes_that_can_be_named_are_those_of_this_build() {
    let names: Vec<_> = ["auto"].into_iter().chain(RUNTIMES.iter().map(|info| info.name)).collect();
    assert_eq!(RUNTIME_KINDS, names);
}

#[test]
fn a_listener_has_its_own_routes_and_those_for_all() {
    let config = good(include_str!("configuration/valid/own-before-common.toml"));
    let upstream =
        |listener: usize, path: &str| match config.listeners[listener].routes.find(b"h", path.as_bytes()) {
            Found::Route(route) => config.upstreams[route.upstream.0].name.clone(),
            other => format!("{other:?}"),
        };
    assert_eq!(upstream(0, "/"), "own");
    assert_eq!(upstream(0, "/images/a"), "own");
    assert_eq!(upstream(1, "/"), "common");
    assert_eq!(upstream(1, "/images/a"), "common");
    let body_s: Vec<_> =
        config.listeners.iter().map(|listener| listener.routes.routes()[0].timeouts.body.as_secs()).collect();
    assert_eq!(body_s, [5, 30]);
}

#[test]
fn the_demo_routes_by_path_and_by_host() {
    let config = good(DEMO_CONFIGURATION);
    assert!(parse(DEMO_CONFIGURATION, "demo.toml").unwrap().1.is_empty());
    let found = |listener: usize, host: &str, path: &str| match config.listeners[listener]
        .routes
        .find(host.as_bytes(), path.as_bytes())
    {
        Found::Route(route) => {
            let backend = config.upstreams[route.upstream.0].backends[0].address.port();
            format!("{backend} {}", if route.strip_prefix { "stripped" } else { "whole" })
        }
        other => format!("{other:?}"),
    };
    assert_eq!(found(0, "localhost", "/"), "8888 whole");
    assert_eq!(found(0, "localhost", "/images/cat.png"), "8889 stripped");
    assert_eq!(found(0, "localhost", "/images"), "AddSlash");
    assert_eq!(found(0, "127.0.0.1", "/pdf/a.pdf"), "8890 stripped");
    assert_eq!(found(0, "docs.localhost", "/a.pdf"), "8890 whole");
    assert_eq!(found(0, "docs.localhost", "/images/"), "8890 whole");
    assert_eq!(found(0, "pictures.localhost", "/pdf/"), "8889 whole");
    assert_eq!(found(1, "localhost", "/images/"), "9000 whole");
    assert_eq!(config.upstreams[3].backends.len(), 5);
    assert_eq!(config.listeners[0].routes.routes()[0].host, HostRule::Exact("docs.localhost".to_owned()));
}

/// A text with what stands between two marks replaced.
fn with_part(text: &str, name: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}{part}{end}{after}")
}

#[test]
fn the_reference_in_the_documentation_is_that_of_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let text = with_part(&text, "options", &reference());
    compare(&path, &with_part(&text, "policies", &policies_reference()));
}

#[test]
fn the_examples_in_the_documentation_are_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(path).unwrap();
    let mut examples = text.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let first = examples.next().unwrap();
    assert!(parse(first, "example.toml").unwrap().1.is_empty());
    for example in examples {
        // The others are excerpts: their values are good, whatever else is missing.
        let problems = parse(example, "excerpt.toml").err().unwrap_or_default();
        let is_wrong = |problem: &Problem| {
            !["missing", "there is no", "no route"].iter().any(|lack| problem.message.contains(lack))
        };
        assert!(!problems.iter().any(is_wrong), "{}\n{example}", lines(&problems));
    }
}

#[test]
fn too_many_backends() {
    let backends = |count: u32| {
        let list: Vec<_> = (0..count).map(|i| format!("\"10.0.{}.{}:80\"", i / 256, i % 256)).collect();
        parse(&MINIMAL.replace("\"127.0.0.1:8888\"", &list.join(", ")), "many.toml")
    };
    assert_eq!(backends(1024).unwrap().0.upstreams[0].backends.len(), 1024);
    assert_eq!(
        lines(&backends(1025).unwrap_err()),
        "many.toml:9: upstream[1].backends: has 1025 backends, and 1024 are allowed\n"
    );
}

/// Lines of good and bad files, to be shuffled into new ones.
fn some_lines() -> Vec<String> {
    let paths = files("valid").into_iter().chain(files("invalid"));
    paths
        .flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic_and_every_refusal_has_a_reason(
        lines in proptest::collection::vec(proptest::sample::select(some_lines()), 0..30),
        junk in "\\PC{0,10}",
        at in any::<proptest::sample::Index>(),
    ) {
        let mut lines = lines;
        lines.insert(at.index(lines.len() + 1), junk);
        let text = lines.join("\n");
        match parse(&text, "any.toml") {
            Ok((config, _)) => { good(&config.to_toml()); }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                let last = text.matches('\n').count() + 1;
                prop_assert!(problems.iter().all(|problem| (1..=last).contains(&problem.line)), "{problems:?}");
            }
        }
    }

    #[test]
    fn a_good_file_cut_anywhere_never_makes_it_panic(at in 0..DEMO_CONFIGURATION.len()) {
        let _ = parse(&DEMO_CONFIGURATION[..DEMO_CONFIGURATION.floor_char_boundary(at)], "cut.toml");
    }
}
