//! The question that the experiment was made for: a thread for each connection, or asynchronous?

use super::{Finding, of_kind};
use crate::chance::{RARE, ahead_of_all, at_least};
use crate::compare::{Noise, Verdict, verdict};
use crate::plan::{Kind, Setting, Tool};
use crate::stats::Spread;
use crate::summary::{Metric, Series};
use crate::words::{counted, list, percent};

/// The runtime with a thread for each connection.
const THREADED: &str = "threads";

/// What was found in the settings of one tool and metric.
#[derive(Debug, Default)]
struct Found {
    /// By how much it was ahead of the nearest asynchronous runtime, where it was ahead of all.
    ahead: Vec<f64>,
    /// By how much it was behind the nearest one, where it was behind all.
    behind: Vec<f64>,
    /// Where it was neither.
    between: usize,
    /// Where client or backend was the bottleneck.
    hidden: usize,
}

/// The threaded runtime against all asynchronous ones together, if both models were run.
pub(super) fn threaded_or_asynchronous(series: &Series<'_>, noise: &Noise) -> Option<Finding> {
    let runtimes = of_kind(series, Kind::Runtime);
    let (threaded, asynchronous): (Vec<_>, Vec<_>) =
        runtimes.into_iter().partition(|subject| subject.name == THREADED);
    let threaded = threaded.into_iter().next().filter(|_| !asynchronous.is_empty())?;
    let names: Vec<String> = asynchronous.iter().map(|subject| format!("`{}`", subject.name)).collect();
    let by_chance = ahead_of_all(asynchronous.len() + 1, series.rounds());
    let mut answers = vec![format!(
        "Threaded is `{THREADED}`; asynchronous {} {}. Ahead is who was ahead of all of the other model by more than the \
         noise.",
        if names.len() == 1 { "is" } else { "are" },
        list(&names)
    )];
    for tool in Tool::CLOSED {
        let settings: Vec<Setting> =
            series.settings().into_iter().filter(|setting| setting.tool == tool).collect();
        for metric in Metric::ALL {
            let verdicts = settings.iter().map(|setting| {
                let against = |other| verdict(series, noise, (&threaded, other), *setting, metric);
                asynchronous.iter().map(against).collect::<Vec<_>>()
            });
            let found = found(verdicts);
            answers.extend(
                in_words(&found, by_chance)
                    .map(|said| format!("With `{}`, by {}: {said}.", tool.title(), metric.title())),
            );
        }
    }
    Some(Finding::new("Threaded or asynchronous: which model was faster at what?", answers))
}

fn found(settings: impl Iterator<Item = Vec<Verdict>>) -> Found {
    let mut found = Found::default();
    for verdicts in settings {
        let of = |pick: fn(&Verdict) -> Option<f64>| {
            verdicts.iter().map(pick).collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::min)
        };
        let ahead = of(|verdict| if let Verdict::Better(by) = verdict { Some(*by) } else { None });
        let behind = of(|verdict| if let Verdict::Worse(by) = verdict { Some(*by) } else { None });
        match (ahead, behind) {
            _ if verdicts.iter().all(|verdict| *verdict == Verdict::Unknown) => {}
            _ if verdicts.contains(&Verdict::Hidden) => found.hidden += 1,
            (Some(by), _) => found.ahead.push(by),
            (None, Some(by)) => found.behind.push(by),
            (None, None) => found.between += 1,
        }
    }
    found
}

fn in_words(found: &Found, by_chance: f64) -> Option<String> {
    let compared = found.ahead.len() + found.behind.len() + found.between;
    let all = compared + found.hidden;
    let side = |model: &str, by: &[f64]| {
        let Spread { low, median, high } = Spread::of(by.iter().copied())?;
        let is_sure = 2.0 * at_least(by.len(), compared, by_chance) <= RARE;
        let was = if is_sure { "was" } else { "appears to have been" };
        let by_how_much = if by.len() == 1 {
            percent(median)
        } else {
            format!("{} to {} (median {})", percent(low), percent(high), percent(median))
        };
        Some(format!("{model} {was} ahead in {}, by {by_how_much} at the closest", by.len()))
    };
    let sides = [side("the threaded model", &found.ahead), side("the asynchronous one", &found.behind)];
    let mut parts: Vec<String> = sides.into_iter().flatten().collect();
    if found.between > 0 {
        parts.push(format!("in {} neither by more than the noise", found.between));
    }
    if found.hidden > 0 {
        parts.push(format!(
            "in {} the client or the backend was the bottleneck, so none is ranked",
            found.hidden
        ));
    }
    (all > 0).then(|| format!("of {}, {}", counted(all, "setting"), parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::testing::{row, twin};

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
        threaded_or_asynchronous(&series, &Noise::new(&series)).unwrap().answers.join("\n")
    }

    #[test]
    fn the_model_that_was_faster_is_named_with_its_lead_over_the_nearest() {
        let behind = said(75.0);
        assert!(behind.contains("asynchronous are `ring` and `monoio`."), "{behind}");
        let expected =
            "With `wrk`, by requests a second: of 1 setting, the asynchronous one was ahead in 1, by 17 %";
        assert!(behind.contains(expected), "{behind}");
        assert!(said(150.0).contains("the threaded model was ahead in 1, by 50 % at the closest."));
        assert!(said(95.0).contains("of 1 setting, in 1 neither by more than the noise."));
    }

    #[test]
    fn with_one_model_there_is_no_such_question() {
        let rows = [row(1, "ring", 100.0)];
        let series = Series::new(&rows);
        assert!(threaded_or_asynchronous(&series, &Noise::new(&series)).is_none());
    }
}
