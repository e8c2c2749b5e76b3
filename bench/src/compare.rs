//! The noise floor from A/A pairs, and comparisons that rank nothing inside it.

use std::collections::BTreeMap;

use crate::bound::Bound;
use crate::chance::{RARE, at_least, ranges_apart};
use crate::plan::{Cell, Setting, Subject, Tool};
use crate::row::Row;
use crate::stats::{Spread, apart};
use crate::summary::{Metric, Series, busy_pct, is_mostly_hidden};

/// No floor is lower, however alike the pairs happened to be.
pub const LOWEST_FLOOR: f64 = 0.02;
/// The same where there are fewer rounds than [`FEW_ROUNDS`]: too few for a median. There the largest difference within
/// one round at any concurrency counts for all of them.
pub const LOWEST_FLOOR_OF_FEW: f64 = 0.05;
/// From so many rounds on, a floor is as low as the pairs say.
pub const FEW_ROUNDS: usize = 3;

/// What the very same cell differs from itself by, for each tool, concurrency and metric.
#[derive(Debug)]
pub struct Noise(BTreeMap<(Tool, u32, Metric), Floor>);

/// From the A/A pairs of one tool, concurrency and metric, and the floor of the tool. Differences are fractions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// The largest difference between the medians of a cell and of the same cell again: what is compared elsewhere, too.
    pub measured: f64,
    /// The largest difference within one round.
    pub of_one_round: f64,
    /// What a difference has to exceed to be ranked: the largest difference between medians at any concurrency of the
    /// tool, since few pairs may happen to be alike.
    pub floor: f64,
    /// The same for a difference that is known from fewer than [`FEW_ROUNDS`] rounds.
    pub of_few: f64,
    /// How many rounds there were.
    pub rounds: usize,
    /// How many pairs the floor comes from.
    pub pairs: usize,
}

/// The A/A pairs of one tool, concurrency and metric.
#[derive(Debug, Default)]
struct Distances {
    of_medians: Vec<f64>,
    of_rounds: Vec<f64>,
    rounds: usize,
}

impl Distances {
    fn add(&mut self, pairs: &[(f64, f64)]) {
        self.of_rounds.extend(pairs.iter().filter_map(|(first, again)| apart(*first, *again)));
        self.of_medians.extend(medians(pairs).and_then(|(first, again)| apart(first, again)));
        self.rounds = self.rounds.max(pairs.len());
    }

    fn extend(&mut self, other: &Self) {
        self.of_medians.extend(&other.of_medians);
        self.of_rounds.extend(&other.of_rounds);
        self.rounds = self.rounds.max(other.rounds);
    }
}

fn largest(distances: impl IntoIterator<Item = f64>) -> Option<f64> {
    distances.into_iter().reduce(f64::max)
}

fn medians(pairs: &[(f64, f64)]) -> Option<(f64, f64)> {
    let median = |figures: Vec<f64>| Spread::of(figures).map(|spread| spread.median);
    median(pairs.iter().map(|pair| pair.0).collect()).zip(median(pairs.iter().map(|pair| pair.1).collect()))
}

impl Noise {
    /// Measures it.
    #[must_use]
    pub fn new(series: &Series<'_>) -> Self {
        let mut distances: BTreeMap<(Tool, u32, Metric), Distances> = BTreeMap::new();
        for twin in series.cells().filter(|cell| cell.is_twin) {
            let Setting { tool, concurrency, .. } = twin.setting;
            let first = series.rows(&twin.subject, twin.setting, false);
            let again = series.rows(&twin.subject, twin.setting, true);
            for metric in Metric::ALL {
                distances.entry((tool, concurrency, metric)).or_default().add(&pairs(first, again, metric));
            }
        }
        let floor = |(kind, own): (&(Tool, u32, Metric), &Distances)| {
            let alike =
                distances.iter().filter(|((tool, _, metric), _)| (*tool, *metric) == (kind.0, kind.2));
            let mut of_tool = Distances::default();
            alike.for_each(|(_, distances)| of_tool.extend(distances));
            Some((*kind, Floor::of(own, &of_tool)?))
        };
        Self(distances.iter().filter_map(floor).collect())
    }

    /// The floor of this kind of run; without a pair nothing is known and nothing can be ranked.
    #[must_use]
    pub fn floor(&self, setting: Setting, metric: Metric) -> Option<Floor> {
        self.0.get(&(setting.tool, setting.concurrency, metric)).copied()
    }

    /// All of them, by tool, concurrency and metric.
    pub fn floors(&self) -> impl Iterator<Item = (&(Tool, u32, Metric), &Floor)> {
        self.0.iter()
    }
}

impl Floor {
    /// From the pairs of one concurrency, and those of the tool at all of them.
    fn of(own: &Distances, of_tool: &Distances) -> Option<Self> {
        let of = |distances: &[f64]| largest(distances.iter().copied());
        let (measured, of_one_round) = (of(&own.of_medians)?, of(&own.of_rounds)?);
        let of_few = of(&of_tool.of_rounds)?.max(LOWEST_FLOOR_OF_FEW);
        let is_few = own.rounds < FEW_ROUNDS;
        let floor = if is_few { of_few } else { of(&of_tool.of_medians)?.max(LOWEST_FLOOR) };
        let pairs = of_tool.of_medians.len();
        Some(Self { measured, of_one_round, floor, of_few, rounds: own.rounds, pairs })
    }
}

/// The figures of two cells, round by round.
fn pairs(first: &[&Row], second: &[&Row], metric: Metric) -> Vec<(f64, f64)> {
    let partner = |row: &&Row| second.iter().find(|other| other.round == row.round);
    let both = |row: &&Row| Some((metric.of(row)?, metric.of(partner(row)?)?));
    first.iter().filter_map(both).collect()
}

/// What may be said of a subject against another in one setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Better, by this fraction of the other's figure.
    Better(f64),
    /// Worse, by this fraction of the other's figure.
    Worse(f64),
    /// The difference is inside the noise floor, the ranges of the two overlap, or there is but one round.
    WithinNoise,
    /// Client or backend was the bottleneck in half of the runs or more: it is not the proxies that were compared.
    Hidden,
    /// One of them did not answer every request.
    Failed,
    /// One of them has no figure, or there is no A/A pair to judge by.
    Unknown,
}

/// A verdict, and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// What may be said.
    pub verdict: Verdict,
    /// In how many rounds both have a figure.
    pub rounds: usize,
    /// Whether the difference is the least that can be said, since client or backend held the faster one back.
    pub is_at_least: bool,
    /// By how many per cent of a core the subject was busier than the other; only where CPU time is compared.
    pub busier_pct: Option<f64>,
}

impl Judgement {
    /// Whether the two could be told apart if they were far enough from each other.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        matches!(self.verdict, Verdict::Better(_) | Verdict::Worse(_) | Verdict::WithinNoise)
    }
}

/// Compares `subject` with `base` in one setting.
#[must_use]
pub fn judge(
    series: &Series<'_>,
    noise: &Noise,
    (subject, base): (&Subject, &Subject),
    setting: Setting,
    metric: Metric,
) -> Judgement {
    let (ours, theirs) = (series.rows(subject, setting, false), series.rows(base, setting, false));
    let pairs = pairs(ours, theirs, metric);
    let busier_pct = if metric == Metric::CpuPerRequest { busier_pct(ours, theirs) } else { None };
    let judged = |verdict| Judgement { verdict, rounds: pairs.len(), is_at_least: false, busier_pct };
    let (false, Some(floor)) = (pairs.is_empty(), noise.floor(setting, metric)) else {
        return judged(Verdict::Unknown);
    };
    if !is_whole(ours) || !is_whole(theirs) {
        return judged(Verdict::Failed);
    }
    let ranked = judged(rank(&pairs, floor, metric));
    if !is_hidden(ours, theirs, metric) {
        return ranked;
    }
    let slower = match ranked.verdict {
        Verdict::Better(_) => theirs,
        Verdict::Worse(_) => ours,
        _ => return judged(Verdict::Hidden),
    };
    if metric == Metric::RequestsPerSecond && is_at_its_limit(slower) {
        Judgement { is_at_least: true, ..ranked }
    } else {
        judged(Verdict::Hidden)
    }
}

fn rank(pairs: &[(f64, f64)], floor: Floor, metric: Metric) -> Verdict {
    let Some((ours, theirs)) = medians(pairs) else { return Verdict::Unknown };
    let distance = apart(ours, theirs).unwrap_or(0.0);
    let bound = if pairs.len() < FEW_ROUNDS { floor.of_few } else { floor.floor };
    let is_more = ours > theirs;
    if distance <= bound || pairs.len() < 2 || !is_apart(pairs, is_more) {
        return Verdict::WithinNoise;
    }
    let change = (ours / theirs - 1.0).abs();
    if is_more == metric.is_more_better() { Verdict::Better(change) } else { Verdict::Worse(change) }
}

/// The difference of the medians.
fn busier_pct(ours: &[&Row], theirs: &[&Row]) -> Option<f64> {
    let median = |rows: &[&Row]| Spread::of(rows.iter().filter_map(|row| busy_pct(row))).map(|s| s.median);
    Some(median(ours)? - median(theirs)?)
}

/// Whether the proxy itself had no time to spare in any round: then another one that only client or backend held back
/// is faster by what was measured or by more.
fn is_at_its_limit(rows: &[&Row]) -> bool {
    rows.iter().all(|row| matches!(row.bound, Bound::Proxy | Bound::Everybody))
}

/// Whether every figure of the one is above (or below) every figure of the other: then also in every round.
fn is_apart(pairs: &[(f64, f64)], is_more: bool) -> bool {
    pairs.iter().all(|(ours, _)| pairs.iter().all(|(_, theirs)| (ours > theirs) == is_more && ours != theirs))
}

/// The comparisons of a cell with itself: what chance does to this machine, seen and not calculated.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Twins {
    /// How many there are.
    pub compared: usize,
    /// In how many the two ranges do not overlap.
    pub apart: usize,
    /// In how many that was to be expected.
    pub by_chance: f64,
}

impl Twins {
    /// By which fraction the two of each A/A pair differ, round by round.
    #[must_use]
    pub fn distances(series: &Series<'_>, metric: Metric) -> Vec<f64> {
        let twins = series.cells().filter(|cell| cell.is_twin);
        let of_one = |twin: &Cell| {
            let of = |is_twin| series.rows(&twin.subject, twin.setting, is_twin);
            pairs(of(false), of(true), metric)
        };
        twins.flat_map(of_one).filter_map(|(first, again)| apart(first, again)).collect()
    }

    /// Compares every A/A pair in every metric.
    #[must_use]
    pub fn of(series: &Series<'_>) -> Self {
        let mut twins = Self::default();
        for twin in series.cells().filter(|cell| cell.is_twin) {
            let first = series.rows(&twin.subject, twin.setting, false);
            let again = series.rows(&twin.subject, twin.setting, true);
            for pairs in Metric::ALL.map(|metric| pairs(first, again, metric)) {
                if pairs.len() > 1 {
                    twins.compared += 1;
                    twins.apart += usize::from(is_apart(&pairs, true) || is_apart(&pairs, false));
                    twins.by_chance += ranges_apart(pairs.len());
                }
            }
        }
        twins
    }
}

/// Requests a second and percentiles are not the proxy's where client or backend was the bottleneck. CPU time a request
/// is counted for the proxy alone, but it is not independent of them: who waits for a slow client pays for falling asleep
/// and waking up. That is told by [`Judgement::busier_pct`].
fn is_hidden(ours: &[&Row], theirs: &[&Row], metric: Metric) -> bool {
    is_mostly_hidden(ours, metric) || is_mostly_hidden(theirs, metric)
}

/// Errors are answered faster than requests: who makes some is not compared.
fn is_whole(rows: &[&Row]) -> bool {
    rows.iter().all(|row| row.answers.failed == 0 && row.answers.non_2xx == 0)
}

/// So many per cent of a core apart, and two proxies were not equally busy.
pub const BUSIER_PCT: f64 = 10.0;

/// Verdicts over many settings.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tally {
    /// By how much, where it was better.
    pub better: Vec<f64>,
    /// By how much, where it was worse.
    pub worse: Vec<f64>,
    /// How often there was no difference outside the noise.
    pub within_noise: usize,
    /// How often something else was measured.
    pub hidden: usize,
    /// How often a request had failed.
    pub failed: usize,
    /// How many of the ranked differences are the least that can be said.
    pub at_least: usize,
    /// In how many of the ranked ones the two were not equally busy.
    pub unlike: usize,
    /// In how many of those the better one was the busier one.
    pub favoured: usize,
    /// The fewest rounds of any that could be ranked.
    pub rounds: usize,
    /// In how many of them the ranges would lie apart by chance, were all equal.
    pub by_chance: f64,
}

impl Tally {
    /// Counts verdicts; those that are unknown do not count.
    #[must_use]
    pub fn of(judgements: impl IntoIterator<Item = Judgement>) -> Self {
        let mut tally = Self::default();
        for judgement in judgements {
            match judgement.verdict {
                Verdict::Better(change) => tally.better.push(change),
                Verdict::Worse(change) => tally.worse.push(change),
                Verdict::WithinNoise => tally.within_noise += 1,
                Verdict::Hidden => tally.hidden += 1,
                Verdict::Failed => tally.failed += 1,
                Verdict::Unknown => {}
            }
            tally.add_grounds(&judgement);
        }
        tally
    }

    fn add_grounds(&mut self, judgement: &Judgement) {
        let Judgement { verdict, rounds, is_at_least, busier_pct } = *judgement;
        let is_ranked = matches!(verdict, Verdict::Better(_) | Verdict::Worse(_));
        if rounds > 1 && (is_ranked || verdict == Verdict::WithinNoise) {
            self.rounds = if self.rounds == 0 { rounds } else { self.rounds.min(rounds) };
            self.by_chance += ranges_apart(rounds);
        }
        self.at_least += usize::from(is_at_least);
        if let Some(busier) = busier_pct.filter(|busier| is_ranked && busier.abs() > BUSIER_PCT) {
            self.unlike += 1;
            self.favoured += usize::from((busier > 0.0) == matches!(verdict, Verdict::Better(_)));
        }
    }

    /// How many settings were run with both.
    #[must_use]
    pub fn settings(&self) -> usize {
        self.compared() + self.hidden + self.failed
    }

    /// In how many the two could be ranked.
    #[must_use]
    pub fn compared(&self) -> usize {
        self.ranked() + self.within_noise
    }

    /// In how many they were.
    #[must_use]
    pub fn ranked(&self) -> usize {
        self.better.len() + self.worse.len()
    }

    /// Whether so many findings of one direction are more than chance gives.
    #[must_use]
    pub fn is_sure(&self, found: usize) -> bool {
        // What is hidden unless it is ranked was tried as well.
        let tried = self.compared() + if self.at_least > 0 { self.hidden } else { 0 };
        // Either direction would have been taken for a finding.
        2.0 * at_least(found, tried, ranges_apart(self.rounds) / 2.0) <= RARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{row, setting, twin};

    /// The verdict on `threads` against `ring`, from requests a second in each round: ring, again, threads.
    fn judge(rounds: &[(f64, f64, f64)]) -> Verdict {
        judge_with(rounds, |_| {}).verdict
    }

    fn judge_with(rounds: &[(f64, f64, f64)], change: fn(&mut Row)) -> Judgement {
        judge_by(Metric::RequestsPerSecond, rounds, change)
    }

    fn judge_by(metric: Metric, rounds: &[(f64, f64, f64)], change: fn(&mut Row)) -> Judgement {
        let mut rows = Vec::new();
        for (index, (ring, again, threads)) in rounds.iter().enumerate() {
            let round = index as u32 + 1;
            rows.extend([
                row(round, "ring", *ring),
                twin(round, "ring", *again),
                row(round, "threads", *threads),
            ]);
        }
        rows.iter_mut().for_each(change);
        let series = Series::new(&rows);
        let subjects = (&Subject::runtime("threads"), &Subject::runtime("ring"));
        super::judge(&series, &Noise::new(&series), subjects, setting(), metric)
    }

    #[test]
    fn a_difference_beyond_the_floor_in_every_round_is_ranked() {
        let rounds = [(100.0, 101.0, 120.0), (102.0, 100.0, 118.0), (101.0, 103.0, 121.0)];
        let Verdict::Better(change) = judge(&rounds) else { panic!("{:?}", judge(&rounds)) };
        assert!((change - 0.188).abs() < 0.001, "{change}");
        assert!(matches!(judge(&rounds.map(|(a, b, c)| (a, b, 1e4 / c))), Verdict::Worse(_)));
    }

    #[test]
    fn a_difference_inside_the_noise_is_never_ranked() {
        // The same cell's median differs by 12 % from itself, so 8 % says nothing, though it is the same in every round.
        let rounds = [(100.0, 112.0, 108.0), (100.0, 112.0, 108.0), (100.0, 99.0, 108.0)];
        assert_eq!(judge(&rounds), Verdict::WithinNoise);
        // The pair happens to agree: still nothing below the lowest floor.
        assert_eq!(judge(&[(100.0, 100.0, 101.5); 3]), Verdict::WithinNoise);
        // Two rounds are too few for 4 %.
        assert_eq!(judge(&[(100.0, 100.0, 104.0); 2]), Verdict::WithinNoise);
        assert!(matches!(judge(&[(100.0, 100.0, 104.0); 3]), Verdict::Better(_)));
    }

    #[test]
    fn the_widest_pair_of_any_subject_is_the_floor() {
        let of_round = |round| {
            [
                row(round, "ring", 100.0),
                twin(round, "ring", 101.0),
                row(round, "threads", 90.0),
                twin(round, "threads", 99.0),
            ]
        };
        let rows: Vec<Row> = (1..=3).flat_map(of_round).collect();
        let noise = Noise::new(&Series::new(&rows));
        let floor = noise.floor(setting(), Metric::RequestsPerSecond).unwrap();
        assert!((floor.floor - 0.1).abs() < 1e-9, "{floor:?}");
        assert_eq!(floor.rounds, 3);
    }

    #[test]
    fn few_pairs_that_happen_to_be_alike_do_not_make_a_low_floor() {
        let at = |concurrency, mut row: Row| {
            row.cell.setting.concurrency = concurrency;
            row
        };
        let rows = |rounds| {
            let of_round = |round| {
                let pair = |concurrency, again| {
                    [at(concurrency, row(round, "ring", 100.0)), at(concurrency, twin(round, "ring", again))]
                };
                [pair(2, 150.0), pair(10, 101.0)].concat()
            };
            (1..=rounds).flat_map(of_round).collect::<Vec<Row>>()
        };
        for rounds in [2, 3] {
            let noise = Noise::new(&Series::new(&rows(rounds)));
            let floor = noise.floor(setting(), Metric::RequestsPerSecond).unwrap();
            assert_eq!((floor.floor, floor.pairs), (0.5, 2), "that of two at a time, in {rounds} rounds");
            assert!(floor.measured < 0.02);
        }
    }

    #[test]
    fn a_difference_that_changes_direction_is_not_ranked() {
        let rounds = [(100.0, 100.0, 130.0), (100.0, 100.0, 95.0), (100.0, 100.0, 130.0)];
        assert_eq!(judge(&rounds), Verdict::WithinNoise);
    }

    #[test]
    fn one_round_ranks_nothing_and_ranges_that_overlap_neither() {
        assert_eq!(judge(&[(100.0, 100.0, 200.0)]), Verdict::WithinNoise);
        let rounds = [(100.0, 100.0, 110.0), (120.0, 120.0, 130.0), (101.0, 101.0, 115.0)];
        assert_eq!(judge(&rounds), Verdict::WithinNoise, "115 and 110 are below 120");
    }

    #[test]
    fn who_answers_with_errors_is_not_ranked() {
        let fails = |row: &mut Row| row.answers.non_2xx = u64::from(row.cell.subject.name == "threads");
        assert_eq!(judge_with(&[(100.0, 100.0, 150.0); 3], fails).verdict, Verdict::Failed);
    }

    #[test]
    fn without_a_pair_nothing_is_ranked() {
        let rows = [row(1, "ring", 100.0), row(1, "threads", 200.0)];
        let series = Series::new(&rows);
        let noise = Noise::new(&series);
        let subjects = (&Subject::runtime("threads"), &Subject::runtime("ring"));
        let found = super::judge(&series, &noise, subjects, setting(), Metric::RequestsPerSecond);
        assert_eq!(found.verdict, Verdict::Unknown);
    }

    #[test]
    fn a_bottleneck_elsewhere_hides_the_proxies() {
        let rounds = [(100.0, 100.0, 150.0); 3];
        let of_all = |row: &mut Row| row.bound = Bound::Client;
        assert_eq!(judge_with(&rounds, of_all).verdict, Verdict::Hidden);
        let of_the_slower = |row: &mut Row| {
            row.bound = if row.cell.subject.name == "ring" { Bound::Client } else { Bound::Proxy };
        };
        assert_eq!(judge_with(&rounds, of_the_slower).verdict, Verdict::Hidden);
    }

    #[test]
    fn who_was_held_back_and_faster_all_the_same_is_faster_at_least_by_that() {
        let of_threads = |row: &mut Row| {
            row.bound = if row.cell.subject.name == "threads" { Bound::Client } else { Bound::Proxy };
        };
        let found = judge_with(&[(100.0, 100.0, 150.0); 3], of_threads);
        assert_eq!((found.verdict, found.is_at_least), (Verdict::Better(0.5), true));
        // Slower than the other and held back: it might have been anything.
        assert_eq!(judge_with(&[(100.0, 100.0, 50.0); 3], of_threads).verdict, Verdict::Hidden);
        // A percentile grows with the wait for the client and shrinks with the load: nothing follows.
        let found = judge_by(Metric::ProxyP99, &[(100.0, 100.0, 150.0); 3], of_threads);
        assert_eq!(found.verdict, Verdict::Hidden);
        // The slower one has to have been at its limit in every round.
        let of_most = |row: &mut Row| {
            let is_threads = row.cell.subject.name == "threads";
            let other = if row.round == 2 { Bound::Waiting } else { Bound::Proxy };
            row.bound = if is_threads { Bound::Client } else { other };
        };
        assert_eq!(judge_with(&[(100.0, 100.0, 150.0); 3], of_most).verdict, Verdict::Hidden);
    }

    #[test]
    fn cpu_time_is_ranked_and_says_who_was_busier() {
        let busy = |row: &mut Row| {
            if row.cell.subject.name == "threads" {
                row.cpu.proxy_us_per_request = row.cpu.proxy_us_per_request.map(|us| us / 2.0);
            }
        };
        let found = judge_by(Metric::CpuPerRequest, &[(100.0, 100.0, 100.0); 3], busy);
        assert!(matches!(found.verdict, Verdict::Better(_)), "{found:?}");
        assert!((found.busier_pct.unwrap() + 50.0).abs() < 1e-9, "{found:?}");
        let tally = Tally::of([found]);
        assert_eq!((tally.unlike, tally.favoured), (1, 0), "the cheaper one was the idler one");
        let tally = Tally::of([Judgement { busier_pct: Some(20.0), ..found }]);
        assert_eq!((tally.unlike, tally.favoured), (1, 1));
    }

    #[test]
    fn a_few_findings_among_many_are_not_sure() {
        let tally = |better: usize, within_noise, rounds| Tally {
            better: vec![0.1; better],
            within_noise,
            rounds,
            ..Tally::default()
        };
        let is_sure = |better, within_noise, rounds| tally(better, within_noise, rounds).is_sure(better);
        assert!(!is_sure(1, 0, 3), "5 % by chance");
        assert!(!is_sure(3, 24, 3));
        assert!(is_sure(9, 18, 3) && is_sure(2, 0, 3));
        assert!(is_sure(1, 0, 5) && !is_sure(3, 3, 2));
        // Many of one direction do not make the one of the other direction sure.
        assert!(!Tally { worse: vec![0.1], ..tally(20, 6, 3) }.is_sure(1));
        // Two of two are sure, but not two of 27 of which the others would have counted if they had been ranked.
        assert!(!Tally { at_least: 2, hidden: 25, ..tally(2, 0, 3) }.is_sure(2));
    }

    #[test]
    fn chance_is_counted_by_the_rounds_that_each_comparison_has() {
        let of = |rounds| Judgement {
            verdict: Verdict::WithinNoise,
            rounds,
            is_at_least: false,
            busier_pct: None,
        };
        let tally = Tally::of([of(5), of(3), of(1)]);
        assert_eq!((tally.rounds, tally.compared()), (3, 3));
        assert!((tally.by_chance - ranges_apart(3) - ranges_apart(5)).abs() < 1e-12);
    }

    #[test]
    fn a_cell_may_differ_from_itself() {
        let rows = |again: [f64; 3]| -> Vec<Row> {
            let of_round = |(round, again)| [row(round, "ring", 100.0), twin(round, "ring", again)];
            (1..).zip(again).flat_map(of_round).collect()
        };
        let apart = |again| {
            let twins = Twins::of(&Series::new(&rows(again)));
            assert!((twins.by_chance - twins.compared as f64 * 0.1).abs() < 1e-9);
            (twins.apart, twins.compared)
        };
        assert_eq!(apart([101.0, 102.0, 103.0]), (3, 3));
        assert_eq!(apart([99.0, 102.0, 103.0]), (0, 3));
    }

    #[test]
    fn verdicts_are_counted() {
        let of = |verdict| Judgement { verdict, rounds: 3, is_at_least: false, busier_pct: None };
        let verdicts = [
            Verdict::Better(0.1),
            Verdict::WithinNoise,
            Verdict::Hidden,
            Verdict::Failed,
            Verdict::Unknown,
            Verdict::Worse(0.2),
        ];
        let tally = Tally::of(verdicts.map(of));
        assert_eq!((tally.better.len(), tally.worse.len(), tally.settings()), (1, 1, 5));
        assert_eq!((tally.compared(), tally.failed), (3, 1));
    }
}
