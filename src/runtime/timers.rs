//! Deadlines of one worker: a heap that is seldom touched.
//!
//! Most deadlines are set and never met. A [`Deadline`] therefore stays in the heap at the moment it was first queued
//! with; moving it later is a store, and only when the old moment comes is it queued again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// The queue of moments; `K` says whose deadline it is.
#[derive(Debug)]
pub struct Timers<K> {
    heap: BinaryHeap<Reverse<Entry<K>>>,
}

#[derive(Debug)]
struct Entry<K> {
    at: Instant,
    key: K,
}

/// A deadline that can be moved for the price of a store.
#[derive(Debug, Default, Clone, Copy)]
pub struct Deadline {
    by: Option<Instant>,
    queued: Option<Instant>,
}

impl Deadline {
    /// Sets or moves it.
    pub fn set<K: Copy>(&mut self, by: Instant, timers: &mut Timers<K>, key: K) {
        self.by = Some(by);
        if self.queued.is_none_or(|queued| by < queued) {
            self.queued = Some(by);
            timers.push(by, key);
        }
    }

    /// Whether it was set, and neither missed nor taken back since.
    pub fn is_set(&self) -> bool {
        self.by.is_some()
    }

    /// Takes it back.
    pub fn clear(&mut self) {
        self.by = None;
    }

    /// What to do with an entry that [`Timers::pop_due`] gave: true when the deadline is missed (it is then cleared).
    pub fn is_missed<K: Copy>(&mut self, at: Instant, now: Instant, timers: &mut Timers<K>, key: K) -> bool {
        if self.queued != Some(at) {
            return false;
        }
        self.queued = None;
        match self.by {
            Some(by) if by <= now => {
                self.by = None;
                true
            }
            Some(by) => {
                self.set(by, timers, key);
                false
            }
            None => false,
        }
    }
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<K: Copy> Timers<K> {
    /// Queues a moment for a key.
    pub fn push(&mut self, at: Instant, key: K) {
        self.heap.push(Reverse(Entry { at, key }));
    }

    /// The earliest moment in the queue.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.0.at)
    }

    /// Takes out an entry whose moment has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Instant, K)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.key))
    }
}

impl<K> PartialEq for Entry<K> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<K> Eq for Entry<K> {}

impl<K> PartialOrd for Entry<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Entry<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_moved_later_costs_no_entry_and_is_missed_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        deadline.set(at(10), &mut timers, 'k');
        deadline.set(at(30), &mut timers, 'k');
        assert_eq!(timers.heap.len(), 1);
        let (queued, key) = timers.pop_due(at(10)).unwrap();
        assert!(!deadline.is_missed(queued, at(10), &mut timers, key));
        assert_eq!(timers.next(), Some(at(30)));
        let (queued, key) = timers.pop_due(at(31)).unwrap();
        assert!(deadline.is_missed(queued, at(31), &mut timers, key));
        assert!(timers.pop_due(at(99)).is_none());
    }

    #[test]
    fn a_deadline_moved_earlier_leaves_a_stale_entry_that_is_ignored() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        deadline.set(at(30), &mut timers, ());
        deadline.set(at(10), &mut timers, ());
        let (queued, ()) = timers.pop_due(at(10)).unwrap();
        assert!(deadline.is_missed(queued, at(10), &mut timers, ()));
        deadline.set(at(50), &mut timers, ());
        let (stale, ()) = timers.pop_due(at(30)).unwrap();
        assert!(!deadline.is_missed(stale, at(30), &mut timers, ()));
        let (queued, ()) = timers.pop_due(at(50)).unwrap();
        assert!(deadline.is_missed(queued, at(50), &mut timers, ()));
    }

    #[test]
    fn a_cleared_deadline_is_never_missed() {
        let now = Instant::now();
        let (mut timers, mut deadline) = (Timers::default(), Deadline::default());
        deadline.set(now, &mut timers, ());
        deadline.clear();
        let (queued, ()) = timers.pop_due(now).unwrap();
        assert!(!deadline.is_missed(queued, now, &mut timers, ()));
    }
}
