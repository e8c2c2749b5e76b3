//! The conclusion in a few sentences, for those who read no more.

use super::{base, load, of_kind};
use crate::compare::{Noise, Tally, judge};
use crate::plan::{Kind, Subject};
use crate::row::Row;
use crate::setup::Setup;
use crate::stats::Spread;
use crate::summary::{Counts, Metric, Series};
use crate::words::{counted, percent, whole};

/// Which figures stand in it.
const METRICS: [Metric; 2] = [Metric::CpuPerRequest, Metric::RequestsPerSecond];

/// Whether all was answered, how the others differ from the default runtime, and what a request costs.
pub(super) fn in_short(setup: &Setup, rows: &[Row], series: &Series<'_>, noise: &Noise) -> Vec<String> {
    let mut sentences: Vec<String> = answered(rows).into_iter().collect();
    let runtimes = of_kind(series, Kind::Runtime);
    if let Some(base) = base(&runtimes) {
        let others = runtimes.iter().filter(|subject| *subject != base).cloned();
        let others = others.chain(of_kind(series, Kind::Peer));
        sentences.extend(others.filter_map(|other| against(series, noise, (&other, base))));
    }
    sentences.extend(setup.plan.open.and_then(|open| load::in_short(open, series)));
    sentences
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

/// Over the settings of all tools together.
fn against(series: &Series<'_>, noise: &Noise, pair: (&Subject, &Subject)) -> Option<String> {
    let (other, base) = pair;
    let figure = |metric| {
        let settings = series.settings().into_iter().filter(|setting| !setting.tool.is_open());
        let tally = Tally::of(settings.map(|setting| judge(series, noise, pair, setting, metric)));
        (tally.settings() > 0).then(|| in_words(&tally, metric))
    };
    let figures: Vec<String> = METRICS.into_iter().filter_map(figure).collect();
    let found = format!("`{}` against `{}`: {}.", other.name, base.name, figures.join("; "));
    (!figures.is_empty()).then_some(found)
}

/// `requests a second of 9 settings: lower in 6 (by 12 % in the median), higher in none, 3 within the noise`.
fn in_words(tally: &Tally, metric: Metric) -> String {
    let (better, worse) = if metric.is_more_better() { ("higher", "lower") } else { ("lower", "higher") };
    let mut parts = [direction(tally, better, &tally.better), direction(tally, worse, &tally.worse)];
    if tally.worse.len() > tally.better.len() {
        parts.reverse();
    }
    let mut parts = parts.to_vec();
    let rest = [
        (tally.within_noise, "within the noise"),
        (tally.hidden, "hidden by the client or the backend"),
        (tally.failed, "with a failed request"),
    ];
    parts.extend(rest.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    format!("{} in {}: {}", metric.title(), counted(tally.settings(), "setting"), parts.join(", "))
}

fn direction(tally: &Tally, word: &str, changes: &[f64]) -> String {
    let found = changes.len();
    let Some(by) = Spread::of(changes.iter().copied()) else { return format!("{word} in none") };
    let chance = if tally.is_sure(found) { "" } else { ", no more than chance may give" };
    format!("{word} in {found} (by {} in the median{chance})", percent(by.median))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{OpenLoop, Tool};
    use crate::testing::{row, setup, twin};

    #[test]
    fn all_that_matters_is_told_in_three_sentences() {
        let of_round =
            |round| [row(round, "ring", 100.0), twin(round, "ring", 101.0), row(round, "threads", 80.0)];
        let mut rows: Vec<Row> = (1..=5).flat_map(of_round).collect();
        rows[0].answers.completed = 9_000;
        let mut open = row(1, "ring", 2000.0);
        open.cell.setting.tool = Tool::Oha;
        open.cpu.proxy_us_per_request = Some(60.0);
        rows.push(open);
        let mut setup = setup();
        setup.plan.open = Some(OpenLoop { rate: 2000, seconds: 5, connections: 10 });
        let series = Series::new(&rows);
        let said = in_short(&setup, &rows, &series, &Noise::new(&series));
        let expected = [
            "Ringway answered 159,000 requests, those with dead backends among them; 0 failed and 0 had another answer \
             than 2xx.",
            "`threads` against `ring`: CPU time of the proxy a request in 1 setting: higher in 1 (by 25 % in the median), \
             lower in none; requests a second in 1 setting: lower in 1 (by 20 % in the median), higher in none.",
            "At 2,000 requests a second, the same for all, the CPU time of a request was 60.0 µs with `ring`.",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn what_chance_may_give_is_told_and_what_was_not_compared() {
        let tally = Tally {
            better: vec![0.1; 9],
            worse: vec![0.3],
            within_noise: 2,
            hidden: 3,
            failed: 1,
            rounds: 3,
            ..Tally::default()
        };
        let expected = "CPU time of the proxy a request in 16 settings: lower in 9 (by 10 % in the median), higher in 1 (by 30 % \
                        in the median, no more than chance may give), 2 within the noise, 3 hidden by the client or the \
                        backend, 1 with a failed request";
        assert_eq!(in_words(&tally, Metric::CpuPerRequest), expected);
    }
}
