//! The conclusion, in words, from the figures alone: which was faster at what, by how much, outside the noise or not.

mod dead;
mod load;
mod models;
mod noise;
mod omission;
mod ranking;
mod short;

use crate::bound::{DISTURBING_PCT, is_disturbed};
use crate::compare::Noise;
use crate::plan::{Kind, Setting, Subject, Tool};
use crate::row::Row;
use crate::setup::Setup;
use crate::stats::Spread;
use crate::summary::{Counts, Series, shares_pct};
use crate::words::{counted, list, whole};
pub(crate) use omission::threshold_ms;
pub use short::{Against, Difference, Ranked, Short};

/// A heading and what is to be said below it, a sentence or two an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A question.
    pub question: String,
    /// The answers. Names stand in backticks.
    pub answers: Vec<String>,
}

impl Finding {
    fn new(question: &str, answers: Vec<String>) -> Self {
        Self { question: question.to_owned(), answers }
    }
}

/// Everything that the figures say.
#[derive(Debug)]
pub struct Conclusion {
    /// For those who read no more.
    pub short: Short,
    /// All of it.
    pub findings: Vec<Finding>,
}

/// Draws the conclusion.
#[must_use]
pub fn conclude(setup: &Setup, rows: &[Row]) -> Conclusion {
    let series = Series::new(rows);
    let noise = Noise::new(&series);
    let mut findings = vec![Finding::new("Was the machine quiet?", quiet(&series, rows))];
    findings.push(Finding::new("Was every request answered?", answered(&series, rows)));
    findings.extend(models::threaded_or_asynchronous(setup, &series, &noise));
    findings.extend(ranking::who_was_ahead(&series, &noise));
    findings.extend(ranking::comparisons(&series, &noise));
    findings.push(load::at_equal_load(setup.plan.open, &series));
    findings.push(omission::hidden_by_omission(setup.plan.open, &series));
    findings.push(Finding::new("Did the backends get equal shares?", shares(&series)));
    findings.push(Finding::new("How large is the noise?", noise::size(&series, &noise)));
    findings.push(Finding::new("How much of this would chance give?", noise::chance(&series, &noise)));
    findings.push(Finding::new("What was the bottleneck?", bottlenecks(rows)));
    findings.retain(|finding| !finding.answers.is_empty());
    Conclusion { short: short::in_short(setup, rows, &series, &noise), findings }
}

fn of_kind(series: &Series<'_>, kind: Kind) -> Vec<Subject> {
    series.subjects().into_iter().filter(|subject| subject.kind == kind).collect()
}

/// The runtime that the others are held against: the first of the experiment.
fn base(rows: &[Subject]) -> Option<&Subject> {
    rows.iter().find(|subject| subject.name == "ring").or_else(|| rows.first())
}

const IN_BOTH_COUNTS: &str = "`ab` calls an answer failed that has another length than the first one, so an error page is in both counts.";

/// The base, and all that are held against it: the other runtimes, then the peers.
fn base_and_others(series: &Series<'_>) -> Option<(Subject, Vec<Subject>)> {
    let base = base(&of_kind(series, Kind::Runtime)).cloned()?;
    let mut others = series.proxies();
    others.retain(|subject| *subject != base);
    Some((base, others))
}

fn answered(series: &Series<'_>, rows: &[Row]) -> Vec<String> {
    let mut answers = Vec::new();
    for (kind, who) in [(Kind::Runtime, "Ringway"), (Kind::Peer, "the other proxies")] {
        for (is_whole, where_) in [(true, "with all backends alive"), (false, "with some of them dead")] {
            let chosen = |row: &&Row| {
                let Setting { configured, alive, .. } = row.cell.setting;
                row.is_good() && row.cell.subject.kind == kind && (configured == alive) == is_whole
            };
            let chosen: Vec<&Row> = rows.iter().filter(chosen).collect();
            if !chosen.is_empty() {
                answers.push(answered_by(who, where_, Counts::of(&chosen)));
            }
        }
    }
    let is_in_both = |row: &Row| row.warmup_failed > 0 || (row.answers.failed > 0 && row.answers.non_2xx > 0);
    if rows.iter().any(|row| row.is_good() && is_in_both(row)) {
        answers.push(IN_BOTH_COUNTS.to_owned());
    }
    answers.extend(dead::when_they_are_met(series));
    let broken = rows.iter().filter(|row| !row.is_good()).count();
    if broken > 0 {
        answers.push(format!("{} could not be made; the raw figures say why.", counted(broken, "run")));
    }
    answers
}

fn answered_by(who: &str, where_: &str, counts: Counts) -> String {
    let Counts { completed, failed, non_2xx, warmup_failed } = counts;
    let number = |count: u64| whole(count as f64);
    format!(
        "Of {} requests through {who} {where_}, {} failed and {} had another answer than 2xx; before the \
         measurements, while it warmed up, the two counts came to {} together.",
        number(completed),
        number(failed),
        number(non_2xx),
        number(warmup_failed)
    )
}

fn shares(series: &Series<'_>) -> Vec<String> {
    let mut answers = Vec::new();
    for kind in [Kind::Runtime, Kind::Peer] {
        for subject in of_kind(series, kind) {
            let deviation = |setting: Setting| {
                let shares = shares_pct(series.rows(&subject, setting, false));
                let equal = 100.0 / shares.len().max(1) as f64;
                shares.into_iter().map(|share| (share - equal).abs()).reduce(f64::max)
            };
            let mut settings = series.settings();
            // The only one has all.
            settings.retain(|setting| setting.alive > 1);
            let deviations = settings.iter().filter_map(|setting| Some((deviation(*setting)?, *setting)));
            let worst = deviations.max_by(|a, b| a.0.total_cmp(&b.0));
            answers.extend(worst.map(|(points, setting)| {
                format!(
                    "`{}`: a backend's share was at most {points:.2} percentage points off an equal one ({}, `{}`, {} \
                     at a time).",
                    subject.name,
                    setting.backends(),
                    setting.tool.title(),
                    setting.concurrency
                )
            }));
        }
    }
    answers
}

fn bottlenecks(rows: &[Row]) -> Vec<String> {
    let mut answers = Vec::new();
    for tool in Tool::CLOSED {
        let proxied = |row: &&Row| {
            row.is_good() && row.cell.setting.tool == tool && row.cell.subject.kind != Kind::Direct
        };
        let runs: Vec<&Row> = rows.iter().filter(proxied).collect();
        if runs.is_empty() {
            continue;
        }
        let mut bounds: Vec<_> = runs.iter().map(|row| row.bound).collect();
        bounds.sort();
        bounds.dedup();
        let parts: Vec<String> = bounds
            .into_iter()
            .map(|bound| {
                let count = runs.iter().filter(|row| row.bound == bound).count();
                format!("{} in {count}", bound.title())
            })
            .collect();
        answers.push(format!(
            "`{}`: of {} through a proxy: {}.",
            tool.title(),
            counted(runs.len(), "run"),
            list(&parts)
        ));
    }
    answers
}

/// What other programs did meanwhile.
fn quiet(series: &Series<'_>, rows: &[Row]) -> Vec<String> {
    let good: Vec<&Row> = rows.iter().filter(|row| row.is_good()).collect();
    let disturbed = good.iter().filter(|row| is_disturbed(&row.cpu)).count();
    let Some(taken) = Spread::of(good.iter().map(|row| row.cpu.foreign_pct)) else { return Vec::new() };
    let worst = good.iter().max_by(|a, b| a.cpu.foreign_pct.total_cmp(&b.cpu.foreign_pct));
    let worst = worst.and_then(|row| row.foreign_most.as_deref());
    let mostly = worst.map(|name| format!(", mostly by `{name}`")).unwrap_or_default();
    let stolen = Spread::of(good.iter().map(|row| row.cpu.stolen_pct)).map_or(0.0, |stolen| stolen.high);
    let told = format!(
        "Other programs and the host took more than {DISTURBING_PCT:.0} % of a core in {} of {}. Programs took {:.1} % in \
         the median run and {:.1} % at most{mostly}; the host at most {stolen:.1} %.",
        whole(disturbed as f64),
        counted(good.len(), "run"),
        taken.median,
        taken.high,
    );
    let many =
        "**This machine was not quiet**: take the figures for a trial, not for a measurement.".to_owned();
    let mut answers = if 4 * disturbed > good.len() { vec![many, told] } else { vec![told] };
    answers.extend(noise::within_a_round(series));
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{row, setup, twin};

    fn said(rows: &[Row]) -> String {
        let findings = conclude(&setup(), rows).findings;
        let lines = findings.iter().flat_map(|finding| {
            std::iter::once(finding.question.clone()).chain(finding.answers.iter().cloned())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn rounds(threads: f64) -> Vec<Row> {
        let of_round =
            |round| [row(round, "ring", 100.0), twin(round, "ring", 101.0), row(round, "threads", threads)];
        (1..=5).flat_map(of_round).collect()
    }

    #[test]
    fn the_faster_one_is_named_with_its_lead() {
        let text = said(&rounds(80.0));
        assert!(text.contains(
            "With `wrk`, by requests a second: of 1 setting, `ring` was ahead of every other in 1."
        ));
        assert!(text.contains("`wrk`, requests a second: lower in 1 of 1 setting, by 20 %."), "{text}");
        assert!(
            text.contains("`wrk`, CPU time of the proxy a request: higher in 1 of 1 setting, by 25 %."),
            "{text}"
        );
        let text = said(&rounds(125.0));
        assert!(text.contains("`threads` was ahead of every other in 1"), "{text}");
    }

    #[test]
    fn what_chance_may_give_is_not_called_certain() {
        let mut rows = rounds(80.0);
        rows.retain(|row| row.round <= 3);
        let text = said(&rows);
        let expected =
            "requests a second: appears lower in 1 of 1 setting, by 20 %, no more than chance may give.";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("`ring` appears to have been ahead of every other in 1."), "{text}");
    }

    #[test]
    fn inside_the_noise_nobody_is_named() {
        let text = said(&rounds(101.5));
        assert!(!text.contains("ahead of every other in"), "{text}");
        assert!(
            text.contains("requests a second: no difference outside the noise in 1 of 1 setting."),
            "{text}"
        );
    }

    #[test]
    fn a_client_as_bottleneck_ranks_nothing_but_cpu_time() {
        let mut rows = rounds(80.0);
        rows.iter_mut().for_each(|row| row.bound = crate::bound::Bound::Client);
        let text = said(&rows);
        assert!(text.contains("requests a second: of 1 setting, in 1 the client"), "{text}");
        assert!(
            text.contains("Of 1 pair of runtimes, 0 could be ranked and 1 hidden by the client"),
            "{text}"
        );
        assert!(text.contains("CPU time of the proxy a request: of 1 setting, `ring` was ahead"), "{text}");
    }

    #[test]
    fn a_busy_machine_is_told_first() {
        let mut rows = rounds(80.0);
        assert!(!said(&rows).contains("not quiet"));
        rows.iter_mut().for_each(|row| row.cpu.foreign_pct = 30.0);
        let text = said(&rows);
        assert!(text.starts_with("Was the machine quiet?\n**This machine was not quiet**"), "{text}");
        rows[0].cpu.foreign_pct = 35.0;
        rows[0].foreign_most = Some("rustc".to_owned());
        let text = said(&rows);
        assert!(text.contains("30.0 % in the median run and 35.0 % at most, mostly by `rustc`;"), "{text}");
    }

    #[test]
    fn a_setting_with_a_failed_request_is_counted_and_not_compared() {
        let mut rows = rounds(80.0);
        rows[0].answers.failed = 1;
        let text = said(&rows);
        assert!(text.contains("`wrk`, requests a second: 1 not compared: a request failed."), "{text}");
        assert!(text.contains("of 1 setting, in 1 a request failed, or a run is missing"), "{text}");
    }

    #[test]
    fn failures_and_shares_are_told() {
        let mut rows = rounds(80.0);
        rows[0].answers.non_2xx = 7;
        rows[0].shares = vec![2100, 1900, 2000, 2000, 2000];
        let text = said(&rows);
        assert!(
            text.contains("150,000 requests through Ringway with all backends alive, 0 failed and 7 had"),
            "{text}"
        );
        assert!(!text.contains("is in both counts"));
        rows[0].warmup_failed = 4;
        let both = said(&rows);
        assert!(
            both.contains("the two counts came to 4 together.") && both.contains("is in both counts"),
            "{both}"
        );
        assert!(text.contains("`ring`: a backend's share was at most 0.20 percentage points off"), "{text}");
    }
}
