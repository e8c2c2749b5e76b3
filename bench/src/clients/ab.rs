//! ApacheBench: a number of requests, HTTP/1.0, one thread.

use std::io;
use std::path::Path;

use super::{count, number, word_behind};
use crate::row::{Answers, Percentiles};

/// Its command line. The percentiles go to `percentiles`, finer than those that it prints.
#[must_use]
pub fn command(url: &str, requests: u32, concurrency: u32, keeps: bool, percentiles: &Path) -> Vec<String> {
    let mut words: Vec<String> = ["ab", "-q", "-r"].map(str::to_owned).into();
    if keeps {
        words.push("-k".to_owned());
    }
    let (requests, concurrency) = (requests.to_string(), concurrency.to_string());
    words.extend(["-n", &requests, "-c", &concurrency].map(str::to_owned));
    words.extend(["-e".to_owned(), percentiles.display().to_string(), url.to_owned()]);
    words
}

/// Reads what it printed and the table of percentiles that it wrote.
///
/// # Errors
///
/// A text that is not a finished run's.
pub fn parse(text: &str, percentiles: &str) -> io::Result<Answers> {
    let completed = number(text, "Complete requests:")? as u64;
    if completed == 0 {
        return Err(io::Error::other("ab completed no request"));
    }
    Ok(Answers {
        completed,
        failed: count(text, "Failed requests:"),
        non_2xx: count(text, "Non-2xx responses:"),
        seconds: number(text, "Time taken for tests:")?,
        requests_per_second: number(text, "Requests per second:")?,
        mean_ms: number(text, "Time per request:")?,
        kept: keep_alive(text),
        latency: read_percentiles(percentiles),
    })
}

/// Only said of a run with `-k`.
fn keep_alive(text: &str) -> Option<u64> {
    word_behind(text, "Keep-Alive requests:")?.parse().ok()
}

/// Its table goes to 99 and then 100, which is the slowest.
fn read_percentiles(table: &str) -> Percentiles {
    let at = |percent: &str| {
        let (_, ms) = table.lines().filter_map(|line| line.split_once(',')).find(|(at, _)| *at == percent)?;
        ms.trim().parse::<f64>().ok().map(|ms| ms * 1e3)
    };
    Percentiles { p50_us: at("50"), p90_us: at("90"), p99_us: at("99"), p99_9_us: None, max_us: at("100") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_run_is_read() {
        let table = include_str!("../../tests/recorded/ab.csv");
        let answers = parse(include_str!("../../tests/recorded/ab.txt"), table).unwrap();
        assert_eq!((answers.completed, answers.failed, answers.non_2xx), (1000, 0, 0));
        assert_eq!((answers.seconds, answers.requests_per_second, answers.mean_ms), (0.199, 5019.07, 0.996));
        assert_eq!(answers.latency.p99_us, Some(3626.0));
        assert_eq!(answers.latency.max_us, Some(29565.0));
        assert_eq!(answers.latency.p99_9_us, None);
        assert_eq!(answers.kept, None);
        let kept = parse(include_str!("../../tests/recorded/ab-k.txt"), table).unwrap();
        assert_eq!((kept.completed, kept.kept), (1000, Some(1000)));
    }

    #[test]
    fn other_answers_and_failures_are_counted() {
        let answers = parse(include_str!("../../tests/recorded/ab-non-2xx.txt"), "").unwrap();
        assert_eq!((answers.completed, answers.failed, answers.non_2xx), (200, 0, 200));
        let answers = parse(include_str!("../../tests/recorded/ab-refused.txt"), "").unwrap();
        assert_eq!((answers.completed, answers.failed), (20, 30));
    }

    #[test]
    fn a_run_that_came_to_nothing_is_an_error() {
        assert!(parse("apr_socket_recv: Connection refused (111)\n", "").is_err());
    }

    #[test]
    fn connections_are_kept_only_when_asked() {
        let line = |keeps| command("http://a/", 10, 2, keeps, Path::new("p.csv")).join(" ");
        assert_eq!(line(false), "ab -q -r -n 10 -c 2 -e p.csv http://a/");
        assert_eq!(line(true), "ab -q -r -k -n 10 -c 2 -e p.csv http://a/");
    }
}
