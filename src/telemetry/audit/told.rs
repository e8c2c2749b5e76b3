//! Which picks of a cycle are told, as runs without a gap: its size grows with the gaps, not with the picks.

use std::collections::BTreeMap;

/// A set of numbers.
#[derive(Debug, Default, Clone)]
pub(super) struct Told {
    /// First and last of each run; no two touch.
    runs: BTreeMap<u64, u64>,
}

impl Told {
    /// Adds a number, and says whether it is new.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let before = self.runs.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= number) {
            return false;
        }
        let first = match before {
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        let after = number.checked_add(1).and_then(|next| self.runs.remove(&next));
        self.runs.insert(first, after.unwrap_or(number));
        true
    }

    /// The lowest number and the highest one.
    pub(super) fn span(&self) -> Option<(u64, u64)> {
        Some((*self.runs.first_key_value()?.0, *self.runs.last_key_value()?.1))
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.runs.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// First and last of each gap between two runs.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        let begins = self.runs.keys().skip(1);
        self.runs.values().zip(begins).map(|(last, next)| (last + 1, next - 1))
    }

    /// How many of the places of a cycle of this length no number stands at.
    pub(super) fn free_places(&self, length: u64) -> u64 {
        let mut is_taken = vec![false; length as usize];
        let mut free = length;
        for (first, last) in &self.runs {
            let count = (last - first).saturating_add(1).min(length);
            for number in *first..=first + (count - 1) {
                free -= u64::from(!std::mem::replace(&mut is_taken[(number % length) as usize], true));
            }
            if free == 0 {
                break;
            }
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(numbers: &[u64]) -> Told {
        let mut told = Told::default();
        assert!(numbers.iter().all(|number| told.insert(*number)), "{numbers:?}");
        told
    }

    #[test]
    fn runs_grow_together_whatever_the_order() {
        let mut told = told(&[7, 3, 5, 4, 6, 0, u64::MAX]);
        assert!([0, 3, 5, 7, u64::MAX].iter().all(|number| !told.insert(*number)));
        assert_eq!(told.runs.len(), 3);
        assert_eq!((told.span(), told.count()), (Some((0, u64::MAX)), 7));
        assert_eq!(told.gaps().collect::<Vec<_>>(), [(1, 2), (8, u64::MAX - 1)]);
    }

    #[test]
    fn many_numbers_without_a_gap_take_no_room() {
        let mut told = Told::default();
        (0..100_000_u64).for_each(|number| assert!(told.insert(number ^ 7)));
        assert_eq!((told.runs.len(), told.count()), (1, 100_000));
    }

    #[test]
    fn places_are_free_where_no_number_falls() {
        let told = told(&[0, 1, 3, 4, 6, 7, 9, 10]);
        assert_eq!([1, 2, 3, 4].map(|length| told.free_places(length)), [0, 0, 1, 0]);
        assert_eq!(Told::default().free_places(5), 5);
    }
}
