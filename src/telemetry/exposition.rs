//! The metrics in the text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use super::Distribution;
use super::catalogue::{METRICS, Metric, Reading, Sample, Value};

/// Bounds of the buckets of a histogram, in microseconds and in seconds as they are written.
const BOUNDS: &[(u64, &str)] = &[
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
    (60_000_000, "60"),
];

/// Everything in the text format of Prometheus, version 0.0.4.
pub fn exposition(reading: &Reading) -> String {
    let mut out = String::new();
    for metric in METRICS {
        let samples = (metric.read)(reading);
        if samples.is_empty() {
            continue;
        }
        let (name, kind) = (metric.name, metric.kind.name());
        push(&mut out, format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", metric.about));
        samples.iter().for_each(|sample| metric.write(&mut out, sample));
    }
    out
}

impl Metric {
    fn write(&self, out: &mut String, sample: &Sample) {
        let name = self.name;
        let pairs: Vec<_> =
            self.labels.iter().copied().zip(sample.labels.iter().map(String::as_str)).collect();
        let labels = braces(&pairs, None);
        match &sample.value {
            Value::Number(number) => push(out, format_args!("{name}{labels} {number}\n")),
            Value::Distribution(distribution) => {
                write_buckets(out, name, &pairs, distribution);
                write_sum(out, (name, &labels), distribution.sum_us() as f64 / 1e6, distribution.count());
            }
            Value::Sum { sum, count } => write_sum(out, (name, &labels), *sum, *count),
        }
    }
}

fn write_buckets(out: &mut String, name: &str, pairs: &[(&str, &str)], distribution: &Distribution) {
    for (bound_us, bound) in BOUNDS {
        let labels = braces(pairs, Some(bound));
        push(out, format_args!("{name}_bucket{labels} {}\n", distribution.count_up_to(*bound_us)));
    }
    let all = braces(pairs, Some("+Inf"));
    push(out, format_args!("{name}_bucket{all} {}\n", distribution.count()));
}

fn write_sum(out: &mut String, (name, labels): (&str, &str), sum: f64, count: u64) {
    push(out, format_args!("{name}_sum{labels} {sum}\n{name}_count{labels} {count}\n"));
}

/// `{name="value",…}`, or nothing.
fn braces(pairs: &[(&str, &str)], bound: Option<&str>) -> String {
    let mut all: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    all.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}
