//! The rows of all rounds put together: a line of the table for each cell.

use std::collections::BTreeMap;

use crate::bound::{Bound, is_disturbed};
use crate::plan::{Cell, Kind, Setting, Subject};
use crate::row::{Percentiles, Row};
use crate::stats::Spread;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// More is better.
    RequestsPerSecond,
    /// CPU time of the proxy; less is better.
    CpuPerRequest,
    /// The 99th percentile that the client saw; less is better.
    ClientP99,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RequestsPerSecond, Self::CpuPerRequest, Self::ClientP99];

    /// How the report calls it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests a second",
            Self::CpuPerRequest => "CPU time of the proxy a request",
            Self::ClientP99 => "the client's p99",
        }
    }

    /// Whether a larger figure is the better one.
    #[must_use]
    pub fn is_more_better(self) -> bool {
        self == Self::RequestsPerSecond
    }

    /// Its figure in a row, if the row has one.
    #[must_use]
    pub fn of(self, row: &Row) -> Option<f64> {
        let value = match self {
            Self::RequestsPerSecond => Some(row.answers.requests_per_second),
            Self::CpuPerRequest => row.cpu.proxy_us_per_request,
            Self::ClientP99 => row.answers.latency.p99_us,
        };
        value.filter(|value| row.is_good() && *value > 0.0)
    }
}

/// The good rows of each cell, in the order of their rounds.
#[derive(Debug)]
pub struct Series<'a>(BTreeMap<Cell, Vec<&'a Row>>);

impl<'a> Series<'a> {
    /// Sorts rows into their cells.
    #[must_use]
    pub fn new(rows: &'a [Row]) -> Self {
        let mut cells: BTreeMap<Cell, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.is_good()) {
            cells.entry(row.cell.clone()).or_default().push(row);
        }
        for rows in cells.values_mut() {
            rows.sort_by_key(|row| row.round);
        }
        Self(cells)
    }

    /// The rows of this cell.
    #[must_use]
    pub fn rows(&self, subject: &Subject, setting: Setting, is_twin: bool) -> &[&'a Row] {
        let cell = Cell { subject: subject.clone(), setting, is_twin };
        self.0.get(&cell).map_or(&[], Vec::as_slice)
    }

    /// Every cell that has rows, twins too.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.0.keys()
    }

    /// The figures of a metric over the rounds.
    #[must_use]
    pub fn spread(&self, subject: &Subject, setting: Setting, metric: Metric) -> Option<Spread> {
        Spread::of(self.rows(subject, setting, false).iter().filter_map(|row| metric.of(row)))
    }

    /// How many rounds there are figures of.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.0.values().map(Vec::len).max().unwrap_or(0)
    }

    /// The subjects of the closed-loop part: direct, runtimes in order, peers.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = self.cells().map(|cell| cell.subject.clone()).collect();
        subjects.sort();
        subjects.dedup();
        subjects
    }

    /// The settings that anything but `direct` was run in.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let proxied = self.cells().filter(|cell| cell.subject.kind != Kind::Direct);
        let mut settings: Vec<Setting> = proxied.map(|cell| cell.setting).collect();
        settings.sort();
        settings.dedup();
        settings
    }

    /// A line for each cell, in the order of settings, then subjects; twins are left out.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut cells: Vec<&Cell> = self.cells().filter(|cell| !cell.is_twin).collect();
        cells.sort_by_key(|cell| (cell.setting.tool, order(cell), cell.subject.clone()));
        let line = |cell: &Cell| Line::new(cell, self.rows(&cell.subject, cell.setting, false));
        cells.into_iter().map(line).collect()
    }
}

/// Direct rows first; N of N before N of 5.
fn order(cell: &Cell) -> (bool, bool, Setting) {
    let Setting { configured, alive, .. } = cell.setting;
    (cell.subject.kind != Kind::Direct, configured != alive, cell.setting)
}

/// A cell over all its rounds.
#[derive(Debug)]
pub struct Line {
    /// Which.
    pub cell: Cell,
    /// Sums over the rounds: completed, failed, non-2xx; the latter two with the warm-up's.
    pub counts: Counts,
    /// Requests a second.
    pub requests_per_second: Option<Spread>,
    /// Mean time of a request in milliseconds.
    pub mean_ms: Option<Spread>,
    /// Medians of the proxy's own percentiles.
    pub proxy: Percentiles,
    /// Medians of the client's.
    pub client: Percentiles,
    /// CPU time of the proxy a request, in microseconds.
    pub cpu_us: Option<Spread>,
    /// Each backend's part of all answers, in per cent.
    pub shares_pct: Vec<f64>,
    /// The bottleneck of most rounds, and of how many.
    pub bound: (Bound, usize),
    /// How many rounds were disturbed by other programs.
    pub disturbed: usize,
    /// Rounds.
    pub rounds: usize,
}

/// Requests over all rounds of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered.
    pub completed: u64,
    /// Not answered.
    pub failed: u64,
    /// Answered otherwise than 2xx.
    pub non_2xx: u64,
    /// Failed or otherwise answered before the measurement.
    pub warmup_failed: u64,
}

impl Counts {
    /// Sums over these rows.
    #[must_use]
    pub fn of(rows: &[&Row]) -> Self {
        let sum = |figure: fn(&Row) -> u64| rows.iter().map(|row| figure(row)).sum();
        Self {
            completed: sum(|row| row.answers.completed),
            failed: sum(|row| row.answers.failed),
            non_2xx: sum(|row| row.answers.non_2xx),
            warmup_failed: sum(|row| row.warmup_failed),
        }
    }
}

impl Line {
    fn new(cell: &Cell, rows: &[&Row]) -> Self {
        let spread = |figure: fn(&Row) -> Option<f64>| Spread::of(rows.iter().filter_map(|row| figure(row)));
        Self {
            cell: cell.clone(),
            counts: Counts::of(rows),
            requests_per_second: spread(|row| Metric::RequestsPerSecond.of(row)),
            mean_ms: spread(|row| Some(row.answers.mean_ms)),
            proxy: medians(rows, |row| row.proxy_latency),
            client: medians(rows, |row| row.answers.latency),
            cpu_us: spread(|row| Metric::CpuPerRequest.of(row)),
            shares_pct: shares_pct(rows),
            bound: most_frequent(rows),
            disturbed: rows.iter().filter(|row| is_disturbed(&row.cpu)).count(),
            rounds: rows.len(),
        }
    }
}

fn medians(rows: &[&Row], of: fn(&Row) -> Percentiles) -> Percentiles {
    let median = |figure: fn(&Percentiles) -> Option<f64>| {
        Spread::of(rows.iter().filter_map(|row| figure(&of(row)))).map(|spread| spread.median)
    };
    Percentiles {
        p50_us: median(|figures| figures.p50_us),
        p90_us: median(|figures| figures.p90_us),
        p99_us: median(|figures| figures.p99_us),
        p99_9_us: median(|figures| figures.p99_9_us),
        max_us: median(|figures| figures.max_us),
    }
}

/// Each backend's part of the sum over all rows.
#[must_use]
pub fn shares_pct(rows: &[&Row]) -> Vec<f64> {
    let backends = rows.iter().map(|row| row.shares.len()).max().unwrap_or(0);
    let mut sums = vec![0_u64; backends];
    for row in rows {
        for (sum, share) in sums.iter_mut().zip(&row.shares) {
            *sum += share;
        }
    }
    let all: u64 = sums.iter().sum();
    sums.into_iter().map(|sum| 100.0 * sum as f64 / all.max(1) as f64).collect()
}

fn most_frequent(rows: &[&Row]) -> (Bound, usize) {
    let mut counts: BTreeMap<Bound, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.bound).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).unwrap_or((Bound::Waiting, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{row, setting};

    #[test]
    fn rounds_become_a_median_with_a_range() {
        let rows: Vec<Row> =
            [(1, 100.0), (2, 140.0), (3, 120.0)].map(|(round, rps)| row(round, "ring", rps)).into();
        let series = Series::new(&rows);
        let lines = series.lines();
        assert_eq!(lines.len(), 1);
        let spread = lines[0].requests_per_second.unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (100.0, 120.0, 140.0));
        assert_eq!(lines[0].counts.completed, 30_000);
        assert_eq!(lines[0].shares_pct, [20.0; 5]);
    }

    #[test]
    fn failed_runs_and_twins_do_not_enter_the_table() {
        let mut twin = row(1, "ring", 90.0);
        twin.cell.is_twin = true;
        let mut bad = row(2, "ring", 10.0);
        bad.error = Some("it fell over".to_owned());
        let rows = [row(1, "ring", 100.0), twin, bad];
        let series = Series::new(&rows);
        assert_eq!(series.lines().len(), 1);
        assert_eq!(series.lines()[0].rounds, 1);
        let ring = Subject::runtime("ring");
        assert_eq!(series.rows(&ring, setting(), true).len(), 1);
    }
}
