//! Whether the picks of one process are all told: their numbers run on from cycle to cycle.

use super::findings::Findings;
use super::run::Run;

/// Follows the numbers of picks, which run on from cycle to cycle, and finds those that are missing.
#[derive(Default)]
pub(super) struct Sequence {
    pub(super) findings: Findings,
    pub(super) open: Findings,
    pub(super) untold: u64,
    pub(super) notes: Vec<String>,
}

impl Sequence {
    /// Follows the cycles of one process. If it was started before the logs begin, then picks below `settled` may be told
    /// in an earlier log. Returns the first pick that is missing.
    pub(super) fn follow(&mut self, run: &Run<'_>, settled: Option<u64>, is_over: bool) -> u64 {
        let mut lacks = None;
        let mut earlier: Option<(u64, u64)> = None;
        let mut settles = 0;
        for (number, cycle) in &run.cycles {
            let Some((first, last)) = cycle.told.span() else { continue };
            let expected = earlier.map_or(0, |(_, reached)| reached + 1);
            let gap = (first > expected).then_some(expected);
            lacks = lacks.or(gap).or_else(|| cycle.told.gaps().next().map(|(from, _)| from));
            match earlier {
                None => match settled.filter(|_| first > 0) {
                    Some(settled) => {
                        self.notes.push(format!("the log begins with pick {first} of cycle {number}"));
                        settles = settled;
                    }
                    None => self.missing(*number, 0, first, is_over),
                },
                Some((before, reached)) if first <= reached => self.findings.push(format_args!(
                    "cycle {number} begins with pick {first}, though cycle {before} before it had come to pick {reached}"
                )),
                Some((before, reached)) => self.gap(before, (reached + 1, first), settles, is_over),
            }
            for (from, to) in cycle.told.gaps() {
                self.gap(*number, (from, to + 1), settles, is_over);
            }
            earlier = Some((*number, last));
        }
        lacks.unwrap_or(u64::MAX)
    }

    /// Picks from the first of these numbers to before the second one are missing.
    fn gap(&mut self, cycle: u64, (from, end): (u64, u64), settles: u64, is_over: bool) {
        let settles = settles.clamp(from, end);
        self.missing(cycle, from, settles, false);
        self.missing(cycle, settles, end, is_over);
    }

    fn missing(&mut self, cycle: u64, from: u64, end: u64, is_lost: bool) {
        if from >= end {
            return;
        }
        let picks =
            if end - from == 1 { format!("pick {from}") } else { format!("picks {from} to {}", end - 1) };
        if is_lost {
            self.findings.push(format_args!("cycle {cycle} lacks {picks}"));
        } else {
            self.untold = self.untold.saturating_add(end - from);
            self.open.push(format_args!("cycle {cycle}: {picks}"));
        }
    }
}
