//! Medians with their ranges.

use serde::Serialize;

/// The middle of several figures, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub low: f64,
    /// The middle one; between two of them, their mean.
    pub median: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// None of nothing.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        Some(Self { low, median: middle(&values), high })
    }
}

/// Of sorted figures, of which there is one at least.
fn middle(sorted: &[f64]) -> f64 {
    let upper = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[upper] } else { f64::midpoint(sorted[upper - 1], sorted[upper]) }
}

/// The median of many figures, and an interval that holds the true one with a probability of 95 % at least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The interval's lower end.
    pub low: f64,
    /// The middle one; between two of them, their mean.
    pub median: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Estimate {
    /// None of fewer than ten figures. The interval's ends are two of the figures themselves, which asks nothing of how
    /// they are distributed (W. J. Conover, "Practical Nonparametric Statistics", section 3.2).
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let count = values.len();
        if count < 10 {
            return None;
        }
        let reach = 1.96 * (count as f64).sqrt() / 2.0;
        // Counted from 1, the lower end is the figure of this rank (rounded to the safe side), and the upper one has the
        // same rank from above.
        let rank = (count as f64 / 2.0 - reach).floor() as usize;
        let low = rank.saturating_sub(1);
        Some(Self { low: values[low], median: middle(&values), high: values[count - 1 - low] })
    }
}

/// How far two figures lie apart, as a fraction of the smaller one: 0.1 for 100 and 110, either way round.
#[must_use]
pub fn apart(a: f64, b: f64) -> Option<f64> {
    (a > 0.0 && b > 0.0).then(|| a.max(b) / a.min(b) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { low: 1.0, median: 2.0, high: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN, 1.0]).unwrap().median, 1.0);
    }

    #[test]
    fn the_interval_narrows_with_the_root_of_the_count() {
        let of = |count: i32| Estimate::of((0..count).map(f64::from)).map(|e| (e.low, e.median, e.high));
        assert_eq!(of(9), None);
        assert_eq!(of(100), Some((39.0, 49.5, 60.0)));
        assert_eq!(of(10_000), Some((4901.0, 4999.5, 5098.0)));
    }

    /// The chance that the true median lies between two figures of these ranks is a sum of the binomial distribution.
    #[test]
    fn the_interval_holds_the_true_median_as_often_as_it_says() {
        for count in 10..=400_u32 {
            let found = Estimate::of((0..count).map(f64::from)).unwrap();
            let mut of_rank = 0.5_f64.powi(count.cast_signed());
            let mut held = 0.0;
            for below in 0..=count {
                if (found.low..found.high).contains(&(f64::from(below) - 1.0)) {
                    held += of_rank;
                }
                of_rank *= f64::from(count - below) / f64::from(below + 1);
            }
            assert!(held >= 0.95, "{count}: {held}");
        }
    }

    #[test]
    fn distance_has_no_direction() {
        assert!((apart(100.0, 110.0).unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(apart(110.0, 100.0), apart(100.0, 110.0));
        assert_eq!(apart(0.0, 1.0), None);
    }
}
