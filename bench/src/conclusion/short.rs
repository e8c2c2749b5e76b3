//! The conclusion for those who read no more: a table of differences and two sentences.

use super::{base_and_others, load};
use crate::compare::{Judgement, Noise, Tally, judge};
use crate::plan::{Kind, Setting, Subject};
use crate::row::Row;
use crate::setup::Setup;
use crate::stats::Spread;
use crate::summary::{Counts, Metric, Series};
use crate::words::whole;

/// What was found.
#[derive(Debug)]
pub struct Short {
    /// Whether everything was answered.
    pub answered: Option<String>,
    /// Which subject the others are held against.
    pub base: String,
    /// All others.
    pub against: Vec<Against>,
    /// What a request costs where all have the same load.
    pub cost: Option<String>,
}

/// One subject against the base, over the settings of all closed-loop tools.
#[derive(Debug, PartialEq)]
pub struct Against {
    /// Who.
    pub subject: String,
    /// In CPU time of the proxy a request.
    pub cpu: Difference,
    /// In requests a second.
    pub requests: Difference,
}

/// By how much two subjects differ.
#[derive(Debug, PartialEq)]
pub struct Difference {
    /// How many settings were run with both.
    pub settings: usize,
    /// In how many the two could be compared.
    pub compared: usize,
    /// In how many of these the subject's median was the higher one.
    pub higher: usize,
    /// The median over these of the difference, a fraction of the base's figure.
    pub median: Option<f64>,
    /// In how many the subject's figure was higher and ranked.
    pub ranked_higher: Ranked,
    /// The same of a lower one.
    pub ranked_lower: Ranked,
}

/// Differences outside the noise that point one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranked {
    /// How many.
    pub count: usize,
    /// Whether they are more than chance may give.
    pub is_sure: bool,
}

/// From the figures.
pub(super) fn in_short(setup: &Setup, rows: &[Row], series: &Series<'_>, noise: &Noise) -> Short {
    let (base, against) = base_and_others(series).map_or_else(Default::default, |(base, others)| {
        let against = others.iter().map(|other| against(series, noise, (other, &base))).collect();
        (base.name, against)
    });
    Short {
        answered: answered(rows),
        base,
        against,
        cost: setup.plan.open.and_then(|open| load::in_short(open, series)),
    }
}

fn answered(rows: &[Row]) -> Option<String> {
    let chosen: Vec<&Row> =
        rows.iter().filter(|row| row.is_good() && row.cell.subject.kind == Kind::Runtime).collect();
    let Counts { completed, failed, non_2xx, .. } = Counts::of(&chosen);
    let [completed, failed, non_2xx] = [completed, failed, non_2xx].map(|count| whole(count as f64));
    (!chosen.is_empty()).then(|| {
        format!(
            "Ringway answered {completed} requests, those with dead backends among them; {failed} failed and {non_2xx} had \
             another answer than 2xx."
        )
    })
}

fn against(series: &Series<'_>, noise: &Noise, pair: (&Subject, &Subject)) -> Against {
    let difference = |metric| {
        let settings = series.settings().into_iter().filter(|setting| !setting.tool.is_open());
        let judged = settings.map(|setting| (setting, judge(series, noise, pair, setting, metric)));
        difference(series, pair, &judged.collect::<Vec<_>>(), metric)
    };
    Against {
        subject: pair.0.name.clone(),
        cpu: difference(Metric::CpuPerRequest),
        requests: difference(Metric::RequestsPerSecond),
    }
}

fn difference(
    series: &Series<'_>,
    (subject, base): (&Subject, &Subject),
    judged: &[(Setting, Judgement)],
    metric: Metric,
) -> Difference {
    let median = |subject, setting| Some(series.spread(subject, setting, metric)?.median);
    let change = |setting| Some(median(subject, setting)? / median(base, setting)? - 1.0);
    let compared = judged.iter().filter(|(_, judgement)| judgement.is_compared());
    let changes: Vec<f64> = compared.filter_map(|(setting, _)| change(*setting)).collect();
    let tally = Tally::of(judged.iter().map(|(_, judgement)| *judgement));
    let ranked = |count| Ranked { count, is_sure: tally.is_sure(count) };
    let (better, worse) = (ranked(tally.better.len()), ranked(tally.worse.len()));
    let (ranked_higher, ranked_lower) =
        if metric.is_more_better() { (better, worse) } else { (worse, better) };
    Difference {
        settings: tally.settings(),
        compared: tally.compared(),
        higher: changes.iter().filter(|change| **change > 0.0).count(),
        median: Spread::of(changes).map(|spread| spread.median),
        ranked_higher,
        ranked_lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::Bound;
    use crate::testing::{row, setup, twin};

    #[test]
    fn differences_are_of_what_could_be_compared() {
        let of_round = |round| {
            let mut rows =
                [row(round, "ring", 100.0), twin(round, "ring", 101.0), row(round, "threads", 80.0)];
            rows[2].bound = Bound::Client;
            rows
        };
        let rows: Vec<Row> = (1..=5).flat_map(of_round).collect();
        let series = Series::new(&rows);
        let short = in_short(&setup(), &rows, &series, &Noise::new(&series));
        let expected = "Ringway answered 150,000 requests, those with dead backends among them; 0 failed and 0 had another answer \
                        than 2xx.";
        assert_eq!((short.answered.as_deref(), short.base.as_str()), (Some(expected), "ring"));
        let [threads] = &short.against[..] else { panic!("{short:?}") };
        let none = Ranked { count: 0, is_sure: false };
        let cpu = &threads.cpu;
        assert_eq!((cpu.settings, cpu.compared, cpu.higher), (1, 1, 1));
        assert!((cpu.median.unwrap() - 0.25).abs() < 1e-9, "{cpu:?}");
        assert_eq!((cpu.ranked_higher, cpu.ranked_lower), (Ranked { count: 1, is_sure: true }, none));
        let hidden = Difference {
            settings: 1,
            compared: 0,
            higher: 0,
            median: None,
            ranked_higher: none,
            ranked_lower: none,
        };
        assert_eq!(threads.requests, hidden, "the client held it back");
    }
}
