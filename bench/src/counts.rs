//! Whether client, proxy and backends have counted the same requests: three counts of one thing, held against each other.

use crate::plan::Tool;
use crate::row::Row;
use crate::words::{counted, list, whole};

/// With `ab -k`, at least this part of the answers has to leave its connection open. nginx closes each connection after
/// a thousand requests, which is far less than what is missing here.
const KEPT: f64 = 0.95;
/// So many runs are named.
const NAMED: usize = 3;

/// What does not agree in a row, in words.
///
/// A request on each connection may be under way when the client begins or stops counting (wrk leaves its last ones
/// unanswered); those that failed may have been counted on the way; and what is no 2xx may come from the proxy itself.
#[must_use]
pub fn disagreement(row: &Row) -> Option<String> {
    if !row.is_good() {
        return None;
    }
    let answers = &row.answers;
    let slack = u64::from(row.cell.setting.concurrency) + answers.failed;
    let is_far = |count: u64, slack: u64| count.abs_diff(answers.completed) > slack;
    let figure = |count: u64| whole(count as f64);
    let mut found = Vec::new();
    if let Some(count) = row.proxy_count.filter(|count| is_far(*count, slack)) {
        found.push(format!("the proxy counted {}", figure(count)));
    }
    let answered: u64 = row.shares.iter().sum();
    if !row.shares.is_empty() && is_far(answered, slack + answers.non_2xx) {
        found.push(format!("the backends counted {}", figure(answered)));
    }
    if let Some(kept) = lost_connections(row) {
        found.push(format!("only {} of them left the connection open", figure(kept)));
    }
    let completed = || format!("the client counted {}", figure(answers.completed));
    (!found.is_empty()).then(|| format!("{}, {}", completed(), list(&found)))
}

/// How many requests kept their connection, where that is far too few.
fn lost_connections(row: &Row) -> Option<u64> {
    let is_too_few = |kept: &u64| (*kept as f64) < KEPT * row.answers.completed as f64;
    row.answers.kept.filter(|kept| row.cell.setting.tool == Tool::AbKeepAlive && is_too_few(kept))
}

/// What the reader of a report has to know about the counts; nothing where nothing could be compared.
#[must_use]
pub fn note(rows: &[Row]) -> Option<String> {
    let compared = rows.iter().filter(|row| row.is_good() && !row.shares.is_empty()).count();
    let told = |row: &Row| disagreement(row).map(|what| format!("{} ({what})", row.key()));
    let told: Vec<String> = rows.iter().filter_map(told).collect();
    let runs = counted(compared, "run");
    match told.as_slice() {
        [] if compared == 0 => None,
        [] => Some(format!(
            "Cross-check: client, proxy (where it counts) and backends counted the same requests in each of {runs}, but for those \
             under way at the ends."
        )),
        told => Some(format!(
            "Cross-check: in {} of {runs} the counts do not agree, so do not believe these: {}{}.",
            told.len(),
            told[..told.len().min(NAMED)].join("; "),
            if told.len() > NAMED { "; raw.csv names the others" } else { "" }
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::row;

    fn with(change: impl Fn(&mut Row)) -> Option<String> {
        let mut row = row(1, "ring", 100.0);
        row.proxy_count = Some(10_000);
        change(&mut row);
        disagreement(&row)
    }

    #[test]
    fn counts_agree_but_for_requests_under_way() {
        assert_eq!(with(|_| {}), None);
        assert_eq!(with(|row| row.proxy_count = Some(10_010)), None, "ten at a time");
        assert_eq!(with(|row| row.shares[0] -= 10), None);
        assert_eq!(with(|row| (row.proxy_count, row.shares) = (None, Vec::new())), None, "nobody counted");
        let failed = |row: &mut Row| (row.answers.failed, row.proxy_count) = (90, Some(10_100));
        assert_eq!(with(failed), None);
    }

    #[test]
    fn whoever_counts_otherwise_is_named() {
        let proxy = with(|row| row.proxy_count = Some(9_900)).unwrap();
        assert_eq!(proxy, "the client counted 10,000, the proxy counted 9,900");
        let both = with(|row| (row.proxy_count, row.shares[1]) = (Some(10_011), 2_011)).unwrap();
        assert!(both.ends_with("the proxy counted 10,011 and the backends counted 10,011"), "{both}");
    }

    #[test]
    fn keep_alive_has_to_be_kept() {
        let kept = |count, tool| with(|row| (row.answers.kept, row.cell.setting.tool) = (Some(count), tool));
        assert_eq!(kept(9_990, Tool::AbKeepAlive), None, "nginx closes after a thousand");
        assert!(kept(5_000, Tool::AbKeepAlive).unwrap().contains("only 5,000 of them left"));
        assert_eq!(kept(0, Tool::Ab), None);
    }

    #[test]
    fn the_reader_is_told_either_way() {
        let good = row(1, "ring", 100.0);
        let mut bad = row(2, "ring", 100.0);
        bad.proxy_count = Some(1);
        assert!(note(std::slice::from_ref(&good)).unwrap().contains("the same requests in each of 1 run,"));
        let told = note(&[good, bad.clone()]).unwrap();
        assert!(told.contains("in 1 of 2 runs") && told.contains("2/wrk/ring/5of5/c10 ("), "{told}");
        let told = note(&vec![bad; 5]).unwrap();
        assert!(told.contains("5 of 5 runs") && told.ends_with("raw.csv names the others."), "{told}");
        assert_eq!(note(&[]), None);
    }
}
