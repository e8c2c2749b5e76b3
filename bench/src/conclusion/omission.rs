//! What a closed loop does not see, in figures: the same load counted from when requests were due, and when sent.

use super::Finding;
use crate::chance::ranges_apart;
use crate::plan::{OpenLoop, Setting, Subject, Tool};
use crate::stats::Spread;
use crate::summary::{Metric, Series};
use crate::words::{counted, list, percent, short, whole};

/// A subject's p99 over the rounds, counted both ways.
struct Both {
    subject: Subject,
    due: Spread,
    sent: Spread,
    /// The fewer rounds of the two.
    rounds: usize,
}

impl Both {
    fn new(series: &Series<'_>, subject: &Subject, due: Setting) -> Option<Self> {
        let sent = Setting { tool: Tool::OhaUncorrected, ..due };
        let p99 = |setting| series.spread(subject, setting, Metric::ClientP99);
        let rounds = |setting| series.rows(subject, setting, false).len();
        let fewer = rounds(due).min(rounds(sent));
        Some(Self { subject: subject.clone(), due: p99(due)?, sent: p99(sent)?, rounds: fewer })
    }

    /// What the two tell, where only a stall of `threshold_us` shows.
    fn verdict(&self, threshold_us: f64) -> Verdict {
        let is_higher = self.due.low > self.sent.high;
        match (self.rounds > 1, self.due.high < self.sent.low) {
            (true, _) if is_higher && self.due.median > threshold_us => Verdict::Visible,
            (true, _) if is_higher => Verdict::TooShort,
            (true, true) => Verdict::Reversed,
            _ => Verdict::Overlap,
        }
    }

    fn in_words(&self) -> String {
        let told = |spread: Spread| {
            format!("{} µs ({} to {})", whole(spread.median), whole(spread.low), whole(spread.high))
        };
        format!(
            "`{}`: the client's p99 was {} from when requests were due, and {} from when they were sent. The ranges are apart.",
            self.subject.name,
            told(self.due),
            told(self.sent)
        )
    }
}

/// What can be said of the two ways of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Every round counted from when requests were due lies above every one from when they were sent.
    Visible,
    /// So it is, by less than a stall that could have kept requests back.
    TooShort,
    /// It is the other way round, which no omission can do.
    Reversed,
    /// The ranges overlap.
    Overlap,
}

/// The stall in milliseconds from which on a request leaves later than it is due: before, a connection is still free.
pub(crate) fn threshold_ms(open: OpenLoop) -> f64 {
    1e3 * f64::from(open.connections) / f64::from(open.rate.max(1))
}

/// Both ways of counting for everybody who was run at a fixed rate: a difference only where it can be seen.
pub(super) fn hidden_by_omission(open: Option<OpenLoop>, series: &Series<'_>) -> Finding {
    let question = "What does coordinated omission hide?";
    let due = series.cells().filter(|cell| cell.setting.tool == Tool::Oha && !cell.is_twin);
    let all: Vec<Both> = due.filter_map(|cell| Both::new(series, &cell.subject, cell.setting)).collect();
    let (Some(open), Some(rounds)) = (open, all.iter().map(|both| both.rounds).min()) else {
        return Finding::new(question, Vec::new());
    };
    let threshold_us = 1e3 * threshold_ms(open);
    let of = |wanted| all.iter().filter(move |both| both.verdict(threshold_us) == wanted);
    let mut answers: Vec<String> = of(Verdict::Visible).map(Both::in_words).collect();
    let rest = [
        (
            Verdict::Overlap,
            "Not visible here with",
            "over the rounds, the ranges of the client's p99 from when requests were due and \
         from when they were sent overlap",
        ),
        (
            Verdict::TooShort,
            "Not visible here with",
            "the client's p99 is higher from when requests were due in every round, but below what a \
         stall has to last to keep a request back; what is seen is how late the client itself is",
        ),
        (
            Verdict::Reversed,
            "The wrong way round with",
            "the client's p99 is lower from when requests were due in every round, which \
         no omission explains: so much do two runs of the same differ",
        ),
    ];
    for (verdict, what, why) in rest {
        let names: Vec<String> = of(verdict).map(|both| format!("`{}`", both.subject.name)).collect();
        if !names.is_empty() {
            answers.push(format!("{what} {}: {why}.", list(&names)));
        }
    }
    answers.push(format!(
        "At {} requests a second on {} the proxy makes a request leave late only when all of them wait, so when answers stall for more \
         than {} ms. The client starts requests a little late by itself, which raises all figures from when they were due: a \
         shorter difference is no omission.",
        whole(f64::from(open.rate)),
        counted(open.connections as usize, "connection"),
        short(threshold_ms(open))
    ));
    answers.push(format!(
        "The two are different runs, not two readings of one. With {} each, every figure of the one lies above every figure of the other by chance in {} of all \
         cases.",
        counted(rounds, "round"),
        percent(ranges_apart(rounds) / 2.0)
    ));
    Finding::new(question, answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::testing::row;

    fn said(due: [f64; 3], sent: f64) -> String {
        let of = |tool, round, p99| {
            let mut row = row(round, "ring", 2000.0);
            row.cell.setting.tool = tool;
            row.answers.latency.p99_us = Some(p99);
            row
        };
        let of_round = |(round, due)| [of(Tool::Oha, round, due), of(Tool::OhaUncorrected, round, sent)];
        let rows: Vec<Row> = (1..).zip(due).flat_map(of_round).collect();
        let open = OpenLoop { rate: 2000, seconds: 5, connections: 50 };
        hidden_by_omission(Some(open), &Series::new(&rows)).answers.join("\n")
    }

    #[test]
    fn a_difference_is_claimed_where_the_rounds_lie_apart() {
        let text = said([1e5, 2e5, 3e5], 300.0);
        let expected = "`ring`: the client's p99 was 200,000 µs (100,000 to 300,000) from when requests were due, and 300 µs (300 to \
                        300) from when they were sent. The ranges are apart.";
        assert!(text.starts_with(expected) && !text.contains("Not visible"), "{text}");
        assert!(text.contains("by chance in 5.0 %"), "{text}");
    }

    #[test]
    fn what_cannot_be_seen_is_not_claimed_and_the_limit_is_told() {
        for (due, says) in [
            ([250.0, 400.0, 500.0], "Not visible here with `ring`: over the rounds, the ranges"),
            (
                [400.0, 500.0, 600.0],
                "Not visible here with `ring`: the client's p99 is higher from when requests were due",
            ),
            ([100.0, 100.0, 100.0], "The wrong way round with `ring`"),
        ] {
            let text = said(due, 300.0);
            assert!(text.starts_with(says) && !text.contains("apart"), "{text}");
            assert!(text.contains("on 50 connections") && text.contains("for more than 25.0 ms"), "{text}");
        }
    }

    #[test]
    fn one_way_of_counting_alone_says_nothing() {
        let mut due = row(1, "ring", 2000.0);
        due.cell.setting.tool = Tool::Oha;
        let open = OpenLoop { rate: 2000, seconds: 5, connections: 5 };
        assert_eq!(threshold_ms(open), 2.5);
        assert!(hidden_by_omission(Some(open), &Series::new(&[due])).answers.is_empty());
    }
}
