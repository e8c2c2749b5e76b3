//! The report of a small recorded run: what it says, in all its forms.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;

use hdrhistogram::Histogram;
use ringway_bench::older::renew;
use ringway_bench::plan::{Kind, Setting, Tool};
use ringway_bench::report::{OwnCurve, Report, render};
use ringway_bench::row::{Percentiles, Row, from_json};
use ringway_bench::setup::Setup;

/// Read as a folder is.
fn recorded() -> (Setup, Vec<Row>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/run");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let setup: Setup = serde_json::from_str(&read("setup.json")).unwrap();
    let mut rows = from_json(&read("raw.json")).unwrap();
    renew(&mut rows, &setup);
    (setup, rows)
}

fn report() -> Report {
    let (setup, rows) = recorded();
    render(&setup, &rows, &[]).unwrap()
}

/// The cells of the first Markdown row that begins so.
fn row(markdown: &str, begin: &[&str]) -> Vec<String> {
    let begin = format!("| {} |", begin.join(" | "));
    let line = markdown.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no {begin}"));
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn the_table_has_the_medians_and_sums_of_the_rows() {
    let (_, rows) = recorded();
    let setting = Setting { tool: Tool::Wrk, configured: 5, alive: 1, concurrency: 10 };
    let of_cell = |row: &&Row| row.cell.subject.name == "ring" && row.cell.setting == setting;
    let rows: Vec<&Row> = rows.iter().filter(of_cell).collect();
    let markdown = report().markdown;
    let wrk = &markdown[markdown.find("### `wrk`").unwrap()..];
    let cells = row(wrk, &["1 of 5 alive", "ring", "10"]);
    let number = |text: &str| text.replace(',', "").parse::<f64>().unwrap();
    let completed: u64 = rows.iter().map(|row| row.answers.completed).sum();
    assert_eq!(number(&cells[3]), completed as f64);
    assert_eq!((cells[4].as_str(), cells[5].as_str()), ("0", "0"));
    let middle = rows.iter().map(|row| row.answers.requests_per_second).sum::<f64>() / rows.len() as f64;
    assert!((number(&cells[6]) - middle).abs() <= 0.5, "{cells:?} {middle}");
    assert_eq!(cells[10], "–", "this proxy told no percentiles");
    assert_eq!(cells[18], "100.0");
}

#[test]
fn a_partial_report_claims_nothing_of_runs_that_were_not_made() {
    let (mut setup, mut rows) = recorded();
    setup.is_complete = false;
    rows.truncate(9);
    let terminal = render(&setup, &rows, &[]).unwrap().terminal;
    assert_eq!(terminal.matches("This report is partial").count(), 2, "{terminal}");
    for claim in ["rate was not reached", "a run failed", ": .", "request failed."] {
        assert!(!terminal.contains(claim), "{claim}: {terminal}");
    }
}

#[test]
fn missing_percentiles_are_told_and_present_ones_are_shown() {
    assert!(report().markdown.contains("This proxy told no percentiles of its own"));
    let (setup, mut rows) = recorded();
    for row in rows.iter_mut().filter(|row| row.cell.subject.kind == Kind::Runtime) {
        row.proxy_latency = Percentiles {
            p50_us: Some(101.0),
            p90_us: Some(202.0),
            p99_us: Some(303.0),
            p99_9_us: Some(4044.0),
            max_us: Some(50_505.0),
        };
    }
    let setting = Setting { tool: Tool::Wrk, configured: 5, alive: 5, concurrency: 10 };
    let mut histogram = Histogram::new(3).unwrap();
    (1..=10_000_u64).for_each(|value| histogram.record(value).unwrap());
    let report = render(&setup, &rows, &[OwnCurve::new("ring", setting, &histogram)]).unwrap();
    assert!(!report.markdown.contains("This proxy told no percentiles of its own"));
    assert!(report.markdown.contains("| 101 | 202 | 303 | 4,044 | 50,505 |"), "{}", report.markdown);
    assert!(report.plots.iter().any(|(file, _)| file == "percentiles-proxy.svg"));
}

#[test]
fn the_page_needs_nothing_else_and_has_every_plot() {
    let report = report();
    let files: Vec<&str> = report.plots.iter().map(|(file, _)| file.as_str()).collect();
    let expected = [
        "requests-ab-k.svg",
        "cpu-ab-k.svg",
        "requests-wrk.svg",
        "cpu-wrk.svg",
        "percentiles-client.svg",
        "shares.svg",
    ];
    assert_eq!(files, expected);
    assert_eq!(report.html.matches("<svg").count(), files.len());
    for foreign in ["<script", "<link", "src=", "href=\"http"] {
        assert!(!report.html.contains(foreign), "{foreign}");
    }
    for file in files {
        assert!(report.markdown.contains(&format!("(plots/{file})")), "{file}");
    }
}

#[test]
fn the_conclusion_stands_in_every_form() {
    let report = report();
    for text in [&report.markdown, &report.terminal] {
        assert!(text.contains("By how much did `threads` differ from `ring`?"));
        assert!(text.contains("By how much did `nginx` differ from `ring`?"));
        assert!(text.contains("This machine was not quiet"), "it was recorded on a busy one");
    }
    assert!(report.html.contains("By how much did <code>nginx</code> differ from <code>ring</code>?"));
    assert!(report.markdown.contains("coordinated omission"));
    assert!(report.markdown.contains("ranks hardly anything"), "it has two rounds");
    for claim in ["whoever is the bottleneck", "the ceiling of this machine", "count like the second"] {
        assert!(!report.markdown.contains(claim), "{claim} is not true");
    }
    assert!(report.markdown.contains("| ring | when due | 50 |"));
}

/// Older rows keep what wrk printed, and the report takes what can be true of it.
#[test]
fn what_wrk_makes_up_is_neither_shown_as_measured_nor_ranked() {
    let (_, rows) = recorded();
    let markdown = report().markdown;
    let wrk = &markdown[markdown.find("### `wrk`").unwrap()..];
    let cells = row(wrk, &["1 of 5 alive", "ring", "10"]);
    let of_cell = |row: &&Row| {
        let setting = Setting { tool: Tool::Wrk, configured: 5, alive: 1, concurrency: 10 };
        row.cell.subject.name == "ring" && row.cell.setting == setting && !row.cell.is_twin
    };
    let means = rows.iter().filter(of_cell).map(|row| 10.0 / row.answers.requests_per_second * 1e3);
    let means: Vec<f64> = means.collect();
    let middle = means.iter().sum::<f64>() / means.len() as f64;
    assert!((cells[9].parse::<f64>().unwrap() - middle).abs() < 0.001, "{cells:?} {middle}");
    assert!(!markdown.contains("`wrk`, the client's p99"));
    assert!(markdown.contains("| wrk, corrected |"));
}

#[test]
fn what_went_wrong_in_the_warm_up_is_told_for_each_proxy() {
    let (setup, mut rows) = recorded();
    let of_nginx =
        |row: &&mut Row| row.cell.subject.name == "nginx" && row.cell.setting.alive == 1 && !row.cell.is_twin;
    let first = rows.iter_mut().find(of_nginx).unwrap();
    first.warmup_failed = 77;
    let markdown = render(&setup, &rows, &[]).unwrap().markdown;
    let cells = row(&markdown, &["nginx", "1 of 5 alive"]);
    assert_eq!(cells[3..], ["77", "0", "0"]);
}

#[test]
fn a_report_that_lacks_a_run_says_so() {
    assert!(!report().markdown.contains("This report is partial"));
    let (mut setup, mut rows) = recorded();
    rows.pop();
    setup.is_complete = false;
    assert!(render(&setup, &rows, &[]).unwrap().markdown.contains("This report is partial"));
}
