//! What the proxy itself says of its exchanges: the admin API's `/latency`, and histograms in the `.hgrm` format.

use std::io;

use hdrhistogram::Histogram;
use serde::Deserialize;

use crate::row::Percentiles;

/// The answer of `/latency`.
#[derive(Debug, Deserialize)]
struct Latency {
    unit: String,
    /// Names this reading, for `?since=`.
    id: Option<serde_json::Value>,
    series: Vec<Series>,
}

#[derive(Debug, Deserialize)]
struct Series {
    upstream: Option<String>,
    backend: Option<String>,
    phase: String,
    count: u64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    #[serde(rename = "p99.9")]
    p99_9: Option<f64>,
    max: Option<f64>,
}

/// One reading of whole exchanges.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What to put behind `?since=` to read what came after this.
    pub id: Option<String>,
    /// Exchanges.
    pub count: u64,
    /// Their total times.
    pub percentiles: Percentiles,
}

/// Reads the phase `total` of this upstream, over all its backends.
///
/// # Errors
///
/// Another format, another unit than microseconds, or several backends and nothing about all of them together:
/// percentiles of several series cannot be made from theirs.
pub fn parse(text: &str, upstream: &str) -> io::Result<Reading> {
    let latency: Latency = serde_json::from_str(text)?;
    if latency.unit != "us" {
        return Err(io::Error::other(format!("/latency answers in {:?}, not in microseconds", latency.unit)));
    }
    let is_ours = |series: &&Series| series.upstream.as_deref() == Some(upstream) && series.phase == "total";
    let ours: Vec<&Series> = latency.series.iter().filter(is_ours).collect();
    let is_of_all = |series: &&&Series| matches!(series.backend.as_deref(), None | Some("" | "*"));
    let of_all = ours.iter().find(is_of_all);
    let counted: Vec<&Series> = ours.iter().filter(|series| series.count > 0).copied().collect();
    let id = latency.id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    match (of_all, counted.as_slice()) {
        (Some(series), _) | (None, [series]) => Ok(Reading::new(id, series)),
        (None, []) => Ok(Reading { id, count: 0, percentiles: Percentiles::default() }),
        (None, _) => Err(io::Error::other("/latency has no series over all backends of the upstream")),
    }
}

impl Reading {
    fn new(id: Option<String>, series: &Series) -> Self {
        let percentiles = Percentiles {
            p50_us: series.p50,
            p90_us: series.p90,
            p99_us: series.p99,
            p99_9_us: series.p99_9,
            max_us: series.max,
        };
        Self { id, count: series.count, percentiles }
    }
}

/// The values of `.hgrm` files are milliseconds, which is what the HdrHistogram plotter takes them for.
const HGRM_UNIT_US: f64 = 1000.0;

/// Reads a `.hgrm` file back into a histogram of microseconds, as exactly as the file is.
///
/// The columns are the value in milliseconds, its percentile, and the count of all values up to it.
///
/// # Errors
///
/// A line that is no row of the table, or a count that falls.
pub fn parse_hgrm(text: &str) -> io::Result<Histogram<u64>> {
    let mut histogram = Histogram::new(3).map_err(io::Error::other)?;
    let mut counted = 0;
    for line in text.lines().map(str::trim).filter(|line| line.starts_with(|c: char| c.is_ascii_digit())) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (Some(value), Some(count)) = (columns.first(), columns.get(2)) else { continue };
        let value: f64 = value.parse().map_err(io::Error::other)?;
        let count: u64 = count.parse().map_err(io::Error::other)?;
        let new =
            count.checked_sub(counted).ok_or_else(|| io::Error::other("counts fall in the .hgrm file"))?;
        histogram.record_n((value * HGRM_UNIT_US).round() as u64, new).map_err(io::Error::other)?;
        counted = count;
    }
    Ok(histogram)
}

/// The points of a percentile curve: `(1 / (1 - percentile), value in microseconds)`.
#[must_use]
pub fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = histogram
        .iter_quantiles(10)
        .filter(|step| step.quantile_iterated_to() < 1.0)
        .map(|step| (1.0 / (1.0 - step.quantile_iterated_to()), step.value_iterated_to() as f64))
        .collect();
    // The last step before 1 may lie beyond what so few values can tell: there the curve ends at the slowest.
    let finest = histogram.len() as f64;
    points.retain(|(nines, _)| *nines <= finest);
    if finest > 1.0 {
        points.push((finest, histogram.max() as f64));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand requests of ab through five backends, of a proxy that had warmed up: `/latency?by=upstream&since=…`.
    const ANSWER: &str = include_str!("../tests/recorded/latency.json");
    /// The same without `by=upstream`.
    const BY_BACKEND: &str = include_str!("../tests/recorded/latency-backends.json");
    /// The same as `/latency.hgrm`.
    const HGRM: &str = include_str!("../tests/recorded/total.hgrm");

    #[test]
    fn the_series_over_all_backends_is_read() {
        let reading = parse(ANSWER, "origin").unwrap();
        assert_eq!((reading.id.as_deref(), reading.count), (Some("1795625155-2"), 10_000));
        assert_eq!(reading.percentiles.p50_us, Some(574.0));
        assert_eq!(reading.percentiles.p99_9_us, Some(9215.0));
        assert_eq!(reading.percentiles.max_us, Some(9431.0));
        assert_eq!(parse(ANSWER, "other").unwrap().count, 0);
    }

    #[test]
    fn what_a_newer_proxy_tells_besides_is_left_alone() {
        let newer = ANSWER
            .replacen("\"unit\"", "\"accept_wait\": {\"p99\": 12}, \"unit\"", 1)
            .replace("\"phase\"", "\"accept_wait\": 3, \"phase\"");
        assert_ne!(newer, ANSWER);
        assert_eq!(parse(&newer, "origin").unwrap(), parse(ANSWER, "origin").unwrap());
    }

    #[test]
    fn the_file_and_the_answer_tell_the_same() {
        let (reading, histogram) = (parse(ANSWER, "origin").unwrap(), parse_hgrm(HGRM).unwrap());
        assert_eq!(histogram.len(), reading.count);
        let told = reading.percentiles;
        for (quantile, us) in
            [(0.5, told.p50_us), (0.9, told.p90_us), (0.99, told.p99_us), (0.999, told.p99_9_us)]
        {
            // The file has the values between two of its lines at the upper one.
            let of_file = histogram.value_at_quantile(quantile) as f64;
            assert!((0.0..0.02).contains(&(of_file / us.unwrap() - 1.0)), "{quantile}: {of_file} {us:?}");
        }
    }

    #[test]
    fn percentiles_of_several_backends_are_not_made_up() {
        assert!(parse(BY_BACKEND, "origin").is_err());
        let each = r#"{"backend": "a", "upstream": "o", "phase": "total", "count": 1, "p50": 1}"#;
        let text = format!(r#"{{"unit": "us", "series": [{each}, {each}]}}"#);
        assert!(parse(&text, "o").is_err());
        let one = format!(r#"{{"unit": "us", "series": [{each}]}}"#);
        assert_eq!(parse(&one, "o").unwrap().percentiles.p50_us, Some(1.0));
        assert!(parse(&one.replace("\"us\"", "\"ms\""), "o").is_err());
    }

    #[test]
    fn a_histogram_survives_its_file() {
        let histogram = parse_hgrm(HGRM).unwrap();
        assert_eq!(histogram.len(), 10_000);
        assert_eq!(histogram.max(), 9431);
        let curve = curve(&histogram);
        assert!(curve.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
        assert_eq!(curve.last().copied(), Some((10_000.0, 9431.0)));
    }

    #[test]
    fn a_curve_does_not_claim_more_nines_than_there_are_values() {
        let mut histogram = Histogram::new(3).unwrap();
        histogram.record_n(10, 99).unwrap();
        histogram.record(500).unwrap();
        let curve = curve(&histogram);
        assert!(curve.iter().all(|(nines, _)| *nines <= 100.0));
        assert_eq!(curve.last().copied(), Some((100.0, 500.0)));
    }
}
