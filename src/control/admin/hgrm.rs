//! The percentile distribution that the HdrHistogram plotter reads, as `outputPercentileDistribution` of HdrHistogram
//! writes it: values in milliseconds.

use std::fmt::Write as _;

use crate::telemetry::{Distribution, HIGHEST_US};

/// Lines for each halving of the distance to 100 %. The plotter takes the percentiles of a second file to be those of the
/// first, line by line, so all programs must have the same: these are those of `HistogramLogProcessor`.
const TICKS: u32 = 5;
const US_IN_MS: f64 = 1000.0;

/// Percentiles that people ask for: names and quantiles. Most of them lie between two lines, so the file tells them again
/// at its end, where no plotter looks.
pub const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// The whole text.
pub(in crate::control) fn write(distribution: &Distribution) -> String {
    let histogram = distribution.histogram();
    // The upper end of a bucket may lie above the largest value, which is known, or above all that are told apart.
    let ms = |us: u64| us.min(distribution.max_us()).min(HIGHEST_US) as f64 / US_IN_MS;
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    // A String takes everything.
    let mut count = 0;
    for value in histogram.iter_quantiles(TICKS) {
        let quantile = value.quantile_iterated_to();
        let ms = ms(histogram.highest_equivalent(value.value_iterated_to()));
        count += value.count_since_last_iteration();
        let _ = match quantile < 1.0 {
            true => writeln!(out, "{ms:12.3} {quantile:2.12} {count:10} {:14.2}", 1.0 / (1.0 - quantile)),
            false => writeln!(out, "{ms:12.3} {quantile:2.12} {count:10}"),
        };
    }
    let (mean, deviation) = (distribution.mean_us() / US_IN_MS, histogram.stdev() / US_IN_MS);
    let (max, count) = (distribution.max_us() as f64 / US_IN_MS, histogram.len());
    let _ = writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(out, "#[Max     = {max:12.3}, Total count    = {count:12}]");
    let _ = writeln!(out, "#[Buckets = {:12}, SubBuckets     = {:12}]", histogram.buckets(), 2048);
    let _ = writeln!(out, "#[Unit    = ms]");
    for (name, quantile) in PERCENTILES.iter().filter(|_| count > 0) {
        let _ = writeln!(out, "#[{name:<7} = {:12.3}]", ms(histogram.value_at_quantile(*quantile)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::distribution_of as of;

    /// What the plotter makes of a file: the value of each percentile, as 1/(1-percentile). This is `appendDataSeries` of its
    /// page `plotFiles.html`, rule by rule.
    fn plotted(text: &str) -> Vec<(f64, f64)> {
        let mut series = Vec::new();
        for line in text.split('\n').map(str::trim) {
            let values: Vec<&str> = line.split(' ').filter(|value| !value.is_empty()).collect();
            if line.starts_with('#') || values.len() != 4 {
                continue;
            }
            if let (Ok(y), Ok(x)) = (values[0].parse::<f64>(), values[3].parse::<f64>()) {
                series.push((x, y));
            }
        }
        series
    }

    #[test]
    fn the_plotter_sees_every_line_but_the_last() {
        let values: Vec<u64> = (1..=2_000).map(|n| n * 1_000).collect();
        let text = write(&of(&values));
        let series = plotted(&text);
        let rows = text.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(series.len(), rows.count() - 1, "100 % has no place on its axis");
        let xs: Vec<f64> = series.iter().map(|(x, _)| *x).take(9).collect();
        assert_eq!(xs, [1.0, 1.11, 1.25, 1.43, 1.67, 2.0, 2.22, 2.5, 2.86]);
        assert!(series.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{text}");
        for (x, y) in series {
            // Value n is n ms: to three digits of the value, and two decimals of x.
            let exact = ((1.0 - 1.0 / x) * 2_000.0).max(1.0);
            assert!((y - exact).abs() <= 0.002 * exact + 12.0 / x, "{x}: {y} and {exact}\n{text}");
        }
    }

    #[test]
    fn the_form_is_that_of_the_original() {
        let text = write(&of(&[1_000, 1_000, 3_500]));
        let expected = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n       1.000 0.000000000000          2           1.00\n";
        assert!(text.starts_with(expected), "{text}");
        let end = "       3.500 1.000000000000          3\n\
                   #[Mean    =        1.833, StdDeviation   =        1.179]\n\
                   #[Max     =        3.500, Total count    =            3]\n\
                   #[Buckets =           22, SubBuckets     =         2048]\n\
                   #[Unit    = ms]\n\
                   #[p50     =        1.000]\n\
                   #[p75     =        3.500]\n";
        assert!(text.contains(end), "{text}");
        let long = write(&of(&[1_000, 2 * HIGHEST_US]));
        assert!(long.contains(" 3600000.000 1.000000000000          2\n#[Mean"), "{long}");
        assert!(long.contains("#[Max     =  7200000.000, "), "{long}");
        let empty = write(&Distribution::default());
        assert!(plotted(&empty).is_empty() && empty.contains("Total count    =            0]"), "{empty}");
    }
}
