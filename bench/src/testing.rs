//! Rows for the unit tests of the pure parts.

use crate::bound::Bound;
use crate::plan::{Cell, Setting, Subject, Tool};
use crate::row::Row;
use crate::setup::Setup;

/// wrk, five of five backends, ten at a time.
pub(crate) fn setting() -> Setting {
    Setting { tool: Tool::Wrk, configured: 5, alive: 5, concurrency: 10 }
}

/// A good run of a runtime in [`setting`], the proxy its bottleneck.
pub(crate) fn row(round: u32, runtime: &str, requests_per_second: f64) -> Row {
    let cell = Cell { subject: Subject::runtime(runtime), setting: setting(), is_twin: false };
    let mut row = Row::failed(round, cell, "2026-11-25T12:00:00+00:00".to_owned(), String::new());
    row.error = None;
    row.answers.completed = 10_000;
    row.answers.requests_per_second = requests_per_second;
    row.answers.mean_ms = 1e4 / requests_per_second;
    row.answers.latency.p99_us = Some(1e7 / requests_per_second);
    row.proxy_latency.p99_us = Some(1e7 / requests_per_second);
    row.cpu.proxy_us_per_request = Some(1e6 / requests_per_second);
    row.shares = vec![2000; 5];
    row.bound = Bound::Proxy;
    row
}

/// The A/A twin of such a run.
pub(crate) fn twin(round: u32, runtime: &str, requests_per_second: f64) -> Row {
    let mut row = row(round, runtime, requests_per_second);
    row.cell.is_twin = true;
    row
}

/// The set-up of the small recorded run.
pub(crate) fn setup() -> Setup {
    serde_json::from_str(include_str!("../tests/recorded/run/setup.json")).unwrap()
}
