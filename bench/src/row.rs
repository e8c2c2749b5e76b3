//! One run as one row of the raw figures, in CSV and in JSON.

use std::io;

use serde::{Deserialize, Serialize};

use crate::bound::Bound;
use crate::counts::disagreement;
use crate::plan::{Cell, Kind, Setting, Subject, Tool};

/// Times in microseconds. What a tool does not tell is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half were faster.
    pub p50_us: Option<f64>,
    /// Nine in ten were faster.
    pub p90_us: Option<f64>,
    /// 99 in 100 were faster.
    pub p99_us: Option<f64>,
    /// 999 in 1,000 were faster.
    pub p99_9_us: Option<f64>,
    /// The slowest.
    pub max_us: Option<f64>,
}

/// What a client says of its run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Requests that were answered.
    pub completed: u64,
    /// Those that were not, as the tool counts them.
    pub failed: u64,
    /// Answers with another status than 2xx (wrk: than 2xx or 3xx).
    pub non_2xx: u64,
    /// How long it took by the tool's clock.
    pub seconds: f64,
    /// Completed a second, by the tool's count.
    pub requests_per_second: f64,
    /// The mean time of a request in milliseconds, as the client saw it; of wrk, what follows from its rate.
    pub mean_ms: f64,
    /// After how many of them the connection stayed open, by ab's count; others do not tell.
    #[serde(default)]
    pub kept: Option<u64>,
    /// How the client saw them; of wrk, with samples that it has added ([`crate::clients::wrk`]).
    pub latency: Percentiles,
}

impl Answers {
    /// How long it took by the tool's clock, in seconds, finer than `seconds`, which ab and wrk round.
    #[must_use]
    pub fn duration(&self) -> f64 {
        if self.requests_per_second > 0.0 {
            self.completed as f64 / self.requests_per_second
        } else {
            self.seconds
        }
    }
}

/// CPU time during the measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The proxy's CPU time (user and system, all its processes and threads) a completed request, in microseconds.
    pub proxy_us_per_request: Option<f64>,
    /// Of one core, in per cent of `measured_seconds`: the proxy.
    pub proxy_pct: Option<f64>,
    /// Likewise the client, without what starting it takes; in older runs with that.
    pub client_pct: f64,
    /// Likewise all backends together: one thread.
    pub backend_pct: f64,
    /// Of one core, in per cent of the time between two looks at all processes: all other programs, and the sweep while
    /// it waited for the client; in runs before `stolen_pct` was there, that too.
    pub foreign_pct: f64,
    /// Likewise what the host of a virtual machine took from all cores.
    #[serde(default)]
    pub stolen_pct: f64,
    /// How long the measurement took by the client's clock, in seconds. Older runs have none in their files, and shares
    /// of `client_seconds` instead, until [`crate::older::renew`] has read them.
    #[serde(default)]
    pub measured_seconds: Option<f64>,
    /// From the start of the client's process to its end, in seconds: some milliseconds longer.
    #[serde(default)]
    pub client_seconds: Option<f64>,
}

/// One run of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The round, from 1.
    pub round: u32,
    /// What was run.
    #[serde(flatten)]
    pub cell: Cell,
    /// When it began: local time with its offset.
    pub started: String,
    /// What the client says.
    pub answers: Answers,
    /// Failed requests and other answers than 2xx before the measurement, while it warmed up.
    pub warmup_failed: u64,
    /// What the proxy's own histogram says of whole exchanges, and how many it counted.
    pub proxy_count: Option<u64>,
    /// From its admin API, at the end of the run.
    pub proxy_latency: Percentiles,
    /// CPU time.
    pub cpu: Cpu,
    /// Which other program took the most CPU time, if any took some.
    #[serde(default)]
    pub foreign_most: Option<String>,
    /// Requests that each backend that was alive answered, by the backends' count.
    pub shares: Vec<u64>,
    /// What was the bottleneck.
    pub bound: Bound,
    /// Why there are no figures, if there are none.
    pub error: Option<String>,
}

impl Row {
    /// Names the run.
    #[must_use]
    pub fn key(&self) -> String {
        self.cell.key(self.round)
    }

    /// Whether there are figures in it.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.error.is_none()
    }

    /// A run that could not be made, and why.
    #[must_use]
    pub fn failed(round: u32, cell: Cell, started: String, error: String) -> Self {
        Self {
            round,
            cell,
            started,
            answers: Answers::default(),
            warmup_failed: 0,
            proxy_count: None,
            proxy_latency: Percentiles::default(),
            cpu: Cpu::default(),
            foreign_most: None,
            shares: Vec::new(),
            bound: Bound::Waiting,
            error: Some(error),
        }
    }
}

/// All rows as JSON: an array with one row a line.
///
/// # Errors
///
/// None that is known: a row can always be written.
pub fn to_json(rows: &[Row]) -> io::Result<String> {
    let lines = rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
///
/// Text that is something else.
pub fn from_json(text: &str) -> io::Result<Vec<Row>> {
    Ok(serde_json::from_str(text)?)
}

/// A row as CSV has it: flat, in the order of the columns.
#[derive(Serialize)]
struct Flat<'a> {
    round: u32,
    tool: Tool,
    subject: &'a str,
    kind: Kind,
    configured: usize,
    alive: usize,
    concurrency: u32,
    is_twin: bool,
    started: &'a str,
    completed: u64,
    failed: u64,
    non_2xx: u64,
    warmup_failed: u64,
    seconds: f64,
    requests_per_second: f64,
    mean_ms: f64,
    kept: Option<u64>,
    client_p50_us: Option<f64>,
    client_p90_us: Option<f64>,
    client_p99_us: Option<f64>,
    client_p99_9_us: Option<f64>,
    client_max_us: Option<f64>,
    proxy_count: Option<u64>,
    proxy_p50_us: Option<f64>,
    proxy_p90_us: Option<f64>,
    proxy_p99_us: Option<f64>,
    proxy_p99_9_us: Option<f64>,
    proxy_max_us: Option<f64>,
    proxy_cpu_us_per_request: Option<f64>,
    proxy_cpu_pct: Option<f64>,
    client_cpu_pct: f64,
    backend_cpu_pct: f64,
    foreign_cpu_pct: f64,
    stolen_cpu_pct: f64,
    measured_seconds: Option<f64>,
    client_seconds: Option<f64>,
    foreign_most: &'a str,
    shares: String,
    bound: Bound,
    disagreement: String,
    error: &'a str,
}

impl<'a> Flat<'a> {
    fn new(row: &'a Row) -> Self {
        let Cell { subject: Subject { kind, name }, setting, is_twin } = &row.cell;
        let Setting { tool, configured, alive, concurrency } = *setting;
        let (answers, proxy, cpu) = (&row.answers, &row.proxy_latency, &row.cpu);
        let client = &answers.latency;
        let shares: Vec<String> = row.shares.iter().map(u64::to_string).collect();
        Self {
            round: row.round,
            tool,
            subject: name,
            kind: *kind,
            configured,
            alive,
            concurrency,
            is_twin: *is_twin,
            started: &row.started,
            completed: answers.completed,
            failed: answers.failed,
            non_2xx: answers.non_2xx,
            warmup_failed: row.warmup_failed,
            seconds: answers.seconds,
            requests_per_second: answers.requests_per_second,
            mean_ms: answers.mean_ms,
            kept: answers.kept,
            client_p50_us: client.p50_us,
            client_p90_us: client.p90_us,
            client_p99_us: client.p99_us,
            client_p99_9_us: client.p99_9_us,
            client_max_us: client.max_us,
            proxy_count: row.proxy_count,
            proxy_p50_us: proxy.p50_us,
            proxy_p90_us: proxy.p90_us,
            proxy_p99_us: proxy.p99_us,
            proxy_p99_9_us: proxy.p99_9_us,
            proxy_max_us: proxy.max_us,
            proxy_cpu_us_per_request: cpu.proxy_us_per_request,
            proxy_cpu_pct: cpu.proxy_pct,
            client_cpu_pct: cpu.client_pct,
            backend_cpu_pct: cpu.backend_pct,
            foreign_cpu_pct: cpu.foreign_pct,
            stolen_cpu_pct: cpu.stolen_pct,
            measured_seconds: cpu.measured_seconds,
            client_seconds: cpu.client_seconds,
            foreign_most: row.foreign_most.as_deref().unwrap_or_default(),
            shares: shares.join(" "),
            bound: row.bound,
            disagreement: disagreement(row).unwrap_or_default(),
            error: row.error.as_deref().unwrap_or_default(),
        }
    }
}

/// All rows as CSV with a line of titles.
///
/// # Errors
///
/// None that is known: a row can always be written.
pub fn to_csv(rows: &[Row]) -> io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(Flat::new(row)).map_err(io::Error::other)?;
    }
    let bytes = writer.into_inner().map_err(io::Error::other)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_json_and_have_one_line_each() {
        let setting = Setting { tool: Tool::Wrk, configured: 5, alive: 3, concurrency: 10 };
        let cell = Cell { subject: Subject::runtime("ring"), setting, is_twin: false };
        let mut good = Row::failed(1, cell.clone(), "2026-11-25T12:00:00+00:00".to_owned(), String::new());
        good.error = None;
        good.shares = vec![3, 4, 3];
        good.proxy_latency.p50_us = Some(12.5);
        let bad = Row::failed(2, cell, String::new(), "no such program, \"wrk\"".to_owned());
        let rows = vec![good, bad];
        let json = to_json(&rows).unwrap();
        assert_eq!(json.lines().count(), 4);
        assert_eq!(from_json(&json).unwrap(), rows);
        let csv = to_csv(&rows).unwrap();
        assert_eq!(csv.lines().count(), 3);
        assert!(csv.contains(",3 4 3,"), "{csv}");
        assert!(csv.contains("\"no such program, \"\"wrk\"\"\""), "{csv}");
    }
}
