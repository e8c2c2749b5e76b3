//! The rows of all rounds put together: a line of the table for each cell.

use std::collections::BTreeMap;

use crate::bound::{Bound, is_disturbed};
use crate::plan::{Cell, Kind, Setting, Subject, Tool};
use crate::row::{Percentiles, Row};
use crate::stats::Spread;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// More is better.
    RequestsPerSecond,
    /// CPU time of the proxy; less is better.
    CpuPerRequest,
    /// The 99th percentile that the client saw; less is better. wrk has none: see [`is_rewritten_by`].
    ClientP99,
    /// The 99th percentile of the proxy's own histogram; less is better.
    ProxyP99,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::RequestsPerSecond, Self::CpuPerRequest, Self::ClientP99, Self::ProxyP99];

    /// How the report calls it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests a second",
            Self::CpuPerRequest => "CPU time of the proxy a request",
            Self::ClientP99 => "the client's p99",
            Self::ProxyP99 => "the proxy's own p99",
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
            Self::ClientP99 => row.answers.latency.p99_us.filter(|_| !is_rewritten_by(row.cell.setting.tool)),
            Self::ProxyP99 => row.proxy_latency.p99_us,
        };
        value.filter(|value| row.is_good() && *value > 0.0)
    }
}

/// Whether this tool's percentiles are not what it measured. wrk rewrites its histogram before it prints it: for
/// every answer that took more than twice the mean it adds those that it takes to be missing (`stats_correct` in its
/// `src/stats.c`), so that one stall becomes hundreds of slow requests that nobody sent.
#[must_use]
pub fn is_rewritten_by(tool: Tool) -> bool {
    tool == Tool::Wrk
}

/// How busy the proxy was, in per cent of one core, by the client's clock: CPU time a request, times requests a second.
#[must_use]
pub fn busy_pct(row: &Row) -> Option<f64> {
    let us_a_second = row.cpu.proxy_us_per_request? * row.answers.requests_per_second;
    row.is_good().then_some(us_a_second / 1e4)
}

/// Whether in half of these runs or more this figure says more of the client or the backends than of the proxy.
#[must_use]
pub fn is_mostly_hidden(rows: &[&Row], metric: Metric) -> bool {
    let is_hidden = |row: &&&Row| match metric {
        Metric::RequestsPerSecond => row.bound.hides_the_proxy(),
        Metric::CpuPerRequest => false,
        Metric::ClientP99 | Metric::ProxyP99 => row.bound.delays_requests(),
    };
    2 * rows.iter().filter(is_hidden).count() >= rows.len().max(1)
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

    /// The subjects of the closed-loop part: direct, runtimes in order, peers.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = self.cells().map(|cell| cell.subject.clone()).collect();
        subjects.sort();
        subjects.dedup();
        subjects
    }

    /// The same without `direct`, which is no proxy.
    #[must_use]
    pub fn proxies(&self) -> Vec<Subject> {
        let mut subjects = self.subjects();
        subjects.retain(|subject| subject.kind != Kind::Direct);
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

    /// Those of one tool.
    #[must_use]
    pub fn settings_of(&self, tool: Tool) -> Vec<Setting> {
        self.settings().into_iter().filter(|setting| setting.tool == tool).collect()
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
    /// Medians of the proxy's own percentiles, and the slowest of all rounds.
    pub proxy: Percentiles,
    /// The same of the client's.
    pub client: Percentiles,
    /// CPU time of the proxy a request, in microseconds.
    pub cpu_us: Option<Spread>,
    /// How busy the proxy was, in per cent of one core.
    pub busy_pct: Option<Spread>,
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

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            failed: self.failed + other.failed,
            non_2xx: self.non_2xx + other.non_2xx,
            warmup_failed: self.warmup_failed + other.warmup_failed,
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
            busy_pct: spread(busy_pct),
            shares_pct: shares_pct(rows),
            bound: most_frequent(rows),
            disturbed: rows.iter().filter(|row| is_disturbed(&row.cpu)).count(),
            rounds: rows.len(),
        }
    }
}

/// Medians over the rounds; of the slowest requests the slowest, since a median of them is none.
fn medians(rows: &[&Row], of: fn(&Row) -> Percentiles) -> Percentiles {
    let spread =
        |figure: fn(&Percentiles) -> Option<f64>| Spread::of(rows.iter().filter_map(|row| figure(&of(row))));
    let median = |figure| spread(figure).map(|spread| spread.median);
    Percentiles {
        p50_us: median(|figures| figures.p50_us),
        p90_us: median(|figures| figures.p90_us),
        p99_us: median(|figures| figures.p99_us),
        p99_9_us: median(|figures| figures.p99_9_us),
        max_us: spread(|figures| figures.max_us).map(|spread| spread.high),
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
    counts.into_iter().max_by_key(|(bound, count)| (*count, doubt(*bound))).unwrap_or((Bound::Waiting, 0))
}

/// Of two that are equally frequent the one is shown that says less about the proxy, and nobody last.
fn doubt(bound: Bound) -> u8 {
    match bound {
        Bound::Client | Bound::Backend | Bound::ClientAndBackend => 3,
        Bound::Machine | Bound::Everybody => 2,
        Bound::Proxy => 1,
        Bound::Waiting => 0,
    }
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
    fn the_slowest_is_the_slowest_of_all_rounds() {
        let mut rows: Vec<Row> = (1..=3).map(|round| row(round, "ring", 100.0)).collect();
        rows.iter_mut().for_each(|row| row.answers.latency.max_us = Some(f64::from(row.round)));
        assert_eq!(Series::new(&rows).lines()[0].client.max_us, Some(3.0));
    }

    #[test]
    fn of_two_equally_frequent_bottlenecks_the_one_that_hides_the_proxy_is_shown() {
        let bounds = |bounds: &[Bound]| {
            let of = |(index, bound): (usize, &Bound)| {
                let mut row = row(index as u32 + 1, "ring", 100.0);
                row.bound = *bound;
                row
            };
            let rows: Vec<Row> = bounds.iter().enumerate().map(of).collect();
            Series::new(&rows).lines()[0].bound
        };
        assert_eq!(bounds(&[Bound::Waiting, Bound::Client]), (Bound::Client, 1));
        assert_eq!(bounds(&[Bound::Proxy, Bound::Waiting]), (Bound::Proxy, 1));
        assert_eq!(bounds(&[Bound::Waiting, Bound::Client, Bound::Waiting]), (Bound::Waiting, 2));
    }

    #[test]
    fn wrks_percentiles_are_not_taken_from_its_rewritten_histogram() {
        let mut row = row(1, "ring", 30_545.0);
        assert_eq!(Metric::ClientP99.of(&row), None);
        row.cell.setting.tool = Tool::Ab;
        assert!(Metric::ClientP99.of(&row).is_some());
    }

    #[test]
    fn a_proxy_is_as_busy_as_its_requests_make_it() {
        let mut row = row(1, "ring", 20_000.0);
        row.cpu.proxy_us_per_request = Some(45.0);
        assert!((busy_pct(&row).unwrap() - 90.0).abs() < 1e-9);
        row.cpu.proxy_us_per_request = None;
        assert_eq!(busy_pct(&row), None);
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
