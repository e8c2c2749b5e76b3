//! The axis of values: logarithmic, with a few round values that say their unit.

use super::axis::Axis;

/// The least that is measured, in microseconds: less is drawn as that.
const LEAST_US: f64 = 1.0;
/// The axis reaches up to that at least: below it there are only whole microseconds.
const LEAST_TOP_US: f64 = 10.0;
/// The axis spans a factor of that at least: of values that are nearly equal it would show their last digit.
const LEAST_SPAN: f64 = 1.5;
/// Values that are named, at the most.
const MOST_TICKS: usize = 9;
/// In tenths, which multiples of a power of ten are named: from many to few.
const STEPS: [&[u32]; 5] = [
    &[
        10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 26, 28, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75,
        80, 85, 90, 95,
    ],
    &[10, 12, 14, 16, 18, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90],
    &WHOLE,
    &[10, 20, 50],
    &[10],
];
const WHOLE: [u32; 9] = [10, 20, 30, 40, 50, 60, 70, 80, 90];

/// Logarithms of values in microseconds.
#[derive(Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    /// A value is less than the axis can show.
    is_cut: bool,
}

impl Scale {
    /// One that holds all these values, in microseconds.
    pub(super) fn of(values_us: impl Iterator<Item = f64>) -> Self {
        let (least, most) =
            values_us.fold((f64::MAX, LEAST_TOP_US), |(low, high), us| (low.min(us), high.max(us)));
        let low = least.clamp(LEAST_US, most);
        let widened = (LEAST_SPAN / (most / low)).max(1.0).sqrt();
        // A little room, so that no curve lies on the frame.
        let [low, high] = [low / widened / 1.05, most * widened * 1.05].map(f64::log10);
        Self { low, high, is_cut: least < LEAST_US }
    }

    pub(super) fn axis(&self) -> Axis {
        Axis { range: self.low..self.high, named: self.ticks(), faint: self.multiples(&WHOLE) }
    }

    /// Where a value in microseconds stands.
    pub(super) fn at(&self, us: f64) -> f64 {
        us.max(LEAST_US).log10()
    }

    /// Where the values that are named stand.
    fn ticks(&self) -> Vec<f64> {
        let all = STEPS.iter().map(|step| self.multiples(step));
        all.into_iter().find(|ticks| ticks.len() <= MOST_TICKS).unwrap_or_else(|| self.multiples(&[10]))
    }

    fn multiples(&self, tenths: &[u32]) -> Vec<f64> {
        let powers = self.low.floor() as i32..=self.high.ceil() as i32;
        let all = powers.flat_map(|power| {
            tenths.iter().map(move |tenth| f64::from(power - 1) + f64::from(*tenth).log10())
        });
        all.filter(|at| (self.low..self.high).contains(at)).collect()
    }

    /// The value that stands there, with its unit.
    pub(super) fn label(&self, at: f64) -> String {
        let us = 10_f64.powf(at);
        // Computers do not hit a power of ten.
        let (value, unit) = match us * 1.000_001 {
            above if above < 1e3 => (us, "µs"),
            above if above < 1e6 => (us / 1e3, "ms"),
            _ => (us / 1e6, "s"),
        };
        let rounded = format!("{value:.1}");
        let value = rounded.strip_suffix(".0").unwrap_or(&rounded);
        let is_least = self.is_cut && (us - LEAST_US).abs() < 1e-6;
        if is_least { format!("≤ {value} {unit}") } else { format!("{value} {unit}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values_us: &[f64]) -> Vec<String> {
        let scale = Scale::of(values_us.iter().copied());
        values_us
            .iter()
            .for_each(|us| assert!((scale.low..scale.high).contains(&scale.at(*us)), "{us} in {scale:?}"));
        scale.ticks().iter().map(|at| scale.label(*at)).collect()
    }

    #[test]
    fn what_is_named_is_round_and_says_its_unit() {
        let slow = labels(&[80_000.0, 125_000.0]);
        assert_eq!(slow, ["80 ms", "85 ms", "90 ms", "95 ms", "100 ms", "110 ms", "120 ms", "130 ms"]);
        assert_eq!(labels(&[100.0, 2_000.0]), ["100 µs", "200 µs", "500 µs", "1 ms", "2 ms"]);
        assert_eq!(labels(&[90.0, 125_000.0]), ["100 µs", "1 ms", "10 ms", "100 ms"]);
        assert_eq!(labels(&[990_000.0, 1_700_000.0])[..3], ["950 ms", "1 s", "1.1 s"]);
    }

    #[test]
    fn nothing_and_nearly_equal_values_have_a_scale_too() {
        assert!(labels(&[]).len() > 1);
        assert_eq!(labels(&[0.0, 0.0]), ["≤ 1 µs", "2 µs", "5 µs", "10 µs"]);
        assert_eq!(labels(&[1.0]), ["1 µs", "2 µs", "5 µs", "10 µs"]);
        assert!((3..=MOST_TICKS).contains(&labels(&[5_000.0, 5_001.0]).len()));
    }

    #[test]
    fn there_are_a_few_ticks_whatever_the_values() {
        for low in (0..900).map(|step| 10_f64.powf(f64::from(step) / 100.0)) {
            for span in [1.0, 1.3, 1.5, 2.0, 3.0, 7.0, 20.0, 90.0, 2e3, 5e4, 3.6e9] {
                let ticks = labels(&[low, (low * span).min(3.6e9)]);
                assert!((2..=MOST_TICKS + 2).contains(&ticks.len()), "{low} {span}: {ticks:?}");
            }
        }
    }
}
