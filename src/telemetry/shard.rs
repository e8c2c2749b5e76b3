//! Counters and buckets that one worker writes, or a few threads share. Readers take nothing from it and stop nobody.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::distribution::{BUCKETS, Distribution, bucket_of};
use super::failures::Failures;

/// A duration of which the distribution is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// See [`super::Phases::head`].
    Head,
    /// See [`super::Phases::queue`].
    Queue,
    /// See [`super::Phases::connect`].
    Connect,
    /// See [`super::Phases::request`].
    Request,
    /// See [`super::Phases::first_byte`].
    FirstByte,
    /// See [`super::Phases::response`].
    Response,
    /// See [`super::Moments::total_us`].
    Total,
    /// See [`super::Moments::added_us`].
    Added,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::Head,
        Self::Queue,
        Self::Connect,
        Self::Request,
        Self::FirstByte,
        Self::Response,
        Self::Total,
        Self::Added,
    ];

    /// Its name in the log, the metrics and the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Queue => "queue",
            Self::Connect => "connect",
            Self::Request => "request",
            Self::FirstByte => "first-byte",
            Self::Response => "response",
            Self::Total => "total",
            Self::Added => "added",
        }
    }

    /// The phase of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

/// What is counted of each series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Exchanges that are over.
    Requests,
    /// Those without an answer.
    Unanswered,
    /// Those answered with a status from 100 to 199 (a tunnel), and so on.
    Status1xx,
    /// 200 to 299.
    Status2xx,
    /// 300 to 399.
    Status3xx,
    /// 400 to 499.
    Status4xx,
    /// 500 to 599.
    Status5xx,
    /// Bytes of bodies that went to backends.
    RequestBytes,
    /// Bytes of bodies that went to clients.
    ResponseBytes,
    /// Attempts to have a request answered by the backend, over reused connections included.
    Attempts,
    /// Exchanges whose last attempt went over a connection that had served before.
    Reused,
}

const COUNTERS: usize = Counter::Reused as usize + 1;

/// What a series takes in a shard where values of every size have come in every phase, but for a few words.
pub(super) const SERIES_BYTES: usize = Phase::ALL.len() * BUCKETS * size_of::<AtomicU64>();

/// What one shard knows of one series.
#[derive(Debug)]
struct Cells {
    /// The buckets of all phases, one phase after the other. Zeroed pages cost nothing until they are written.
    buckets: Box<[AtomicU64]>,
    sums_us: [AtomicU64; Phase::ALL.len()],
    maxima_us: [AtomicU64; Phase::ALL.len()],
    counters: [AtomicU64; COUNTERS],
}

/// One worker's share of all series.
#[derive(Debug)]
pub(super) struct Shard {
    series: Box<[OnceLock<Cells>]>,
    /// Exchanges, by series.
    pub(super) failures: Failures,
    /// Attempts, by the place of the backend among all of the configuration.
    pub(super) attempt_failures: Failures,
}

/// Who writes to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writers {
    /// One thread: no operation on memory has to be atomic as a whole.
    One,
    /// Several.
    Several,
}

/// A series of a shard, for writing.
pub(super) struct Writing<'a> {
    cells: &'a Cells,
    writers: Writers,
}

impl Shard {
    pub(super) fn new(series: usize) -> Self {
        Self {
            series: (0..series).map(|_| OnceLock::new()).collect(),
            failures: Failures::default(),
            attempt_failures: Failures::default(),
        }
    }

    /// The memory of a series is taken when its first exchange or attempt is over.
    pub(super) fn writing(&self, series: usize, writers: Writers) -> Writing<'_> {
        Writing { cells: self.series[series].get_or_init(Cells::default), writers }
    }

    pub(super) fn counter(&self, series: usize, counter: Counter) -> u64 {
        self.series[series].get().map_or(0, |cells| cells.counters[counter as usize].load(Ordering::Relaxed))
    }

    /// The distribution of a phase, as it is now. The writer does not wait, and may go on between any two of these reads:
    /// see [`Distribution::new`].
    pub(super) fn distribution(&self, series: usize, phase: Phase) -> Distribution {
        let Some(cells) = self.series[series].get() else { return Distribution::default() };
        let max_us = cells.maxima_us[phase as usize].load(Ordering::Relaxed);
        let first = phase as usize * BUCKETS;
        let written = &cells.buckets[first..=first + bucket_of(max_us)];
        let counts = (0..).zip(written).map(|(bucket, cell)| (bucket, cell.load(Ordering::Relaxed)));
        let counts = counts.filter(|(_, count)| *count > 0).collect();
        Distribution::new(counts, cells.sums_us[phase as usize].load(Ordering::Relaxed), max_us)
    }
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            buckets: bytemuck::zeroed_slice_box(Phase::ALL.len() * BUCKETS),
            sums_us: Default::default(),
            maxima_us: Default::default(),
            counters: Default::default(),
        }
    }
}

impl Writing<'_> {
    pub(super) fn count(&self, counter: Counter, by: u64) {
        if by > 0 {
            self.writers.add(&self.cells.counters[counter as usize], by);
        }
    }

    pub(super) fn record(&self, phase: Phase, us: u64) {
        let index = phase as usize;
        // Before the bucket: a reader looks no further than the largest value.
        self.writers.raise(&self.cells.maxima_us[index], us);
        self.writers.add(&self.cells.sums_us[index], us);
        self.writers.add(&self.cells.buckets[index * BUCKETS + bucket_of(us)], 1);
    }
}

impl Writers {
    fn add(self, cell: &AtomicU64, by: u64) {
        match self {
            Self::One => cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed),
            Self::Several => _ = cell.fetch_add(by, Ordering::Relaxed),
        }
    }

    fn raise(self, cell: &AtomicU64, to: u64) {
        if to > cell.load(Ordering::Relaxed) {
            match self {
                Self::One => cell.store(to, Ordering::Relaxed),
                Self::Several => _ = cell.fetch_max(to, Ordering::Relaxed),
            }
        }
    }
}
