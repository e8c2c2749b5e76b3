//! What a closed loop does not see, in figures: the same load counted from when requests were due, and when sent.

use super::Finding;
use crate::plan::{Setting, Subject, Tool};
use crate::stats::Spread;
use crate::summary::{Metric, Series};
use crate::words::whole;

/// Both ways of counting side by side for everybody who was run at a fixed rate.
pub(super) fn hidden_by_omission(series: &Series<'_>) -> Finding {
    let corrected: Vec<(Subject, Setting)> = series
        .cells()
        .filter(|cell| cell.setting.tool == Tool::Oha && !cell.is_twin)
        .map(|cell| (cell.subject.clone(), cell.setting))
        .collect();
    let mut answers: Vec<String> =
        corrected.iter().filter_map(|(subject, setting)| of_one(series, subject, *setting)).collect();
    if !answers.is_empty() {
        let note = "These are two runs each and no cell was run twice at a fixed rate, so nothing here is ranked: what counts \
                    is how far the two lie apart, and that `ab` and `wrk` count like the second.";
        answers.push(note.to_owned());
    }
    Finding::new("What does coordinated omission hide?", answers)
}

fn of_one(series: &Series<'_>, subject: &Subject, due: Setting) -> Option<String> {
    let sent = Setting { tool: Tool::OhaUncorrected, ..due };
    let p99 = |setting| series.spread(subject, setting, Metric::ClientP99);
    let (from_due, from_sent) = (p99(due)?, p99(sent)?);
    let told = |spread: Spread| {
        format!("{} µs ({} to {})", whole(spread.median), whole(spread.low), whole(spread.high))
    };
    Some(format!(
        "`{}` at a fixed rate: the client's p99 was {} from when requests were due, and {} from when they were sent.",
        subject.name,
        told(from_due),
        told(from_sent)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;
    use crate::testing::row;

    #[test]
    fn both_ways_of_counting_stand_side_by_side() {
        let of = |tool, round, p99| {
            let mut row = row(round, "ring", 2000.0);
            row.cell.setting.tool = tool;
            row.answers.latency.p99_us = Some(p99);
            row
        };
        let rows: Vec<Row> = (1..=3)
            .flat_map(|round| {
                let due = 1000.0 * f64::from(round);
                [of(Tool::Oha, round, due), of(Tool::OhaUncorrected, round, 300.0)]
            })
            .collect();
        let said = hidden_by_omission(&Series::new(&rows)).answers;
        let expected = "`ring` at a fixed rate: the client's p99 was 2,000 µs (1,000 to 3,000) from when requests were due, and \
                        300 µs (300 to 300) from when they were sent.";
        assert_eq!(said[0], expected);
        assert!(hidden_by_omission(&Series::new(&rows[..1])).answers.is_empty());
    }
}
