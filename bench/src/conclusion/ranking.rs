//! Which runtime was ahead of all others, and by how much each subject differs from the base.

use super::{Finding, base_and_others, of_kind};
use crate::chance::{RARE, ahead_of_all, at_least};
use crate::compare::{BUSIER_PCT, Judgement, Noise, Tally, Verdict, judge};
use crate::plan::{Kind, Setting, Subject, Tool};
use crate::stats::Spread;
use crate::summary::{Metric, Series};
use crate::words::{counted, list, percent};

/// For each tool and metric, how often which runtime was better than every other.
pub(super) fn who_was_ahead(series: &Series<'_>, noise: &Noise) -> Option<Finding> {
    let runtimes = of_kind(series, Kind::Runtime);
    if runtimes.len() < 2 {
        return None;
    }
    let mut answers = Vec::new();
    for tool in Tool::CLOSED {
        let settings = series.settings_of(tool);
        let ahead = |metric| ahead_in(series, noise, &runtimes, &settings, metric);
        answers.extend(Metric::ALL.into_iter().filter_map(|metric| {
            let said = ahead(metric)?;
            Some(format!("With `{}`, by {}: {said}", tool.title(), metric.title()))
        }));
    }
    Some(Finding::new("Which runtime was faster at what?", answers))
}

/// How one setting ended among all runtimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The one of this index was better than every other.
    Won(usize),
    /// Nobody was better than all others.
    Open,
    /// Somebody might have been, but client or backend was a bottleneck.
    Hidden,
    /// Somebody might have been, but a request failed, or a run is missing.
    Failed,
    /// There are no figures.
    Unknown,
}

impl Outcome {
    /// From the verdicts on each against all others.
    fn of(table: &[Vec<Verdict>]) -> Self {
        if table.iter().flatten().all(|verdict| *verdict == Verdict::Unknown) {
            return Self::Unknown;
        }
        let is_better = |verdict: &Verdict| matches!(verdict, Verdict::Better(_));
        if let Some(winner) = table.iter().position(|verdicts| verdicts.iter().all(is_better)) {
            return Self::Won(winner);
        }
        let is_beaten = |verdict: &Verdict| matches!(verdict, Verdict::Worse(_) | Verdict::WithinNoise);
        let mut unbeaten = table.iter().filter(|verdicts| !verdicts.iter().any(is_beaten)).flatten();
        let is_failed = |verdict: &&Verdict| matches!(verdict, Verdict::Failed | Verdict::Unknown);
        match (unbeaten.clone().any(|verdict| *verdict == Verdict::Hidden), unbeaten.find(is_failed)) {
            (true, _) => Self::Hidden,
            (false, Some(_)) => Self::Failed,
            (false, None) => Self::Open,
        }
    }
}

fn ahead_in(
    series: &Series<'_>,
    noise: &Noise,
    runtimes: &[Subject],
    settings: &[Setting],
    metric: Metric,
) -> Option<String> {
    let against = |setting: Setting, subject: &Subject| -> Vec<Judgement> {
        let others = runtimes.iter().filter(|other| *other != subject);
        others.map(|other| judge(series, noise, (subject, other), setting, metric)).collect()
    };
    let mut outcomes = Vec::new();
    let mut both_ways = Vec::new();
    for setting in settings {
        let table: Vec<Vec<Judgement>> = runtimes.iter().map(|subject| against(*setting, subject)).collect();
        let verdicts: Vec<Vec<Verdict>> =
            table.iter().map(|row| row.iter().map(|judgement| judgement.verdict).collect()).collect();
        outcomes.push(Outcome::of(&verdicts));
        both_ways.extend(table.into_iter().flatten());
    }
    outcomes.retain(|outcome| *outcome != Outcome::Unknown);
    let pairs = Tally::of(both_ways);
    (!outcomes.is_empty()).then(|| ahead_in_words(runtimes, &outcomes, &pairs))
}

/// `pairs` has every pair twice, once each way round.
fn ahead_in_words(runtimes: &[Subject], outcomes: &[Outcome], pairs: &Tally) -> String {
    let count = |wanted: Outcome| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    // How often one of them, named beforehand, is ahead of all others though all are equal.
    let by_chance = ahead_of_all(runtimes.len(), pairs.rounds);
    let ahead = |(index, subject): (usize, &Subject)| {
        let won = count(Outcome::Won(index));
        // Any of them might have been the one.
        let is_sure = runtimes.len() as f64 * at_least(won, outcomes.len(), by_chance) <= RARE;
        let was = if is_sure { "was" } else { "appears to have been" };
        (won > 0).then(|| format!("`{}` {was} ahead of every other in {won}", subject.name))
    };
    let ahead: Vec<String> = runtimes.iter().enumerate().filter_map(ahead).collect();
    let mut parts = Vec::new();
    if !ahead.is_empty() {
        parts.push(list(&ahead));
    }
    let others = [
        (Outcome::Open, "no runtime was ahead of all others by more than the noise"),
        (Outcome::Hidden, "the client or the backend was the bottleneck of who might have been"),
        (Outcome::Failed, "a request failed, or a run is missing, so not all could be compared"),
    ];
    for (outcome, what) in others {
        let found = count(outcome);
        if found > 0 {
            parts.push(format!("in {found} {what}"));
        }
    }
    format!("of {}, {}. {}.", counted(outcomes.len(), "setting"), parts.join("; "), pairs_in_words(pairs))
}

fn pairs_in_words(both_ways: &Tally) -> String {
    let all = counted(both_ways.settings() / 2, "pair");
    let mut parts = vec![format!("{} could be ranked", both_ways.ranked() / 2)];
    let rest = [
        (both_ways.within_noise, "within the noise"),
        (both_ways.hidden, "hidden by the client or the backend"),
        (both_ways.failed, "with a failed request"),
    ];
    parts.extend(rest.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", n / 2)));
    format!("Of {all} of runtimes, {}", list(&parts))
}

/// Every subject against the base, tool by tool.
pub(super) fn comparisons(series: &Series<'_>, noise: &Noise) -> Vec<Finding> {
    let Some((base, others)) = base_and_others(series) else { return Vec::new() };
    let finding = |other: Subject| {
        let question = format!("By how much did `{}` differ from `{}`?", other.name, base.name);
        let answers = Tool::CLOSED
            .iter()
            .flat_map(|tool| against_base(series, noise, (&other, &base), *tool))
            .collect();
        Finding::new(&question, answers)
    };
    others.into_iter().map(finding).collect()
}

fn against_base(series: &Series<'_>, noise: &Noise, pair: (&Subject, &Subject), tool: Tool) -> Vec<String> {
    let sentence = |metric: Metric| {
        let tally = tally(series, noise, pair, (tool, metric));
        let said = tally_in_words(&tally, metric);
        (tally.settings() > 0).then(|| format!("`{}`, {}: {said}.", tool.title(), metric.title()))
    };
    Metric::ALL.into_iter().filter_map(sentence).collect()
}

/// One against another in all settings of a tool.
pub(super) fn tally(
    series: &Series<'_>,
    noise: &Noise,
    pair: (&Subject, &Subject),
    (tool, metric): (Tool, Metric),
) -> Tally {
    let settings = series.settings_of(tool);
    Tally::of(settings.into_iter().map(|setting| judge(series, noise, pair, setting, metric)))
}

/// `12 %`, or `3.1 % to 12 % (median of these 8.0 %)`; nothing of nothing.
pub(super) fn by_how_much(changes: &[f64]) -> Option<String> {
    let Spread { low, median, high } = Spread::of(changes.iter().copied())?;
    let [low, median, high] = [low, median, high].map(percent);
    Some(if low == high { median } else { format!("{low} to {high} (median of these {median})") })
}

/// `lower in 4 of 9 settings, by 3.1 % to 12 % (median of these 8.0 %); …`.
pub(super) fn tally_in_words(tally: &Tally, metric: Metric) -> String {
    let (better, worse) = if metric.is_more_better() { ("higher", "lower") } else { ("lower", "higher") };
    let all = counted(tally.settings(), "setting");
    let mut parts = Vec::new();
    for (word, changes) in [(better, &tally.better), (worse, &tally.worse)] {
        let Some(by) = by_how_much(changes) else { continue };
        let found = changes.len();
        parts.push(if tally.is_sure(found) {
            format!("{word} in {found} of {all}, by {by}")
        } else {
            format!("appears {word} in {found} of {all}, by {by}, no more than chance may give")
        });
    }
    parts.extend(grounds(tally));
    if tally.within_noise > 0 {
        let within = tally.within_noise;
        parts.push(if parts.is_empty() {
            format!("no difference outside the noise in {within} of {all}")
        } else {
            format!("{within} within the noise")
        });
    }
    let rest = [
        (tally.hidden, "not ranked, the client or the backend being the bottleneck"),
        (tally.failed, "not compared: a request failed"),
    ];
    parts.extend(rest.into_iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}")));
    parts.join("; ")
}

/// What the ranked differences rest on, where that has to be known.
fn grounds(tally: &Tally) -> Vec<String> {
    let mut parts = Vec::new();
    if tally.at_least > 0 {
        parts.push(format!(
            "in {} of these by that or more, since client or backend held the faster one back",
            tally.at_least
        ));
    }
    if tally.unlike > 0 {
        let favoured = match tally.favoured {
            0 => "always the dearer one".to_owned(),
            n if n == tally.unlike => {
                "always the cheaper one, which a busy proxy is for that alone".to_owned()
            }
            n => format!("the cheaper one in {n}, which a busy proxy is for that alone"),
        };
        parts.push(format!(
            "in {} of these one of the two was busier by more than {BUSIER_PCT:.0} % of a core: {favoured}",
            tally.unlike
        ));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_won_open_hidden_or_failed() {
        use Verdict::{Better, Failed, Hidden, Unknown, WithinNoise, Worse};
        let of = |table: [[Verdict; 2]; 3]| Outcome::of(&table.map(Vec::from));
        let won = [[Worse(0.1), WithinNoise], [Better(0.1), Better(0.2)], [WithinNoise, Worse(0.2)]];
        assert_eq!(of(won), Outcome::Won(1));
        assert_eq!(of([[WithinNoise; 2]; 3]), Outcome::Open);
        assert_eq!(of([[Hidden; 2]; 3]), Outcome::Hidden);
        assert_eq!(of([[Unknown; 2]; 3]), Outcome::Unknown);
        // The third was held back and is beaten by nobody that is known.
        let hidden = [[Worse(0.1), Hidden], [Better(0.1), Hidden], [Hidden, Hidden]];
        assert_eq!(of(hidden), Outcome::Hidden);
        let failed = [[Worse(0.1), Failed], [Better(0.1), Failed], [Failed, Failed]];
        assert_eq!(of(failed), Outcome::Failed);
        // One that was held back does not matter where all others are beaten, itself too.
        let open = [[WithinNoise, Hidden], [WithinNoise, Better(0.1)], [Hidden, Worse(0.1)]];
        assert_eq!(of(open), Outcome::Open);
    }

    fn tally() -> Tally {
        Tally { better: vec![0.1; 9], rounds: 3, ..Tally::default() }
    }

    #[test]
    fn each_direction_is_judged_for_itself() {
        let both = Tally { worse: vec![0.3], ..tally() };
        let expected = "higher in 9 of 10 settings, by 10 %; appears lower in 1 of 10 settings, by \
                        30 %, no more than chance may give";
        assert_eq!(tally_in_words(&both, Metric::RequestsPerSecond), expected);
    }

    #[test]
    fn what_a_ranking_rests_on_is_told() {
        let said = |tally: &Tally| tally_in_words(tally, Metric::CpuPerRequest);
        let unlike = said(&Tally { unlike: 3, favoured: 2, ..tally() });
        assert!(
            unlike.contains(
                "in 3 of these one of the two was busier by more than 10 % of a core: the cheaper one in 2,"
            ),
            "{unlike}"
        );
        assert!(said(&Tally { unlike: 3, ..tally() }).contains("always the dearer one"));
        assert!(said(&Tally { at_least: 4, ..tally() }).contains("in 4 of these by that or more"));
        assert!(said(&Tally { failed: 2, ..tally() }).ends_with("; 2 not compared: a request failed"));
    }
}
