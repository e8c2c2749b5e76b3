//! How long connections wait to be accepted: an estimate from samples of how many wait, by Little's law.
//!
//! The kernel tells how long the queue is, and not how long anybody has been in it. But connections that wait for a second
//! altogether are one second of queue: the queue's length, added up over time, is the sum of all waits (J. Little, "A
//! Proof for the Queuing Formula: L = λW", 1961). Divided by how many were accepted meanwhile it is their mean wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Admin;

/// Between two samples. No divisor of a second: clients that come at intervals of their own are not met in step.
const INTERVAL: Duration = Duration::from_millis(97);

/// What all samples since the start make together.
#[derive(Debug, Default)]
pub(super) struct AcceptWait(Mutex<Waited>);

/// What samples make together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Waited {
    /// How long connections have waited, all of them together.
    waited: Duration,
    /// How many were accepted.
    pub(super) accepted: u64,
    /// How long it was sampled.
    sampled: Duration,
    samples: u64,
}

/// How long connections have waited to be accepted, as `/latency` shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AcceptWaitView {
    /// Connections that were accepted.
    pub count: u64,
    /// How long they have waited on average, in microseconds; absent where there were none, or it cannot be known.
    pub mean: Option<f64>,
    /// What one connection that was seen waiting makes of the mean, in microseconds: no difference below that means
    /// anything.
    pub resolution: Option<f64>,
    /// How often the queues were looked at.
    pub samples: u64,
}

impl AcceptWait {
    pub(super) fn so_far(&self) -> Waited {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many connections wait after so much time; so many have been accepted since the start.
    fn add(&self, waiting: usize, passed: Duration, accepted: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.waited += passed.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX));
        all.accepted = accepted;
        all.sampled += passed;
        all.samples += 1;
    }
}

impl Waited {
    /// What came after an earlier reading.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            waited: self.waited.saturating_sub(earlier.waited),
            accepted: self.accepted.saturating_sub(earlier.accepted),
            sampled: self.sampled.saturating_sub(earlier.sampled),
            samples: self.samples.saturating_sub(earlier.samples),
        }
    }

    /// All waits together.
    pub(super) fn seconds(self) -> f64 {
        self.waited.as_secs_f64()
    }

    pub(super) fn view(self) -> AcceptWaitView {
        let Self { waited, accepted, sampled, samples } = self;
        let is_known = accepted > 0 && samples > 0;
        let each = |all: Duration| is_known.then(|| all.as_secs_f64() * 1e6 / accepted as f64);
        let rounded = |us: f64| (us * 1000.0).round() / 1000.0;
        AcceptWaitView {
            count: accepted,
            mean: each(waited).map(rounded),
            resolution: each(sampled.div_f64(samples.max(1) as f64)).map(rounded),
            samples,
        }
    }
}

/// Samples the queues of all listeners, for ever.
pub(super) async fn sample(admin: Arc<Admin>) {
    let (mut ticks, mut last) = (interval(INTERVAL), Instant::now());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = ticks.tick().await;
        // Where the kernel does not tell, or nobody listens any more, nothing is known.
        if let Some(waiting) = in_all(admin.waiting()) {
            admin.accept_wait.add(waiting, now.saturating_duration_since(last), admin.shared.accepted());
        }
        last = now;
    }
}

fn in_all(waiting: Vec<Option<usize>>) -> Option<usize> {
    waiting.into_iter().flatten().reduce(|all, one| all + one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_the_queue_over_time_for_each_that_was_accepted() {
        let all = AcceptWait::default();
        assert_eq!(all.so_far().view(), AcceptWaitView::default(), "nobody was accepted");
        // 20 connections a second, each of which waits for 150 ms: 3 in the queue at any time.
        (1..=50).for_each(|at| all.add(3, Duration::from_millis(100), at * 2));
        let begun = all.so_far();
        let steady =
            AcceptWaitView { count: 100, mean: Some(150_000.0), resolution: Some(1_000.0), samples: 50 };
        assert_eq!((begun.view(), begun.seconds()), (steady, 15.0));
        (1..=10).for_each(|at| all.add(0, Duration::from_millis(100), 100 + at));
        let later = all.so_far().since(begun).view();
        assert_eq!((later.count, later.mean, later.samples), (10, Some(0.0), 10));
        let nobody = all.so_far().since(all.so_far()).view();
        assert_eq!((nobody.mean, nobody.resolution), (None, None));
    }
}
