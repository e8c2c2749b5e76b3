//! Whether the proxy's own percentiles agree with those of an independent client, and with what the backend did.

use serde::{Deserialize, Serialize};

use crate::row::Percentiles;
use crate::words::{or_none, percent, whole};

/// How far they may lie apart.
pub const BOUND: f64 = 0.05;
/// The delays of the backend, in turn: four answers in five are quick.
pub const DELAYS_MS: [u64; 5] = [20, 20, 20, 20, 200];

/// One runtime, measured from inside and from outside at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Ringway's runtime.
    pub runtime: String,
    /// Exchanges that the proxy counted, and requests that oha completed.
    pub counts: (u64, u64),
    /// Requests that failed or were answered otherwise than 2xx.
    pub failed: u64,
    /// From the proxy.
    pub proxy: Percentiles,
    /// From oha, with latency correction.
    pub oha: Percentiles,
}

/// One percentile of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// `p50`.
    pub name: &'static str,
    /// What the backend's delays alone come to, in microseconds.
    pub known_us: f64,
    /// The proxy's.
    pub proxy_us: Option<f64>,
    /// oha's.
    pub oha_us: Option<f64>,
}

impl Point {
    /// How far the two lie apart, as a fraction of oha's.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        let (proxy, oha) = self.proxy_us.zip(self.oha_us)?;
        (oha > 0.0).then(|| (proxy / oha - 1.0).abs())
    }

    /// Whether they agree.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.difference().is_some_and(|difference| difference <= BOUND)
    }
}

impl Comparison {
    /// Its percentiles. The maximum is left out: one single request says nothing about agreement.
    #[must_use]
    pub fn points(&self) -> [Point; 4] {
        let known = |percentile| known_us(percentile, &DELAYS_MS);
        let (proxy, oha) = (&self.proxy, &self.oha);
        [
            ("p50", known(0.5), proxy.p50_us, oha.p50_us),
            ("p90", known(0.9), proxy.p90_us, oha.p90_us),
            ("p99", known(0.99), proxy.p99_us, oha.p99_us),
            ("p99.9", known(0.999), proxy.p99_9_us, oha.p99_9_us),
        ]
        .map(|(name, known_us, proxy_us, oha_us)| Point { name, known_us, proxy_us, oha_us })
    }

    /// Whether every percentile agrees.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.points().iter().all(Point::agrees)
    }
}

/// The percentile of delays that are taken in turn.
fn known_us(percentile: f64, delays_ms: &[u64]) -> f64 {
    let mut sorted = delays_ms.to_vec();
    sorted.sort_unstable();
    let rank = (percentile * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1] as f64 * 1e3
}

/// The comparisons in words and figures, as Markdown.
#[must_use]
pub fn render(comparisons: &[Comparison], rate: u32, machine: &str) -> String {
    let mut out = format!(
        "# The proxy's percentiles against an independent client's\n\nThe backend waits {} ms, in turn. oha sends {rate} \
         requests a second through the proxy, each timed from the moment it was due. Both look at the same requests: \
         the proxy from the first byte of the head to the last byte of the response, oha from outside. They agree where \
         they differ by at most {}. Measured on {machine}.\n\n| runtime | percentile | backend's delay µs | proxy µs | \
         oha µs | difference | agree |\n| --- | --- | ---: | ---: | ---: | ---: | --- |\n",
        DELAYS_MS.map(|delay| delay.to_string()).join(", "),
        percent(BOUND),
    );
    for comparison in comparisons {
        for point in comparison.points() {
            out += &format!(
                "| {} | {} | {} | {} | {} | {} | {} |\n",
                comparison.runtime,
                point.name,
                whole(point.known_us),
                or_none(point.proxy_us, whole),
                or_none(point.oha_us, whole),
                or_none(point.difference(), percent),
                if point.agrees() { "yes" } else { "**no**" },
            );
        }
    }
    out.push('\n');
    for comparison in comparisons {
        let (proxy, oha) = comparison.counts;
        let verdict =
            if comparison.agrees() { "all percentiles agree" } else { "**not all percentiles agree**" };
        out += &format!(
            "- `{}`: {verdict}; the proxy counted {} exchanges, oha {} requests, of which {} went wrong.\n",
            comparison.runtime,
            whole(proxy as f64),
            whole(oha as f64),
            whole(comparison.failed as f64)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(factor: f64) -> Comparison {
        let oha = Percentiles {
            p50_us: Some(21_000.0),
            p90_us: Some(201_000.0),
            p99_us: Some(202_000.0),
            p99_9_us: Some(204_000.0),
            max_us: Some(300_000.0),
        };
        let proxy = Percentiles { p50_us: Some(21_000.0 * factor), max_us: None, ..oha };
        Comparison { runtime: "ring".to_owned(), counts: (4000, 4000), failed: 0, proxy, oha }
    }

    #[test]
    fn five_per_cent_is_the_bound() {
        assert!(comparison(0.96).agrees());
        assert!(!comparison(0.94).agrees());
        assert!(render(&[comparison(0.94)], 200, "a machine").contains("| 6.0 % | **no** |"));
    }

    #[test]
    fn what_is_not_there_does_not_agree() {
        let mut missing = comparison(1.0);
        missing.proxy.p99_us = None;
        assert!(!missing.agrees());
    }

    #[test]
    fn the_mix_of_delays_is_known() {
        assert_eq!(known_us(0.5, &DELAYS_MS), 20_000.0);
        assert_eq!(known_us(0.9, &DELAYS_MS), 200_000.0);
        assert_eq!(known_us(0.8, &DELAYS_MS), 20_000.0);
    }
}
