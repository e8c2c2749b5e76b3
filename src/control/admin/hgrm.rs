//! The percentile distribution that the HdrHistogram plotter reads, as `outputPercentileDistribution` of HdrHistogram
//! writes it: values in milliseconds.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Lines for each halving of the distance to 100 %.
const TICKS: u32 = 5;
const US_IN_MS: f64 = 1000.0;

/// The whole text. `histogram` is in microseconds.
pub(in crate::control) fn write(histogram: &Histogram<u64>) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    // A String takes everything.
    let mut count = 0;
    for value in histogram.iter_quantiles(TICKS) {
        let quantile = value.quantile_iterated_to();
        let ms = histogram.highest_equivalent(value.value_iterated_to()) as f64 / US_IN_MS;
        count += value.count_since_last_iteration();
        let _ = match quantile < 1.0 {
            true => writeln!(out, "{ms:12.3} {quantile:2.12} {count:10} {:14.2}", 1.0 / (1.0 - quantile)),
            false => writeln!(out, "{ms:12.3} {quantile:2.12} {count:10}"),
        };
    }
    let (mean, deviation) = (histogram.mean() / US_IN_MS, histogram.stdev() / US_IN_MS);
    let (max, count) = (histogram.max() as f64 / US_IN_MS, histogram.len());
    let _ = writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(out, "#[Max     = {max:12.3}, Total count    = {count:12}]");
    let _ = writeln!(out, "#[Buckets = {:12}, SubBuckets     = {:12}]", histogram.buckets(), 2048);
    let _ = writeln!(out, "#[Unit    = ms]");
    out
}
