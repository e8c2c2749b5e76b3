//! What chance alone does: how often equal subjects would be told apart, and how likely a count of findings is.

/// A finding that chance gives more often than this is worth a weaker word.
pub const RARE: f64 = 0.01;

/// How often the ranges of two equal subjects do not overlap after so many rounds each: all figures of one lie below
/// all of the other, either way round, which are 2 of the (2R)! / (R!)² equally likely orders. 3 rounds: 10 %.
#[must_use]
pub fn ranges_apart(rounds: usize) -> f64 {
    let orders = (1..=rounds).map(|k| (rounds + k) as f64 / k as f64).product::<f64>();
    if rounds == 0 { 1.0 } else { 2.0 / orders }
}

/// How often one of so many equal subjects, named beforehand, is ahead of all others in every figure.
#[must_use]
pub fn ahead_of_all(subjects: usize, rounds: usize) -> f64 {
    let others = subjects.saturating_sub(1) * rounds;
    let orders = (1..=rounds).map(|k| (others + k) as f64 / k as f64).product::<f64>();
    1.0 / orders
}

/// How likely `found` or more of `tried` are, when each comes with this probability on its own.
#[must_use]
pub fn at_least(found: usize, tried: usize, probability: f64) -> f64 {
    let odds = probability / (1.0 - probability);
    let mut term = (1.0 - probability).powi(i32::try_from(tried).unwrap_or(i32::MAX));
    let mut below = 0.0;
    for count in 0..found.min(tried + 1) {
        below += term;
        term *= odds * (tried - count) as f64 / (count + 1) as f64;
    }
    (1.0 - below).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rounds_tell_equal_subjects_apart_often() {
        let percent = [2, 3, 4, 5].map(|rounds| (1000.0 * ranges_apart(rounds)).round() / 10.0);
        assert_eq!(percent, [33.3, 10.0, 2.9, 0.8]);
        assert_eq!(ranges_apart(1), 1.0);
        assert!((2.0 * ahead_of_all(2, 3) - ranges_apart(3)).abs() < 1e-12);
        assert!((ahead_of_all(5, 3) - 1.0 / 455.0).abs() < 1e-12);
    }

    /// Every order of six figures, counted one by one.
    #[test]
    fn the_formula_agrees_with_counting() {
        let ways = (0_u32..1 << 6).filter(|set| set.count_ones() == 3);
        let is_apart = |set: &u32| *set == 0b00_0111 || *set == 0b11_1000;
        let (all, apart) = (ways.clone().count(), ways.filter(is_apart).count());
        assert!((ranges_apart(3) - apart as f64 / all as f64).abs() < 1e-12);
    }

    #[test]
    fn a_count_of_findings_has_a_likelihood() {
        assert!((at_least(1, 2, 0.5) - 0.75).abs() < 1e-12);
        assert!((at_least(2, 2, 0.1) - 0.01).abs() < 1e-12);
        assert_eq!(at_least(0, 9, 0.1), 1.0);
        assert!(at_least(27, 27, 0.05) < 1e-30 + 1e-12);
        assert!(at_least(3, 2, 0.5) < 1e-12);
    }
}
