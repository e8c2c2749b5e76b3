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

    /// Whether every round counted from when requests were due lies above every round counted from when they were sent.
    fn is_visible(&self) -> bool {
        self.rounds > 1 && self.due.low > self.sent.high
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
    let (visible, invisible): (Vec<&Both>, Vec<&Both>) = all.iter().partition(|both| both.is_visible());
    let mut answers: Vec<String> = visible.into_iter().map(Both::in_words).collect();
    if !invisible.is_empty() {
        let names: Vec<String> = invisible.iter().map(|both| format!("`{}`", both.subject.name)).collect();
        answers.push(format!(
            "Not visible here with {}: the client's p99 over the rounds is not higher from when requests were due than from \
             when they were sent.",
            list(&names)
        ));
    }
    answers.push(format!(
        "At {} requests a second on {} a request leaves late only when all of them wait, so when answers stall for more than \
         {} ms. What is shorter looks the same in both ways of counting: there this part can show no omission.",
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
        let text = said([1000.0, 2000.0, 3000.0], 300.0);
        let expected = "`ring`: the client's p99 was 2,000 µs (1,000 to 3,000) from when requests were due, and 300 µs (300 to \
                        300) from when they were sent. The ranges are apart.";
        assert!(text.starts_with(expected) && !text.contains("Not visible"), "{text}");
        assert!(text.contains("by chance in 5.0 %"), "{text}");
    }

    #[test]
    fn what_cannot_be_seen_is_not_claimed_and_the_limit_is_told() {
        for due in [[250.0, 400.0, 500.0], [100.0, 100.0, 100.0]] {
            let text = said(due, 300.0);
            assert!(text.starts_with("Not visible here with `ring`") && !text.contains("apart"), "{text}");
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
