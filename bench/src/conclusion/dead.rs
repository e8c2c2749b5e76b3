//! When dead backends are met: in the warm-up, or while it is measured too.

use crate::plan::{Setting, Subject};
use crate::stats::Spread;
use crate::summary::{Metric, Series};
use crate::words::{short, whole};

/// How long all proxies are told to leave a backend alone after a failed connect: `bench/peers/`.
const LEFT_ALONE_SECONDS: f64 = 10.0;

/// So many times the p99 that a proxy has with all backends alive is no noise.
const SLOW: f64 = 3.0;

/// What the plan says about it, and who does otherwise.
pub(super) fn when_they_are_met(series: &Series<'_>) -> Vec<String> {
    let broken = series.cells().filter(|cell| cell.setting.alive < cell.setting.configured);
    let rows = broken.flat_map(|cell| series.rows(&cell.subject, cell.setting, cell.is_twin));
    let longest = rows.filter(|row| row.is_good()).map(|row| row.answers.seconds).reduce(f64::max);
    let Some(longest) = longest else { return Vec::new() };
    let what = if longest < LEFT_ALONE_SECONDS {
        "so a dead backend is met in the warm-up and, where a proxy does as it is told, not again while it is measured. The measured counts \
         say how a proxy spreads requests over those that are left, and the warm-up's what its clients see when a backend dies"
    } else {
        "so dead backends are met in the warm-up, and in the longest runs again"
    };
    let is_haproxy = |subject: Subject| subject.name == "haproxy";
    let haproxy = if series.subjects().into_iter().any(is_haproxy) {
        " (HAProxy until a check finds it, once a second)"
    } else {
        ""
    };
    let mut answers = vec![format!(
        "Every proxy here is told to leave a backend alone for {LEFT_ALONE_SECONDS:.0} s after a failed connect{haproxy}, and the longest run with dead backends took {} s: {what}.",
        short(longest)
    )];
    answers.extend(series.proxies().into_iter().filter_map(|subject| who_is_slow(series, &subject)));
    answers
}

/// The setting in which the clients of a proxy waited longest for its dead backends, if they waited at all.
fn who_is_slow(series: &Series<'_>, subject: &Subject) -> Option<String> {
    let p99 = |setting| Some(series.spread(subject, setting, Metric::ClientP99)?.median);
    let of_one = |setting: Setting| {
        let is_its_whole = |other: &Setting| {
            (other.tool, other.concurrency) == (setting.tool, setting.concurrency)
                && other.alive == other.configured
        };
        let whole = series.settings().into_iter().filter(is_its_whole);
        let usual = Spread::of(whole.filter_map(p99))?.median;
        Some((p99(setting)?, usual, setting))
    };
    let broken = series.settings().into_iter().filter(|setting| setting.alive < setting.configured);
    let ratio = |(slow, usual, _): &(f64, f64, Setting)| slow / usual;
    let slow = broken.filter_map(of_one).filter(|found| ratio(found) > SLOW);
    let (slow, usual, setting) = slow.max_by(|a, b| ratio(a).total_cmp(&ratio(b)))?;
    Some(format!(
        "`{}` seems to meet dead backends while it is measured too: with {} (`{}`, {} at a time) the client's p99 was {} µs, and {} µs \
         with all alive.",
        subject.name,
        setting.backends(),
        setting.tool.title(),
        setting.concurrency,
        whole(slow),
        whole(usual)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::testing::row;

    fn said(rows: &[Row]) -> String {
        when_they_are_met(&Series::new(rows)).join("\n")
    }

    fn broken(p99_us: f64) -> Vec<Row> {
        let of_round = |round| {
            let (whole, mut broken) = (row(round, "ring", 100.0), row(round, "ring", 100.0));
            broken.cell.setting.alive = 2;
            broken.answers.latency.p99_us = Some(p99_us);
            [whole, broken].map(|mut row| {
                row.cell.setting.tool = crate::plan::Tool::Ab;
                row
            })
        };
        (1..=3).flat_map(of_round).collect()
    }

    #[test]
    fn the_longest_run_says_where_they_are_met() {
        assert_eq!(said(&[row(1, "ring", 100.0)]), "");
        let mut rows = broken(1e5);
        rows[1].answers.seconds = 2.4;
        let text = said(&rows);
        assert!(
            text.contains("took 2.40 s: so a dead backend is met in the warm-up") && !text.contains("seems"),
            "{text}"
        );
        rows[1].answers.seconds = 12.0;
        assert!(said(&rows).contains("and in the longest runs again."));
    }

    #[test]
    fn who_meets_them_later_is_named() {
        let text = said(&broken(4e5));
        let expected = "`ring` seems to meet dead backends while it is measured too: with 2 of 5 alive (`ab`, 10 at a time) the client's \
                        p99 was 400,000 µs, and 100,000 µs with all alive.";
        assert!(text.ends_with(expected), "{text}");
    }
}
