//! Weights that would explain the picks, where no configuration tells them.

use super::Picks;

/// The longest cycle that is tried.
const LONGEST: u64 = 512;
/// A cycle has to come so often before anything is made of it.
const LEAST_TURNS: u64 = 3;

impl Picks {
    /// The least weights, not all equal, by which the backends may have been picked as often as they were in the longest
    /// cycle. Whether the turns are theirs, too, has to be checked.
    pub(super) fn guess(&self) -> Option<Vec<(String, u32)>> {
        let longest = self.cycles.values().max_by_key(|cycle| cycle.told.count())?;
        let counts: Vec<_> = longest.members.values().copied().collect();
        let weights = weights(&counts)?;
        let names = longest.members.keys().map(|id| self.backends.names[*id].clone());
        Some(names.zip(weights).collect())
    }
}

/// Those that give exactly these counts, or else the first ones that come near.
fn weights(counts: &[u64]) -> Option<Vec<u32>> {
    let (total, backends) = (counts.iter().sum::<u64>(), counts.len() as u64);
    let longest = LONGEST.min(total / LEAST_TURNS);
    let is_exact = |weights: &Vec<u64>, length: u64| {
        counts.iter().zip(weights).all(|(count, weight)| count * length == weight * total)
    };
    // In a cycle that is not over a backend may have had up to all of its turns, or none of them.
    let is_near = |weights: &Vec<u64>, length: u64| {
        counts.iter().zip(weights).all(|(count, weight)| count.abs_diff(total * weight / length) <= *weight)
    };
    let all = (backends + 1..=longest).filter_map(|length| {
        let share = |count: &u64| (count * length + total / 2) / total;
        let weights: Vec<u64> = counts.iter().map(|count| share(count).max(1)).collect();
        let are_equal = weights.iter().all(|weight| weight == &weights[0]);
        (!are_equal && weights.iter().sum::<u64>() == length).then_some((weights, length))
    });
    let first =
        |fits: &dyn Fn(&Vec<u64>, u64) -> bool| all.clone().find(|(weights, length)| fits(weights, *length));
    let (weights, _) = first(&is_exact).or_else(|| first(&is_near))?;
    Some(weights.into_iter().map(|weight| weight as u32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_found_by_counts() {
        assert_eq!(weights(&[2_000, 500, 500]), Some(vec![4, 1, 1]));
        assert_eq!(weights(&[2_001, 500, 501]), Some(vec![4, 1, 1]));
        assert_eq!(weights(&[125, 75, 50, 50]), Some(vec![5, 3, 2, 2]));
        assert_eq!(weights(&[2, 1]), None, "once is no proof");
        for equal in [&[300][..], &[1_000, 1_000, 1_000], &[1_001, 1_000, 1_000]] {
            assert_eq!(weights(equal), None);
        }
        assert_eq!(weights(&[]), None);
    }
}
