//! Checks the promise of round robin from the lines of access logs, in either of their formats.
//!
//! The logs are read twice. The first reading, a [`Survey`], finds which picks there are and which backends take part in
//! each cycle; with that the second one, an [`Audit`], checks each turn. So no pick has to be kept: memory grows with the
//! cycles and with the gaps, not with the lines. The places of a cycle are kept only while its lines come.

mod findings;
mod guess;
mod line;
mod run;
mod sequence;
mod told;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use findings::Findings;
use line::Line;
use run::{Cycle, Run};
use sequence::Sequence;
use turns::{Assumed, Backends};

/// What the first reading finds.
#[derive(Debug, Default)]
pub struct Survey {
    upstreams: BTreeMap<String, Picks>,
    /// Lines that are none of an access log.
    strange: u64,
    /// When the exchange of the first line was over, in microseconds after 1970.
    begins_us: Option<i64>,
}

/// The second reading.
#[derive(Debug)]
pub struct Audit {
    survey: Survey,
    /// What else upstreams may be, of which no configuration tells anything: weighted.
    weighted: BTreeMap<String, Picks>,
    /// The first cycle of the last process.
    latest: u64,
}

/// What the logs say of one upstream.
#[derive(Debug, Default, Clone)]
struct Picks {
    backends: Backends,
    /// How often each backend was picked.
    counts: Vec<u64>,
    cycles: BTreeMap<u64, Cycle>,
    doubled: Findings,
}

/// What was found of one upstream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the upstream.
    pub upstream: String,
    /// Cycles that the log tells of.
    pub cycles: usize,
    /// How often each backend was picked.
    pub counts: Vec<(String, u64)>,
    /// How the promise was broken, or why that cannot be told.
    pub findings: Vec<String>,
    /// Some of them say so only because all weights are taken to be equal: no configuration tells them.
    pub assumes_equal: bool,
    /// Backends and weights by which nothing at all would be found; empty if there are none, or if that is so already.
    pub fitting: Vec<(String, u32)>,
    /// Picks that no line tells of and that nobody knows to be lost.
    pub untold: u64,
    /// Which these are, and what else neither the lines nor the configuration can tell.
    pub open: Vec<String>,
    /// What is no fault, but worth knowing.
    pub notes: Vec<String>,
}

/// When the exchange of a line was over, in microseconds after 1970; `None` if it is no line of an access log.
pub fn ended_us(text: &str) -> Option<i64> {
    Line::read(text)?.times_us().map(|(_, ended)| ended)
}

impl Survey {
    /// Takes one line of a log. Several logs come in the order in which they were begun.
    pub fn take(&mut self, text: &str) {
        let Some(line) = Line::read(text) else {
            self.strange += 1;
            return;
        };
        self.begins_us = self.begins_us.or_else(|| line.times_us().map(|(_, ended)| ended));
        let Line { upstream: Some(upstream), pick: Some(number), cycle: Some(cycle), .. } = line else {
            return;
        };
        if !self.upstreams.contains_key(upstream) {
            self.upstreams.insert(upstream.to_owned(), Picks::default());
        }
        if let Some(picks) = self.upstreams.get_mut(upstream) {
            picks.survey(cycle, number, &line).date(number, &line, self.begins_us);
        }
    }

    /// Takes the rest of a log that does not end with a line's end: it is being written, or somebody has edited it. Tells
    /// whether it was taken: only a line that is surely whole is.
    pub fn take_rest(&mut self, text: &str) -> bool {
        let is_whole = Line::read_rest(text).is_some();
        if is_whole {
            self.take(text);
        }
        is_whole
    }

    /// Lines that are none of an access log.
    pub fn strange(&self) -> u64 {
        self.strange
    }

    /// Ends the first reading. `configured` gives the backends of an upstream and their weights, which no log tells, of
    /// the last process; none where there is no configuration.
    pub fn finish(mut self, configured: impl Fn(&str) -> Vec<(String, u32)>) -> Audit {
        let mut weighted = BTreeMap::new();
        for (upstream, picks) in &mut self.upstreams {
            let configured = configured(upstream);
            if let Some(guess) = picks.guess().filter(|_| configured.is_empty()) {
                let mut guessed = picks.clone();
                guessed.configure(&guess);
                weighted.insert(upstream.clone(), guessed);
            }
            picks.configure(&configured);
        }
        let last_runs = self.upstreams.values().filter_map(|picks| Run::all(&picks.cycles).pop());
        Audit { latest: last_runs.map(|run| run.first()).max().unwrap_or(0), survey: self, weighted }
    }
}

impl Audit {
    /// Takes one line of a log, as the survey did.
    pub fn take(&mut self, text: &str) {
        let Some(line) = Line::read(text) else { return };
        let Line { upstream: Some(upstream), pick: Some(number), cycle: Some(cycle), .. } = line else {
            return;
        };
        let either = [self.survey.upstreams.get_mut(upstream), self.weighted.get_mut(upstream)];
        either.into_iter().flatten().for_each(|picks| picks.take(cycle, number, &line));
    }

    /// Takes the rest of a log, as the survey did.
    pub fn take_rest(&mut self, text: &str) {
        if Line::read_rest(text).is_some() {
            self.take(text);
        }
    }

    /// What was found. A pick that no line tells of is lost if the process that made it has stopped: if `has_stopped`
    /// says so, or if the logs tell of a later process. Else its exchange may still be running.
    pub fn verdicts(&self, has_stopped: bool) -> Vec<Verdict> {
        let upstreams = self.survey.upstreams.iter();
        let verdict = |(name, picks): (&String, &Picks)| {
            let verdict = picks.verdict(name, self, has_stopped);
            let weighted = self.weighted.get(name).filter(|_| verdict.assumes_equal);
            let is_better =
                |other: &Verdict| other.findings.is_empty() && other.open.len() <= verdict.open.len();
            let fits = |picks: &&Picks| is_better(&picks.verdict(name, self, has_stopped));
            let fitting = weighted.filter(fits).map(|picks| picks.backends.weighted());
            Verdict { fitting: fitting.unwrap_or_default(), ..verdict }
        };
        upstreams.map(verdict).collect()
    }
}

impl Picks {
    fn survey(&mut self, cycle_number: u64, number: u64, line: &Line<'_>) -> &mut Cycle {
        let id = self.id(line.picked());
        self.counts[id] += 1;
        let failed: Vec<usize> = line.failed().map(|name| self.id(name)).collect();
        let cycle = self.cycles.entry(cycle_number).or_default();
        *cycle.members.entry(id).or_default() += 1;
        cycle.untaken += 1;
        cycle.failed.extend(failed);
        cycle.hides_failures |= line.hides_failures();
        if !cycle.told.insert(number) {
            self.doubled.push(format_args!("pick {number} of cycle {cycle_number} was made twice"));
        }
        cycle
    }

    /// Takes a pick for the second time.
    fn take(&mut self, cycle_number: u64, number: u64, line: &Line<'_>) {
        if let Some(cycle) = self.cycles.get_mut(&cycle_number)
            && let Some(id) = self.backends.known(line.picked())
        {
            cycle.take(cycle_number, number, id, &self.backends);
        }
    }

    fn id(&mut self, name: &str) -> usize {
        let id = self.backends.id(name);
        self.counts.resize(self.backends.names.len(), 0);
        id
    }

    fn configure(&mut self, configured: &[(String, u32)]) {
        self.backends.are_known = !configured.is_empty();
        for (name, weight) in configured {
            let id = self.id(name);
            self.backends.weights[id] = Some(*weight);
        }
        for cycle in self.cycles.values_mut() {
            cycle.assumed = Assumed::of(&cycle.told, &cycle.members, &self.backends);
        }
    }

    fn verdict(&self, upstream: &str, audit: &Audit, has_stopped: bool) -> Verdict {
        let (mut sequence, mut is_uneven) = (Sequence::default(), false);
        sequence.findings.extend(&self.doubled);
        for (nth, run) in Run::all(&self.cycles).iter().enumerate() {
            let is_followed = run.is_followed_by(audit.latest);
            let is_begun = nth == 0 && run.begins_before(audit.survey.begins_us);
            let settled = is_begun.then(|| run.settled().unwrap_or(u64::MAX));
            let lacks = sequence.follow(run, settled, has_stopped || is_followed);
            let mut faults = self.check_absent(run, lacks, &mut sequence);
            run.turns().for_each(|findings| faults.extend(findings));
            is_uneven |= faults.count() > 0;
            match faults.first().filter(|_| is_followed && self.backends.are_known) {
                Some(first) => sequence.open.push(format_args!(
                    "cycles {} to {}, of an earlier process, are not as this configuration has it; theirs may have been \
                     another one: {first} (the first of {})",
                    run.first(),
                    run.last(),
                    faults.count()
                )),
                None => sequence.findings.extend(&faults),
            }
        }
        sequence.notes.extend(self.strangers());
        let mut counts: Vec<_> =
            self.backends.names.iter().cloned().zip(self.counts.iter().copied()).collect();
        counts.sort();
        Verdict {
            upstream: upstream.to_owned(),
            cycles: self.cycles.len(),
            counts,
            findings: sequence.findings.into_lines(),
            assumes_equal: is_uneven && !self.backends.are_known,
            fitting: Vec::new(),
            untold: sequence.untold,
            open: sequence.open.into_lines(),
            notes: sequence.notes,
        }
    }

    /// Finds backends of the configuration that were left out of cycles, though no line tells of a reason. From pick
    /// `lacks` on such a line may be missing, which goes into `sequence`.
    fn check_absent(&self, run: &Run<'_>, lacks: u64, sequence: &mut Sequence) -> Findings {
        let mut faults = Findings::default();
        let hides_failures = run.cycles.iter().any(|(_, cycle)| cycle.hides_failures);
        let failed: BTreeSet<usize> =
            run.cycles.iter().flat_map(|(_, cycle)| &cycle.failed).copied().collect();
        let mut left_alone: BTreeMap<usize, u64> = BTreeMap::new();
        for (number, cycle) in &run.cycles {
            let first = cycle.told.span().map_or(0, |(first, _)| first);
            for id in &cycle.assumed.absent {
                let said = format!("cycle {number}: {} was never picked", self.backends.names[*id]);
                match (first, failed.contains(id) || hides_failures) {
                    // The process begins with all backends eligible.
                    (0, _) => faults.push(format_args!("{said}")),
                    (_, true) => *left_alone.entry(*id).or_default() += 1,
                    (_, false) if lacks < first => {
                        sequence.open.push(format_args!("{said}; a line that is missing may tell why"));
                    }
                    (_, false) => {
                        faults.push(format_args!("{said}, and no line tells that it had failed"));
                    }
                }
            }
        }
        sequence.notes.extend(left_alone.iter().map(|(id, count)| {
            let cycles = if *count == 1 { "cycle" } else { "cycles" };
            format!(
                "{} was left out of {count} {cycles}, as backends that have failed are",
                self.backends.names[*id]
            )
        }));
        faults
    }

    /// Backends that were picked and are none of the configuration's.
    fn strangers(&self) -> impl Iterator<Item = String> {
        let is_strange = |id: &usize| self.backends.are_known && self.backends.weights[*id].is_none();
        let ids = (0..self.backends.names.len()).filter(is_strange);
        ids.map(|id| {
            format!("{} is not in the configuration: its weight is taken to be 1", self.backends.names[id])
        })
    }
}

#[cfg(test)]
mod tests;
