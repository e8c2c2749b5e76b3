//! oha: requests at a fixed rate, each timed from the moment it was due (or, for comparison, sent).

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;

use crate::plan::OpenLoop;
use crate::row::{Answers, Percentiles};

/// Its command line; `oha` is where the program is.
#[must_use]
pub fn command(oha: &str, url: &str, open: OpenLoop, is_corrected: bool) -> Vec<String> {
    let OpenLoop { rate, seconds, connections } = open;
    let mut words: Vec<String> = [oha, "--no-tui", "--output-format", "json"].map(str::to_owned).into();
    let numbers = [("-n", rate * seconds), ("-q", rate), ("-c", connections)];
    words.extend(numbers.iter().flat_map(|(option, value)| [(*option).to_owned(), value.to_string()]));
    if is_corrected {
        words.push("--latency-correction".to_owned());
    }
    words.push(url.to_owned());
    words
}

/// Its result, as far as it is read: seconds throughout.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    summary: Summary,
    latency_percentiles: BTreeMap<String, Option<f64>>,
    status_code_distribution: BTreeMap<String, u64>,
    error_distribution: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    total: f64,
    slowest: Option<f64>,
    average: Option<f64>,
    requests_per_sec: Option<f64>,
}

/// Reads what it printed.
///
/// # Errors
///
/// A text that is not a finished run's.
pub fn parse(text: &str) -> io::Result<Answers> {
    let output: Output = serde_json::from_str(text)
        .map_err(|error| io::Error::other(format!("not the output of oha ({error}): {text}")))?;
    let completed = output.status_code_distribution.values().sum();
    if completed == 0 {
        return Err(io::Error::other("oha completed no request"));
    }
    let is_other = |(status, _): &(&String, &u64)| !status.starts_with('2');
    let us = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1e6);
    let percentile = |name: &str| us(output.latency_percentiles.get(name).copied().flatten());
    Ok(Answers {
        completed,
        failed: output.error_distribution.values().sum(),
        non_2xx: output.status_code_distribution.iter().filter(is_other).map(|(_, count)| count).sum(),
        seconds: output.summary.total,
        requests_per_second: output.summary.requests_per_sec.unwrap_or(0.0),
        mean_ms: output.summary.average.unwrap_or(0.0) * 1e3,
        kept: None,
        latency: Percentiles {
            p50_us: percentile("p50"),
            p90_us: percentile("p90"),
            p99_us: percentile("p99"),
            p99_9_us: percentile("p99.9"),
            max_us: us(output.summary.slowest),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_run_is_read() {
        let answers = parse(include_str!("../../tests/recorded/oha.json")).unwrap();
        assert_eq!((answers.completed, answers.failed, answers.non_2xx), (200, 0, 0));
        assert!(answers.latency.p50_us.unwrap() >= 20_000.0, "the backend waited 20 ms");
        assert!(answers.latency.p99_us.unwrap() >= 200_000.0, "and one time in five 200 ms");
        assert!(answers.latency.max_us >= answers.latency.p99_9_us);
    }

    #[test]
    fn other_answers_and_failures_are_counted() {
        let answers = parse(include_str!("../../tests/recorded/oha-non-2xx.json")).unwrap();
        assert_eq!((answers.completed, answers.non_2xx), (100, 100));
    }

    #[test]
    fn a_run_that_came_to_nothing_is_an_error() {
        assert!(parse(include_str!("../../tests/recorded/oha-refused.json")).is_err());
        assert!(parse("error: invalid value").is_err());
    }

    #[test]
    fn the_rate_is_fixed_and_corrected_when_asked() {
        let open = OpenLoop { rate: 500, seconds: 3, connections: 20 };
        let line = |is_corrected| command("oha", "http://a/", open, is_corrected).join(" ");
        assert_eq!(line(false), "oha --no-tui --output-format json -n 1500 -q 500 -c 20 http://a/");
        assert!(line(true).contains(" --latency-correction "));
    }
}
