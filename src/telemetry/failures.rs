//! Failures, counted by their label without a lock: a table of a fixed size.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::series::OTHERS;

/// Labels, of whatever each is counted for, that one table can tell apart.
const SLOTS: usize = 512;

/// What went wrong, as `side.stage.cause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// Who failed.
    pub side: &'static str,
    /// What was going on.
    pub stage: &'static str,
    /// How it failed.
    pub cause: &'static str,
}

impl Label {
    /// What was counted when the table was full, whatever its label.
    pub(super) const OTHERS: Self = Self { side: OTHERS, stage: OTHERS, cause: OTHERS };
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OTHERS => f.write_str(OTHERS),
            Self { side, stage, cause } => write!(f, "{side}.{stage}.{cause}"),
        }
    }
}

/// The failures that one shard has seen, by label and by the index of what has failed: a series, or a backend.
#[derive(Debug)]
pub(super) struct Failures {
    slots: Box<[Slot]>,
    others: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    key: OnceLock<(usize, Label)>,
    count: AtomicU64,
}

impl Default for Failures {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| Slot::default()).collect(), others: AtomicU64::new(0) }
    }
}

impl Failures {
    pub(super) fn add(&self, index: usize, label: Label) {
        let key = (index, label);
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let first = hasher.finish() as usize % SLOTS;
        let (before, after) = self.slots.split_at(first);
        let slot = after.iter().chain(before).find(|slot| *slot.key.get_or_init(|| key) == key);
        slot.map_or(&self.others, |slot| &slot.count).fetch_add(1, Ordering::Relaxed);
    }

    /// Index, label and count of all that were seen; [`Label::OTHERS`] has no index.
    pub(super) fn seen(&self) -> impl Iterator<Item = (Option<usize>, Label, u64)> {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let others = (None, Label::OTHERS, count(&self.others));
        let slots = self.slots.iter().filter_map(move |slot| {
            slot.key.get().map(|(index, label)| (Some(*index), *label, count(&slot.count)))
        });
        slots.chain([others]).filter(|(.., count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_index_and_label_and_a_full_table_still_counts() {
        let failures = Failures::default();
        let label = Label { side: "backend", stage: "connect", cause: "refused" };
        (0..3).for_each(|_| failures.add(7, label));
        failures.add(8, label);
        let mut seen: Vec<_> = failures.seen().collect();
        seen.sort_unstable();
        assert_eq!(seen, [(Some(7), label, 3), (Some(8), label, 1)]);
        (100..100 + SLOTS).for_each(|index| failures.add(index, label));
        assert_eq!(failures.seen().map(|(.., count)| count).sum::<u64>(), 4 + SLOTS as u64);
        assert!(failures.seen().any(|(_, label, count)| (label, count) == (Label::OTHERS, 2)));
        assert_eq!(
            (label.to_string(), Label::OTHERS.to_string()),
            ("backend.connect.refused".to_owned(), "(others)".to_owned())
        );
    }
}
