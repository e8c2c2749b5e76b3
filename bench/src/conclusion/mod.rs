//! The conclusion, in words, from the figures alone: which was faster at what, by how much, outside the noise or not.

mod models;
mod noise;
mod omission;

use crate::bound::{DISTURBING_PCT, is_disturbed};
use crate::chance::{RARE, ahead_of_all, at_least};
use crate::compare::{Noise, Tally, Verdict, verdict};
use crate::plan::{Kind, Setting, Subject, Tool};
use crate::row::Row;
use crate::stats::Spread;
use crate::summary::{Counts, Metric, Series, shares_pct};
use crate::words::{counted, list, percent, whole};

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
#[must_use]
pub fn conclude(rows: &[Row]) -> Vec<Finding> {
    let series = Series::new(rows);
    let noise = Noise::new(&series);
    let mut findings = vec![Finding::new("Was the machine quiet?", quiet(rows))];
    findings.push(Finding::new("Was every request answered?", answered(rows)));
    findings.extend(models::threaded_or_asynchronous(&series, &noise));
    findings.extend(who_was_ahead(&series, &noise));
    findings.extend(comparisons(&series, &noise));
    findings.push(omission::hidden_by_omission(&series));
    findings.push(Finding::new("Did the backends get equal shares?", shares(&series)));
    findings.push(Finding::new("How large is the noise?", noise::size(&series, &noise)));
    findings.push(Finding::new("How much of this would chance give?", noise::chance(&series, &noise)));
    findings.push(Finding::new("What was the bottleneck?", bottlenecks(rows)));
    findings.retain(|finding| !finding.answers.is_empty());
    findings
}

fn of_kind(series: &Series<'_>, kind: Kind) -> Vec<Subject> {
    series.subjects().into_iter().filter(|subject| subject.kind == kind).collect()
}

/// The runtime that the others are held against: the first of the experiment.
fn base(rows: &[Subject]) -> Option<&Subject> {
    rows.iter().find(|subject| subject.name == "ring").or_else(|| rows.first())
}

fn answered(rows: &[Row]) -> Vec<String> {
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
         measurements, while it warmed up, {} did.",
        number(completed),
        number(failed),
        number(non_2xx),
        number(warmup_failed)
    )
}

/// For each tool and metric, how often which runtime was better than every other.
fn who_was_ahead(series: &Series<'_>, noise: &Noise) -> Option<Finding> {
    let runtimes = of_kind(series, Kind::Runtime);
    if runtimes.len() < 2 {
        return None;
    }
    let mut answers = Vec::new();
    for tool in Tool::CLOSED {
        let settings: Vec<Setting> =
            series.settings().into_iter().filter(|setting| setting.tool == tool).collect();
        let ahead = |metric| ahead_in(series, noise, &runtimes, &settings, metric);
        answers.extend(Metric::ALL.into_iter().filter_map(|metric| {
            let said = ahead(metric)?;
            Some(format!("With `{}`, by {}: {said}", tool.title(), metric.title()))
        }));
    }
    Some(Finding::new("Which runtime was faster at what?", answers))
}

fn ahead_in(
    series: &Series<'_>,
    noise: &Noise,
    runtimes: &[Subject],
    settings: &[Setting],
    metric: Metric,
) -> Option<String> {
    let against = |setting: Setting, subject: &Subject| -> Vec<Verdict> {
        let others = runtimes.iter().filter(|other| *other != subject);
        others.map(|other| verdict(series, noise, (subject, other), setting, metric)).collect()
    };
    let is_ahead = |setting: Setting, subject: &Subject| {
        against(setting, subject).iter().all(|verdict| matches!(verdict, Verdict::Better(_)))
    };
    let is_hidden = |setting: &Setting| {
        runtimes.iter().all(|subject| against(*setting, subject).contains(&Verdict::Hidden))
    };
    let is_known = |setting: &&Setting| {
        runtimes.iter().any(|subject| against(**setting, subject).iter().any(|v| *v != Verdict::Unknown))
    };
    let known: Vec<Setting> = settings.iter().filter(is_known).copied().collect();
    let count = |subject: &Subject| known.iter().filter(|setting| is_ahead(**setting, subject)).count();
    let wins: Vec<(String, usize)> =
        runtimes.iter().map(|subject| (format!("`{}`", subject.name), count(subject))).collect();
    let hidden = known.iter().filter(|setting| is_hidden(setting)).count();
    let by_chance = ahead_of_all(runtimes.len(), series.rounds());
    (!known.is_empty()).then(|| ahead_in_words(&wins, known.len(), hidden, by_chance))
}

/// `by_chance`: how often one of them, named beforehand, is ahead of all others though all are equal.
fn ahead_in_words(wins: &[(String, usize)], settings: usize, hidden: usize, by_chance: f64) -> String {
    let won: usize = wins.iter().map(|(_, count)| count).sum();
    let open = settings - won - hidden;
    let ahead: Vec<String> = wins
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| {
            // Any of them might have been the one.
            let is_sure = wins.len() as f64 * at_least(*count, settings - hidden, by_chance) <= RARE;
            let was = if is_sure { "was" } else { "appears to have been" };
            format!("{name} {was} ahead of every other in {count}")
        })
        .collect();
    let mut parts = Vec::new();
    if !ahead.is_empty() {
        parts.push(list(&ahead));
    }
    if open > 0 {
        parts.push(format!("in {open} no runtime was ahead of all others by more than the noise"));
    }
    if hidden > 0 {
        parts.push(format!("in {hidden} the client or the backend was the bottleneck, so none is ranked"));
    }
    format!("of {}, {}.", counted(settings, "setting"), parts.join("; "))
}

/// Every subject against the base, tool by tool.
fn comparisons(series: &Series<'_>, noise: &Noise) -> Vec<Finding> {
    let runtimes = of_kind(series, Kind::Runtime);
    let Some(base) = base(&runtimes) else { return Vec::new() };
    let others = runtimes.iter().filter(|subject| *subject != base).cloned();
    let others = others.chain(of_kind(series, Kind::Peer));
    let finding = |other: Subject| {
        let question = format!("By how much did `{}` differ from `{}`?", other.name, base.name);
        let answers =
            Tool::CLOSED.iter().flat_map(|tool| against_base(series, noise, (&other, base), *tool)).collect();
        Finding::new(&question, answers)
    };
    others.map(finding).collect()
}

fn against_base(
    series: &Series<'_>,
    noise: &Noise,
    (other, base): (&Subject, &Subject),
    tool: Tool,
) -> Vec<String> {
    let settings: Vec<Setting> =
        series.settings().into_iter().filter(|setting| setting.tool == tool).collect();
    let sentence = |metric: Metric| {
        let verdicts = settings.iter().map(|setting| verdict(series, noise, (other, base), *setting, metric));
        let tally = Tally::of(verdicts);
        (tally.settings() > 0).then(|| {
            let said = tally_in_words(&tally, metric, series.rounds());
            format!("`{}`, {}: {said}.", tool.title(), metric.title())
        })
    };
    Metric::ALL.into_iter().filter_map(sentence).collect()
}

/// `lower in 4 of 9 settings, by 3.1 % to 12 % (median 8.0 %); higher in none; …`.
fn tally_in_words(tally: &Tally, metric: Metric, rounds: usize) -> String {
    let (better, worse) = if metric.is_more_better() { ("higher", "lower") } else { ("lower", "higher") };
    let all = tally.settings();
    let mut parts = Vec::new();
    let is_sure = tally.is_sure(rounds);
    let seems = if is_sure { "" } else { "appears " };
    for (word, changes) in [(better, &tally.better), (worse, &tally.worse)] {
        if let Some(Spread { low, median, high }) = Spread::of(changes.iter().copied()) {
            let by = if changes.len() == 1 {
                percent(median)
            } else {
                format!("{} to {} (median {})", percent(low), percent(high), percent(median))
            };
            parts.push(format!("{seems}{word} in {} of {}, by {by}", changes.len(), counted(all, "setting")));
        }
    }
    if tally.within_noise > 0 {
        let within = tally.within_noise;
        parts.push(if parts.is_empty() {
            format!("no difference outside the noise in {within} of {}", counted(all, "setting"))
        } else {
            format!("{within} within the noise")
        });
    }
    if tally.ranked() > 0 && !is_sure {
        parts.push("no more than chance may give".to_owned());
    }
    if tally.hidden > 0 {
        parts.push(format!("{} not ranked, the client or the backend being the bottleneck", tally.hidden));
    }
    parts.join("; ")
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
            let settings = series.settings();
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
fn quiet(rows: &[Row]) -> Vec<String> {
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
    if 4 * disturbed > good.len() { vec![many, told] } else { vec![told] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{row, twin};

    fn said(rows: &[Row]) -> String {
        let findings = conclude(rows);
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
            "requests a second: appears lower in 1 of 1 setting, by 20 %; no more than chance may give.";
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
    fn failures_and_shares_are_told() {
        let mut rows = rounds(80.0);
        rows[0].answers.non_2xx = 7;
        rows[0].shares = vec![2100, 1900, 2000, 2000, 2000];
        let text = said(&rows);
        assert!(
            text.contains("150,000 requests through Ringway with all backends alive, 0 failed and 7 had"),
            "{text}"
        );
        assert!(text.contains("`ring`: a backend's share was at most 0.20 percentage points off"), "{text}");
    }
}
