//! wrk: for a time, HTTP/1.1 on kept connections, one thread.
//!
//! It changes its histogram before it prints anything of it, and cannot be told not to (`stats_correct` in its
//! `stats.c`): for each request that took twice the mean or longer it adds others that would have been sent meanwhile,
//! each shorter by one mean. So its percentiles are neither those of the requests that it sent nor those of a fixed rate,
//! and cannot stand beside ab's; its slowest request is real.

use std::io;

use super::{count, number, word_behind};
use crate::row::{Answers, Percentiles};

/// Its command line.
#[must_use]
pub fn command(url: &str, seconds: u32, concurrency: u32) -> Vec<String> {
    let (connections, duration) = (format!("-c{concurrency}"), format!("-d{seconds}s"));
    let words = ["wrk", "-t1", &connections, &duration, "--latency", "--timeout", "10s", url];
    words.map(str::to_owned).into()
}

/// The mean time of a request in milliseconds, where so many connections always wait for an answer.
///
/// It follows from their number and the rate alone (J. D. C. Little, "A Proof for the Queuing Formula L = λW", 1961).
/// The mean that wrk prints is that of its histogram, with the samples that it has added.
#[must_use]
pub fn mean_ms(connections: u32, requests_per_second: f64) -> f64 {
    if requests_per_second > 0.0 { 1e3 * f64::from(connections) / requests_per_second } else { 0.0 }
}

/// Reads what it printed; the percentiles as they are there, with the samples that it added.
///
/// # Errors
///
/// A text that is not a finished run's.
pub fn parse(text: &str) -> io::Result<Answers> {
    let totals = text.lines().find(|line| line.contains(" requests in "));
    let totals: Vec<&str> = totals.unwrap_or_default().split_whitespace().collect();
    let [completed, _, _, seconds, ..] = totals[..] else {
        return Err(io::Error::other(format!("wrk did not finish: {text}")));
    };
    let completed = completed.parse().map_err(io::Error::other)?;
    if completed == 0 {
        return Err(io::Error::other("wrk completed no request"));
    }
    let requests_per_second = number(text, "Requests/sec:")?;
    let latency: Vec<&str> = line_behind(text, "Latency ").split_whitespace().collect();
    let percentile = |label: &str| word_behind(text, label).and_then(micros);
    Ok(Answers {
        completed,
        failed: socket_errors(text),
        non_2xx: count(text, "Non-2xx or 3xx responses:"),
        seconds: micros(seconds.trim_end_matches(',')).unwrap_or(0.0) / 1e6,
        requests_per_second,
        mean_ms: mean_ms(connections(text)?, requests_per_second),
        kept: None,
        latency: Percentiles {
            p50_us: percentile("50%"),
            p90_us: percentile("90%"),
            p99_us: percentile("99%"),
            p99_9_us: None,
            max_us: latency.get(2).and_then(|word| micros(word)),
        },
    })
}

/// `  1 threads and 5 connections`.
fn connections(text: &str) -> io::Result<u32> {
    let said = text.lines().find_map(|line| line.split_once(" threads and ")?.1.split_whitespace().next());
    let count = said.and_then(|word| word.parse().ok());
    count.ok_or_else(|| io::Error::other(format!("wrk did not say how many connections: {text}")))
}

fn line_behind<'a>(text: &'a str, label: &str) -> &'a str {
    let is_figures = |rest: &&str| rest.trim_start().starts_with(|first: char| first.is_ascii_digit());
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix(label));
    lines.into_iter().find(is_figures).unwrap_or_default()
}

/// `Socket errors: connect 0, read 3, write 0, timeout 2`: their sum.
fn socket_errors(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("Socket errors:"));
    let numbers = line.unwrap_or_default().split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|word| word.parse::<u64>().ok()).sum()
}

/// `274.00us`, `1.18ms`, `1.10s`, `2.00m`: in microseconds.
fn micros(word: &str) -> Option<f64> {
    let unit_at = word.find(|c: char| c.is_ascii_alphabetic())?;
    let (value, unit) = word.split_at(unit_at);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    Some(value.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 connections and 30,545 requests a second cannot have taken the 0.632 ms on average that wrk told.
    #[test]
    fn the_mean_follows_from_the_rate() {
        assert!((mean_ms(10, 30_545.0) - 0.3274).abs() < 1e-4);
        assert_eq!(mean_ms(10, 0.0), 0.0);
    }

    #[test]
    fn a_good_run_is_read() {
        let answers = parse(include_str!("../../tests/recorded/wrk.txt")).unwrap();
        assert_eq!((answers.completed, answers.failed, answers.non_2xx), (16475, 0, 0));
        assert_eq!((answers.seconds, answers.requests_per_second), (1.1, 14985.47));
        // Five at a time, 14,985.47 a second; wrk itself says 548.28 µs.
        assert!((answers.mean_ms - 0.333_656).abs() < 1e-6, "{}", answers.mean_ms);
        let Percentiles { p50_us, p90_us, p99_us, max_us, .. } = answers.latency;
        assert_eq!((p50_us, p90_us, p99_us, max_us), (Some(274.0), Some(1180.0), Some(4720.0), Some(8400.0)));
    }

    #[test]
    fn other_answers_and_failures_are_counted() {
        let answers = parse(include_str!("../../tests/recorded/wrk-non-2xx.txt")).unwrap();
        assert_eq!((answers.completed, answers.non_2xx), (5943, 5943));
        let answers = parse(include_str!("../../tests/recorded/wrk-errors.txt")).unwrap();
        assert!(answers.failed > 0);
        assert_eq!(socket_errors("  Socket errors: connect 1, read 3, write 0, timeout 2"), 6);
    }

    #[test]
    fn a_run_that_came_to_nothing_is_an_error() {
        assert!(parse("unable to connect to 127.0.0.1:18500 Connection refused\n").is_err());
    }

    #[test]
    fn units_are_understood() {
        assert_eq!(micros("274.00us"), Some(274.0));
        assert_eq!(micros("1.5m"), Some(90e6));
        assert_eq!(micros("91.33%"), None);
    }
}
