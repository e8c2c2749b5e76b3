//! The picks of one cycle, and the cycles of one process.

use std::collections::{BTreeMap, BTreeSet};

use super::line::Line;
use super::told::Told;
use super::turns::Assumed;

/// Cycles of one process are numbered from the microsecond of its start, and one more by each change. So numbers that
/// are further apart than a tenth of a second belong to two processes.
pub(super) const RESTART: u64 = 100_000;

/// How long after its first line a log is sure to tell of whatever is picked, in microseconds: lines of several workers
/// reach it within milliseconds, but not in order.
const SETTLED_US: i64 = 1_000_000;

/// The picks of one cycle.
#[derive(Debug, Default)]
pub(super) struct Cycle {
    pub(super) told: Told,
    pub(super) members: BTreeSet<usize>,
    /// Backends that could not be connected to, as far as lines name them.
    pub(super) failed: BTreeSet<usize>,
    /// There may be more of them.
    pub(super) hides_failures: bool,
    pub(super) assumed: Assumed,
    /// Its lowest pick that was made when the logs had surely begun.
    settled: Option<u64>,
}

/// The cycles of one process that an upstream's lines tell of, at least one, each with its number.
pub(super) struct Run<'a> {
    pub(super) cycles: Vec<(u64, &'a Cycle)>,
}

impl Cycle {
    /// Takes the time of a line; the first one of the logs is of `begins_us`, in microseconds after 1970.
    pub(super) fn date(&mut self, number: u64, line: &Line<'_>, begins_us: Option<i64>) {
        let settled_us = begins_us.map_or(i64::MAX, |begins| begins.saturating_add(SETTLED_US));
        if self.settled.is_none_or(|settled| number < settled)
            && line.begun_us().is_some_and(|begun| begun > settled_us)
        {
            self.settled = Some(number);
        }
    }
}

impl<'a> Run<'a> {
    /// The cycles of each process: numbered closely, and the picks do not begin anew.
    pub(super) fn all(cycles: &'a BTreeMap<u64, Cycle>) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        for (number, cycle) in cycles {
            let begins = cycle.told.span().map_or(0, |(first, _)| first);
            match runs.last_mut() {
                Some(run) if begins > 0 && number - run.last() <= RESTART => run.cycles.push((*number, cycle)),
                _ => runs.push(Self { cycles: vec![(*number, cycle)] }),
            }
        }
        runs
    }

    /// The number of its first cycle: the microsecond in which the process was started, if that one is told.
    pub(super) fn first(&self) -> u64 {
        self.cycles.first().map_or(0, |(number, _)| *number)
    }

    /// The number of its last cycle.
    pub(super) fn last(&self) -> u64 {
        self.cycles.last().map_or(0, |(number, _)| *number)
    }

    /// Its lowest pick that was made when the logs had surely begun. Picks of other processes say nothing of that: each
    /// one counts from 0.
    pub(super) fn settled(&self) -> Option<u64> {
        self.cycles.iter().filter_map(|(_, cycle)| cycle.settled).min()
    }
}
