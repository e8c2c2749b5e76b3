//! The question that the experiment was made for: a thread for each connection, or asynchronous?

use super::ranking::{by_how_much, tally, tally_in_words};
use super::{Finding, base, of_kind};
use crate::chance::{RARE, ahead_of_all, at_least};
use crate::compare::{Judgement, Noise, Tally, Verdict, judge};
use crate::plan::{Kind, Subject, Tool};
use crate::setup::Setup;
use crate::summary::{Metric, Series};
use crate::words::{counted, list};

/// The runtime with a thread for each connection.
const THREADED: &str = "threads";

/// What `auto` takes where it can.
const DEFAULT: &str = "ring";

/// What was found in the settings of one tool and metric.
#[derive(Debug, Default)]
struct Found {
    /// By how much it was ahead of the nearest asynchronous runtime, where it was ahead of all.
    ahead: Vec<f64>,
    /// By how much it was behind the nearest one, where it was behind all.
    behind: Vec<f64>,
    /// Where it was neither.
    between: usize,
    /// Where client or backend was the bottleneck of one that decides it.
    hidden: usize,
    /// Where a request failed, or a run is missing.
    failed: usize,
    /// The fewest rounds of any comparison.
    rounds: usize,
}

/// The threaded runtime against all asynchronous ones together and against the first of them, if both models were run.
pub(super) fn threaded_or_asynchronous(setup: &Setup, series: &Series<'_>, noise: &Noise) -> Option<Finding> {
    let runtimes = of_kind(series, Kind::Runtime);
    let (threaded, asynchronous): (Vec<_>, Vec<_>) =
        runtimes.into_iter().partition(|subject| subject.name == THREADED);
    let threaded = threaded.into_iter().next()?;
    let first = base(&asynchronous)?;
    let names: Vec<String> = asynchronous.iter().map(|subject| format!("`{}`", subject.name)).collect();
    let mut answers = vec![format!(
        "Threaded is `{THREADED}`; asynchronous {} {}. A model is ahead where it was ahead of all of the other by more \
         than the noise, so one slow asynchronous runtime is enough for neither to be. Beside that stands `{}` alone{}.",
        if names.len() == 1 { "is" } else { "are" },
        list(&names),
        first.name,
        if first.name == DEFAULT { ", which is the default wherever the kernel allows it" } else { "" }
    )];
    for tool in Tool::CLOSED {
        for metric in Metric::ALL {
            let by_setting = series.settings_of(tool).into_iter().map(|setting| {
                let against = |other| judge(series, noise, (&threaded, other), setting, metric);
                asynchronous.iter().map(against).collect::<Vec<_>>()
            });
            let found = found(by_setting);
            let by_chance = ahead_of_all(asynchronous.len() + 1, found.rounds);
            let Some(models) = in_words(&found, by_chance) else { continue };
            let alone = tally(series, noise, (first, &threaded), (tool, metric));
            let alone = alone_in_words(first, &alone, metric).unwrap_or_default();
            answers.push(format!("With `{}`, by {}: {models}.{alone}", tool.title(), metric.title()));
        }
    }
    answers.push(scope(setup));
    Some(Finding::new("Threaded or asynchronous: which model was faster at what?", answers))
}

fn alone_in_words(first: &Subject, tally: &Tally, metric: Metric) -> Option<String> {
    let said = || format!(" `{}` alone against `{THREADED}`: {}.", first.name, tally_in_words(tally, metric));
    (tally.settings() > 0).then(said)
}

/// What the answer is about, and nothing beyond it.
fn scope(setup: &Setup) -> String {
    let connections = setup.plan.concurrency.iter().copied().max().unwrap_or(0);
    format!(
        "This is said of GET requests for a few bytes over the loopback interface, of {} for the proxy and of at most {} \
         at a time. It says nothing about hundreds of connections, which is what the asynchronous model is for, about \
         large bodies, or about more cores.",
        counted(setup.placement.proxy.len(), "core"),
        counted(connections as usize, "connection"),
    )
}

fn found(settings: impl Iterator<Item = Vec<Judgement>>) -> Found {
    let mut found = Found::default();
    for judgements in settings {
        let verdicts: Vec<Verdict> = judgements.iter().map(|judgement| judgement.verdict).collect();
        let of = |pick: fn(&Verdict) -> Option<f64>| {
            verdicts.iter().map(pick).collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::min)
        };
        let ahead = of(|verdict| if let Verdict::Better(by) = verdict { Some(*by) } else { None });
        let behind = of(|verdict| if let Verdict::Worse(by) = verdict { Some(*by) } else { None });
        let is_any = |wanted: fn(&Verdict) -> bool| verdicts.iter().any(wanted);
        let is_level = is_any(|verdict| *verdict == Verdict::WithinNoise);
        let is_between = is_any(|verdict| matches!(verdict, Verdict::Better(_)))
            && is_any(|verdict| matches!(verdict, Verdict::Worse(_)));
        match (ahead, behind) {
            _ if verdicts.iter().all(|verdict| *verdict == Verdict::Unknown) => continue,
            (Some(by), _) => found.ahead.push(by),
            (None, Some(by)) => found.behind.push(by),
            (None, None) if is_level || is_between => found.between += 1,
            (None, None) if verdicts.contains(&Verdict::Hidden) => found.hidden += 1,
            (None, None) => found.failed += 1,
        }
        let rounds = Tally::of(judgements).rounds;
        found.rounds = if found.rounds == 0 { rounds } else { found.rounds.min(rounds) };
    }
    found
}

fn in_words(found: &Found, by_chance: f64) -> Option<String> {
    let compared = found.ahead.len() + found.behind.len() + found.between;
    let all = compared + found.hidden + found.failed;
    let side = |model: &str, by: &[f64]| {
        let is_sure = 2.0 * at_least(by.len(), compared + found.hidden, by_chance) <= RARE;
        let was = if is_sure { "was" } else { "appears to have been" };
        Some(format!("{model} {was} ahead in {}, by {} at the closest", by.len(), by_how_much(by)?))
    };
    let sides = [side("the threaded model", &found.ahead), side("the asynchronous one", &found.behind)];
    let mut parts: Vec<String> = sides.into_iter().flatten().collect();
    let rest = [
        (found.between, "neither by more than the noise"),
        (found.hidden, "the client or the backend was the bottleneck of one that decides it"),
        (found.failed, "a request failed, or a run is missing"),
    ];
    parts.extend(rest.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("in {n} {what}")));
    (all > 0).then(|| format!("of {}, {}", counted(all, "setting"), parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::testing::{row, setup, twin};

    fn said(threads: f64) -> String {
        let of_round = |round| {
            [
                row(round, "ring", 100.0),
                twin(round, "ring", 101.0),
                row(round, "monoio", 90.0),
                row(round, "threads", threads),
            ]
        };
        let rows: Vec<Row> = (1..=5).flat_map(of_round).collect();
        let series = Series::new(&rows);
        threaded_or_asynchronous(&setup(), &series, &Noise::new(&series)).unwrap().answers.join("\n")
    }

    #[test]
    fn the_model_that_was_faster_is_named_with_its_lead_over_the_nearest() {
        let behind = said(75.0);
        assert!(behind.contains("asynchronous are `ring` and `monoio`."), "{behind}");
        let expected =
            "With `wrk`, by requests a second: of 1 setting, the asynchronous one was ahead in 1, by 17 %";
        assert!(behind.contains(expected), "{behind}");
        assert!(said(150.0).contains("the threaded model was ahead in 1, by 50 % at the closest."));
        let between = said(95.0);
        assert!(between.contains("of 1 setting, in 1 neither by more than the noise."), "{between}");
        let alone = "`ring` alone against `threads`: higher in 1 of 1 setting, by 5.3 %.";
        assert!(between.contains(alone), "{between}");
        assert!(
            between.contains("of 1 core for the proxy and of at most 10 connections at a time."),
            "{between}"
        );
    }

    #[test]
    fn with_one_model_there_is_no_such_question() {
        let rows = [row(1, "ring", 100.0)];
        let series = Series::new(&rows);
        assert!(threaded_or_asynchronous(&setup(), &series, &Noise::new(&series)).is_none());
    }
}
