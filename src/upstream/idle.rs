//! Idle connections to backends, kept by one worker for its next exchanges.

use std::time::{Duration, Instant};

/// Idle connections of one worker, by backend. `S` is a connection; whether it is still fit is the caller's to say.
#[derive(Debug)]
pub struct IdlePool<S> {
    /// By place: see [`Place`].
    stacks: Vec<Vec<Idle<S>>>,
    count: usize,
    /// Idle connections kept at the most.
    limit: usize,
}

/// The number of a backend among the backends of all upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(pub usize);

#[derive(Debug)]
struct Idle<S> {
    stream: S,
    until: Instant,
}

impl<S> IdlePool<S> {
    /// For so many backends, keeping `limit` connections at the most.
    pub fn new(places: usize, limit: usize) -> Self {
        Self { stacks: std::iter::repeat_with(Vec::new).take(places).collect(), count: 0, limit }
    }

    /// Keeps a connection for `timeout`; beyond the limit it is given back, to be closed.
    pub fn put(&mut self, place: Place, stream: S, now: Instant, timeout: Duration) -> Option<S> {
        if self.count >= self.limit {
            return Some(stream);
        }
        self.stacks[place.0].push(Idle { stream, until: now + timeout });
        self.count += 1;
        None
    }

    /// The connection used last that is still fit and in time; the unfit ones met on the way are dropped.
    pub fn take(&mut self, place: Place, now: Instant, is_fit: impl Fn(&S) -> bool) -> Option<S> {
        while let Some(idle) = self.stacks[place.0].pop() {
            self.count -= 1;
            if idle.until > now && is_fit(&idle.stream) {
                return Some(idle.stream);
            }
        }
        None
    }

    /// Drops what is out of time or no longer fit.
    pub fn sweep(&mut self, now: Instant, is_fit: impl Fn(&S) -> bool) {
        for stack in &mut self.stacks {
            stack.retain(|idle| idle.until > now && is_fit(&idle.stream));
        }
        self.count = self.stacks.iter().map(Vec::len).sum();
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.stacks.iter_mut().for_each(Vec::clear);
        self.count = 0;
    }

    /// How many connections are kept.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_last_one_in_is_the_first_one_out_and_unfit_ones_are_dropped() {
        let now = Instant::now();
        let mut pool = IdlePool::new(2, 9);
        for name in ["a", "b", "c"] {
            assert_eq!(pool.put(Place(1), name, now, MINUTE), None);
        }
        assert_eq!(pool.take(Place(0), now, |_| true), None);
        assert_eq!(pool.take(Place(1), now, |name| *name != "c"), Some("b"));
        assert_eq!(pool.len(), 1);
    }

    #[test]
    fn what_is_out_of_time_is_neither_taken_nor_kept() {
        let now = Instant::now();
        let mut pool = IdlePool::new(1, 9);
        pool.put(Place(0), 'a', now, MINUTE);
        assert_eq!(pool.take(Place(0), now + MINUTE, |_| true), None);
        pool.put(Place(0), 'b', now, MINUTE);
        pool.put(Place(0), 'c', now, 2 * MINUTE);
        pool.sweep(now + MINUTE, |_| true);
        assert_eq!((pool.len(), pool.take(Place(0), now, |_| true)), (1, Some('c')));
    }

    #[test]
    fn beyond_the_limit_a_connection_is_given_back() {
        let now = Instant::now();
        let mut pool = IdlePool::new(1, 1);
        assert_eq!(pool.put(Place(0), 'a', now, MINUTE), None);
        assert_eq!(pool.put(Place(0), 'b', now, MINUTE), Some('b'));
    }
}
