//! How values are distributed: the bucket layout of an HDR histogram, and what was merged from the shards.

use hdrhistogram::Histogram;

/// The largest value that is told apart: one hour, in microseconds. A longer one counts as that.
pub const HIGHEST_US: u64 = 3_600_000_000;
/// Significant decimal digits: a value is known to one part in a thousand.
pub const DIGITS: u8 = 3;

/// 2,048 buckets of one microsecond each, and then 1,024 for each doubling: what [`DIGITS`] asks for (G. Tene,
/// HdrHistogram, "Histogram variants and internal representation").
const SUB_BUCKETS: u64 = 2048;
const HALF: u64 = SUB_BUCKETS / 2;
/// Buckets of one distribution.
pub(super) const BUCKETS: usize = bucket_of(HIGHEST_US) + 1;

/// The bucket that a value falls into.
pub(super) const fn bucket_of(us: u64) -> usize {
    let us = if us > HIGHEST_US { HIGHEST_US } else { us };
    let doublings = (SUB_BUCKETS.leading_zeros() + 1 - (us | (SUB_BUCKETS - 1)).leading_zeros()) as u64;
    (doublings * HALF + (us >> doublings)) as usize
}

/// The smallest value that falls into a bucket.
const fn lowest_in(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let doublings = if bucket < SUB_BUCKETS { 0 } else { bucket / HALF - 1 };
    (bucket - doublings * HALF) << doublings
}

/// The largest value that falls into a bucket: into the last one, every one from there on.
const fn highest_in(bucket: usize) -> u64 {
    if bucket + 1 < BUCKETS { lowest_in(bucket + 1) - 1 } else { u64::MAX }
}

/// How often which values came, merged from all shards. Its counts come from the buckets and nothing else, so they are
/// never torn, and the sum and the largest value are such as these counts can have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Buckets that are not empty, in their order.
    counts: Vec<(u32, u64)>,
    sum_us: u64,
    max_us: u64,
}

impl Distribution {
    /// `sum_us` and `max_us` were not read in the same moment as the counts: an exchange that ended meanwhile may be in one
    /// and not in the other. So they are held to what the counted values can have summed to, and at rest are exact.
    pub(super) fn new(counts: Vec<(u32, u64)>, sum_us: u64, max_us: u64) -> Self {
        let Some(&(last, _)) = counts.last() else { return Self::default() };
        let sum = |of: fn(usize) -> u64| {
            let all = counts.iter().map(|(bucket, count)| of(*bucket as usize).saturating_mul(*count));
            all.fold(0, u64::saturating_add)
        };
        let sum_us = sum_us.clamp(sum(lowest_in), sum(highest_in));
        let max_us = max_us.clamp(lowest_in(last as usize), highest_in(last as usize));
        Self { counts, sum_us, max_us }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Their sum in microseconds: exact if no exchange ended while it was read, or else to [`DIGITS`] digits.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Their mean in microseconds, as exact as their sum; 0 for none.
    pub fn mean_us(&self) -> f64 {
        let count = self.count();
        if count == 0 { 0.0 } else { self.sum_us as f64 / count as f64 }
    }

    /// The largest value in microseconds, as exact as the sum; of what [`Distribution::since`] gives, to [`DIGITS`] digits.
    pub fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The value that so many of ten thousand do not exceed, in microseconds, to [`DIGITS`] digits; 0 for none. It is the
    /// highest one of its bucket, as HdrHistogram has it; of longer ones nothing is known but that they are longer than
    /// [`HIGHEST_US`].
    pub fn value_at(&self, ten_thousandths: u64) -> u64 {
        let rank = (u128::from(self.count()) * u128::from(ten_thousandths)).div_ceil(10_000).max(1);
        let mut passed = 0;
        let at = self.counts.iter().find(|(_, count)| {
            passed += u128::from(*count);
            passed >= rank
        });
        at.map_or(0, |(bucket, _)| highest_in(*bucket as usize).min(self.max_us).min(HIGHEST_US))
    }

    /// How many values there are up to a bound, to [`DIGITS`] digits.
    pub fn count_up_to(&self, bound_us: u64) -> u64 {
        let last = bucket_of(bound_us) as u32;
        self.counts.iter().take_while(|(bucket, _)| *bucket <= last).map(|(_, count)| count).sum()
    }

    /// What keeping it costs.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.counts.capacity() * size_of::<(u32, u64)>()
    }

    /// Takes no more memory than it has to.
    #[must_use]
    pub(super) fn compact(mut self) -> Self {
        self.counts.shrink_to_fit();
        self
    }

    /// This and another distribution together.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let counts = combined(&self.counts, &other.counts, u64::wrapping_add);
        Self { counts, sum_us: self.sum_us + other.sum_us, max_us: self.max_us.max(other.max_us) }
    }

    /// What came after an earlier reading of the same distribution.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = combined(&self.counts, &earlier.counts, u64::saturating_sub);
        counts.retain(|(_, count)| *count > 0);
        Self::new(counts, self.sum_us.saturating_sub(earlier.sum_us), self.max_us)
    }

    /// The same as a histogram of the `hdrhistogram` crate, in microseconds, bucket by bucket.
    pub fn histogram(&self) -> Histogram<u64> {
        #[expect(clippy::expect_used, reason = "the bounds are constants that a test has tried")]
        let mut histogram = Histogram::new_with_bounds(1, HIGHEST_US, DIGITS).expect("the bounds are good");
        for (bucket, count) in &self.counts {
            histogram.saturating_record_n(lowest_in(*bucket as usize), *count);
        }
        histogram
    }
}

/// Goes through two sorted lists side by side.
fn combined(ours: &[(u32, u64)], theirs: &[(u32, u64)], with: fn(u64, u64) -> u64) -> Vec<(u32, u64)> {
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    let mut all = Vec::new();
    while let Some(bucket) = ours.peek().into_iter().chain(theirs.peek()).map(|(bucket, _)| *bucket).min() {
        let take = |side: &mut std::iter::Peekable<std::slice::Iter<'_, (u32, u64)>>| {
            side.next_if(|(other, _)| *other == bucket).map_or(0, |(_, count)| *count)
        };
        let (our, their) = (take(&mut ours), take(&mut theirs));
        all.push((bucket, with(our, their)));
    }
    all
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The distribution of a list of values.
    pub(crate) fn of(values: &[u64]) -> Distribution {
        let mut counts = vec![0; BUCKETS];
        values.iter().for_each(|us| counts[bucket_of(*us)] += 1);
        let counts = (0..).zip(counts).filter(|(_, count)| *count > 0).collect();
        Distribution::new(counts, values.iter().sum(), values.iter().max().copied().unwrap_or(0))
    }

    /// What the crate makes of the same values: it would tell values apart that are a little above its bound.
    pub(in crate::telemetry) fn reference(values: &[u64]) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, HIGHEST_US, DIGITS).unwrap();
        values.iter().for_each(|us| histogram.saturating_record((*us).min(HIGHEST_US)));
        histogram
    }

    pub(in crate::telemetry) fn some_values() -> impl Strategy<Value = Vec<u64>> {
        let value = prop_oneof![0..3_000_u64, 0..1_000_000_u64, 0..2 * HIGHEST_US];
        proptest::collection::vec(value, 0..200)
    }

    #[test]
    fn buckets_are_those_of_the_crate() {
        let histogram = reference(&[]);
        for us in (0..100_000).chain((0..32).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1])) {
            let us = us.min(HIGHEST_US);
            assert_eq!(lowest_in(bucket_of(us)), histogram.lowest_equivalent(us), "{us}");
            assert_eq!(lowest_in(bucket_of(us) + 1) - 1, histogram.highest_equivalent(us), "{us}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert!(BUCKETS <= histogram.distinct_values());
    }

    #[test]
    fn an_exchange_that_ends_while_it_is_read_misleads_nobody() {
        let torn = Distribution::new(vec![(10, 3), (2_048, 1)], 3 * 10 + 2_049 + 9_000_000, 9_000_000);
        assert_eq!((torn.count(), torn.sum_us(), torn.max_us()), (4, 3 * 10 + 2_049, 2_049));
        let counted_only = Distribution::new(vec![(10, 3)], 10, 10);
        assert_eq!((counted_only.mean_us(), counted_only.max_us()), (10.0, 10));
        assert_eq!(Distribution::new(vec![], 7, 7), Distribution::default());
        // Each reading may be right by itself, and their difference not.
        let earlier = Distribution::new(vec![(2_048, 2)], 2_048 + 2_049, 2_049);
        let later = Distribution::new(vec![(10, 1), (2_048, 2)], 10 + 2_048 + 2_048, 2_049);
        assert_eq!(later.since(&earlier).mean_us(), 10.0);
    }

    #[test]
    fn percentiles_are_ranks_and_no_rounding_moves_them() {
        // 99.9 / 100 * 1000 is a little more than 999 in floating point.
        let thousand = of(&(1..=1000).collect::<Vec<_>>());
        assert_eq!([5_000, 9_990, 9_999, 10_000].map(|at| thousand.value_at(at)), [500, 999, 1000, 1000]);
        assert_eq!(Distribution::default().value_at(5_000), 0);
    }

    #[test]
    fn a_value_beyond_the_highest_counts_as_that_and_is_known_as_the_largest() {
        let long = of(&[HIGHEST_US + 1, 2 * HIGHEST_US, 3 * HIGHEST_US]);
        assert_eq!([1, 5_000, 10_000].map(|at| long.value_at(at)), [HIGHEST_US; 3]);
        assert_eq!(long.max_us(), 3 * HIGHEST_US);
    }

    proptest! {
        #[test]
        fn a_percentile_is_the_value_of_its_rank(mut values in some_values(), at in 0..=10_000_u64) {
            values.push(7);
            values.sort_unstable();
            let rank = (values.len() as u64 * at).div_ceil(10_000).max(1);
            let (of_rank, found) = (values[rank as usize - 1], of(&values).value_at(at));
            prop_assert!(found >= of_rank.min(HIGHEST_US) && bucket_of(found) == bucket_of(of_rank), "{found} for {of_rank}");
        }

        #[test]
        fn a_distribution_is_what_the_crate_would_have_recorded(values in some_values()) {
            let distribution = of(&values);
            let histogram = distribution.histogram();
            prop_assert!(histogram == reference(&values));
            prop_assert_eq!(histogram.len(), distribution.count());
        }

        #[test]
        fn merging_and_taking_away_are_exact(first in some_values(), second in some_values()) {
            let (before, all) = (of(&first), of(&[first.as_slice(), &second].concat()));
            prop_assert!(before.merged(&of(&second)) == all);
            let since = all.since(&before);
            prop_assert!(since.histogram() == reference(&second));
            prop_assert_eq!(since.sum_us(), second.iter().sum::<u64>());
            let max = second.iter().max().copied().unwrap_or(0);
            prop_assert!(since.max_us() >= max.min(HIGHEST_US) && since.max_us() <= all.max_us());
        }
    }
}
