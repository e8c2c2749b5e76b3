//! The picks of one cycle, and the cycles of one process.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use super::line::Line;
use super::told::Told;
use super::turns::{Assumed, Backends};

/// Cycles of one process are numbered from the microsecond of its start, and one more by each change. So numbers of one
/// upstream that follow each other and are further apart than a tenth of a second belong to two processes.
const RESTART: u64 = 100_000;

/// Lines tell their time in whole milliseconds.
const PRECISION_US: i64 = 1_000;

/// How long after its first line a log is sure to tell of whatever is picked, in microseconds: lines of several workers
/// reach it within milliseconds, but not in order.
const SETTLED_US: i64 = 1_000_000;

/// The picks of one cycle.
#[derive(Debug, Default, Clone)]
pub(super) struct Cycle {
    pub(super) told: Told,
    /// Backends that take part, and how often each was picked.
    pub(super) members: BTreeMap<usize, u64>,
    /// Backends that could not be connected to, as far as lines name them.
    pub(super) failed: BTreeSet<usize>,
    /// There may be more of them.
    pub(super) hides_failures: bool,
    pub(super) assumed: Assumed,
    /// Lines of it that only the first reading has taken.
    pub(super) untaken: u64,
    /// Its lowest pick that was made when the logs had surely begun.
    settled: Option<u64>,
    /// When the first of its exchanges was over that lines tell of, and the last one, in microseconds after 1970.
    ended_us: Option<(i64, i64)>,
}

/// The cycles of one process that an upstream's lines tell of, at least one, each with its number.
pub(super) struct Run<'a> {
    pub(super) cycles: Vec<(u64, &'a Cycle)>,
}

impl Cycle {
    /// Takes the time of a line; the first one of the logs is of `begins_us`, in microseconds after 1970.
    pub(super) fn date(&mut self, number: u64, line: &Line<'_>, begins_us: Option<i64>) {
        let Some((begun, ended)) = line.times_us() else { return };
        let (first, last) = self.ended_us.unwrap_or((ended, ended));
        self.ended_us = Some((first.min(ended), last.max(ended)));
        if begins_us.is_some_and(|begins| begun > begins.saturating_add(SETTLED_US)) {
            self.settled = Some(self.settled.map_or(number, |settled| settled.min(number)));
        }
    }

    /// Takes a pick for the second time, which a backend had.
    pub(super) fn take(&mut self, cycle: u64, number: u64, id: usize, backends: &Backends) {
        self.assumed.turns.iter_mut().for_each(|turns| turns.take(cycle, number, id, backends));
        self.untaken = self.untaken.saturating_sub(1);
        if self.untaken == 0 {
            self.assumed.close();
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
                Some(run) if begins > 0 && number - run.last() <= RESTART => {
                    run.cycles.push((*number, cycle))
                }
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

    /// When the first of its exchanges was over that lines tell of, and the last one, in microseconds after 1970.
    fn ended_us(&self) -> Option<(i64, i64)> {
        let ended = self.cycles.iter().filter_map(|(_, cycle)| cycle.ended_us);
        ended
            .reduce(|(first, last), (other_first, other_last)| (first.min(other_first), last.max(other_last)))
    }

    /// Whether it was started before the logs begin, as far as lines tell.
    pub(super) fn begins_before(&self, begins_us: Option<i64>) -> bool {
        let start = i64::try_from(self.first()).unwrap_or(i64::MAX);
        // Nothing is over before the start, unless the clock was set back since: then nobody knows.
        let is_set_back =
            self.ended_us().is_some_and(|(first, _)| first.saturating_add(PRECISION_US) < start);
        is_set_back || begins_us.is_none_or(|begins| start <= begins)
    }

    /// Whether a process whose first cycle has this number is a later one: it was started after the last line of this one.
    /// How far the numbers are apart does not tell that, as the cycles of one upstream may be many more than those of
    /// another.
    pub(super) fn is_followed_by(&self, start: u64) -> bool {
        // The clock may have been set back in between: then the start of this process, too, is later than its lines.
        let ended = self.ended_us().map_or(0, |(_, last)| last.saturating_add(PRECISION_US));
        i128::from(start) > i128::from(ended) && start.saturating_sub(self.last()) > RESTART
    }

    /// What was found of the turns of each cycle.
    pub(super) fn turns(&self) -> impl Iterator<Item = &Findings> {
        self.cycles.iter().filter_map(|(_, cycle)| cycle.assumed.findings())
    }

    /// Its lowest pick that was made when the logs had surely begun. Picks of other processes say nothing of that: each
    /// one counts from 0.
    pub(super) fn settled(&self) -> Option<u64> {
        self.cycles.iter().filter_map(|(_, cycle)| cycle.settled).min()
    }
}
