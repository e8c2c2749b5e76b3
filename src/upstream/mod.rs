//! The backends of an upstream as the whole process sees them: who is eligible, whose turn it is, what is in flight.

pub mod idle;
pub mod retry;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use smallvec::SmallVec;

use crate::balance::{BackendId, Policy};
use crate::config::UpstreamConfig;

/// Stands in the cursor of a cycle that is over, above any count of picks.
const OVER: u64 = 1 << 63;

/// A named group of backends with one balancer, shared by all workers.
///
/// The promise: over any window of consecutive picks with weights and eligible backends unchanged, the counts of two
/// equal backends differ by at most 1. A change of the eligible set starts a new cycle.
#[derive(Debug)]
pub struct Upstream {
    /// Its name in the configuration.
    pub name: String,
    /// How long an idle connection to one of its backends is kept.
    pub backend_idle: Duration,
    backends: Vec<Backend>,
    policy: &'static Policy,
    /// How long a backend that no connection could be made to is left alone.
    pub fail_for: Duration,
    cycle: ArcSwap<Cycle>,
    /// Held by whoever makes the next cycle: one at a time. Whoever only looks does not take it.
    making: Mutex<()>,
    /// Spreads failovers over the backends that are left.
    failovers: AtomicUsize,
}

/// One origin server, and what all workers count of it.
#[derive(Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its address as text: how it is named in the log, and the authority for a request that has none.
    pub name: String,
    /// Its share.
    pub weight: u32,
    in_flight: AtomicUsize,
    ejections: AtomicU64,
}

/// The order in which eligible backends are picked, until the eligible set changes.
#[derive(Debug)]
struct Cycle {
    number: u64,
    /// Picks of all cycles before it.
    earlier: u64,
    order: Vec<BackendId>,
    /// Picks so far, and [`OVER`].
    cursor: AtomicU64,
    /// For each backend that is ejected, when it may come back.
    ejected: Vec<Option<Instant>>,
    /// When the first ejected backend may come back.
    renew_at: Option<Instant>,
}

/// Whose turn it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// The backend.
    pub backend: BackendId,
    /// Picks of the upstream before it. The numbers run on from cycle to cycle, so none is missing where one ends.
    pub number: u64,
    /// The cycle: each one's number is greater than that of the one before.
    pub cycle: u64,
}

/// The backends that an exchange has tried already.
pub type Tried = SmallVec<[BackendId; 4]>;

/// A backend as it is now.
#[derive(Debug)]
pub struct BackendState<'a> {
    /// The backend.
    pub backend: &'a Backend,
    /// Exchanges in flight.
    pub in_flight: usize,
    /// No connection to it could be made, and it is left alone until then.
    pub ejected_until: Option<Instant>,
    /// How often it was left alone, since the start.
    pub ejections: u64,
    /// Picks of it in the cycle that runs.
    pub picks: u64,
}

/// An exchange in flight at a backend; over when dropped.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Backend);

impl Upstream {
    /// All backends eligible, none in flight. Its cycles are numbered from `first_cycle` on: take a number that no
    /// upstream of the name has had or will have, such as the microsecond, as its picks are counted from 0 anew.
    pub fn new(config: &UpstreamConfig, first_cycle: u64) -> Self {
        let backends: Vec<Backend> = config
            .backends
            .iter()
            .map(|backend| Backend {
                address: backend.address,
                name: backend.address.to_string(),
                weight: backend.weight,
                in_flight: AtomicUsize::new(0),
                ejections: AtomicU64::new(0),
            })
            .collect();
        let ejected = vec![None; backends.len()];
        let cycle = Cycle::new(first_cycle, 0, order(&backends, config.policy, &ejected), ejected);
        Self {
            name: config.name.clone(),
            backend_idle: config.backend_idle,
            backends,
            policy: config.policy,
            fail_for: config.fail_for,
            cycle: ArcSwap::from_pointee(cycle),
            making: Mutex::new(()),
            failovers: AtomicUsize::new(0),
        }
    }

    /// A backend by its id.
    pub fn backend(&self, id: BackendId) -> &Backend {
        &self.backends[id.0]
    }

    /// How many backends there are.
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether there are no backends (the configuration never has such an upstream).
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// Exchanges in flight at all backends together.
    pub fn in_flight(&self) -> usize {
        self.backends.iter().map(|backend| backend.in_flight.load(Ordering::Relaxed)).sum()
    }

    /// Its backends as they are at this moment, and the number of the cycle that runs.
    pub fn state(&self, now: Instant) -> (u64, Vec<BackendState<'_>>) {
        let cycle = self.cycle.load();
        let states = self.backends.iter().zip(&cycle.ejected).enumerate().map(|(id, (backend, until))| {
            let in_flight = backend.in_flight.load(Ordering::Relaxed);
            // The next pick takes back whoever's time is over.
            let ejected_until = until.filter(|until| *until > now);
            let ejections = backend.ejections.load(Ordering::Relaxed);
            BackendState {
                backend,
                in_flight,
                ejected_until,
                ejections,
                picks: cycle.picks_of(BackendId(id)),
            }
        });
        (cycle.number, states.collect())
    }

    /// The backend whose turn it is. Ejected ones are left out, unless all are: then they are tried anyway.
    pub fn pick(&self, now: Instant) -> Pick {
        let mut cycle = self.cycle.load();
        if cycle.renew_at.is_some_and(|at| at <= now) {
            drop(cycle);
            self.renew(now);
            cycle = self.cycle.load();
        }
        loop {
            let turn = cycle.cursor.fetch_add(1, Ordering::Relaxed);
            if turn < OVER {
                let backend = cycle.order[(turn % cycle.order.len() as u64) as usize];
                return Pick { backend, number: cycle.earlier + turn, cycle: cycle.number };
            }
            // Whoever ended the cycle holds the lock until the next one is there.
            drop(cycle);
            drop(self.begin_making());
            cycle = self.cycle.load();
        }
    }

    /// A backend that was not tried yet, after a failed connect; `None` when each eligible one was. No turn is taken.
    pub fn pick_another(&self, tried: &Tried) -> Option<BackendId> {
        let cycle = self.cycle.load();
        let ejected = &cycle.ejected;
        let untried = |id: &BackendId| !tried.contains(id);
        let eligible = |id: &BackendId| ejected[id.0].is_none();
        let all = || (0..self.backends.len()).map(BackendId).filter(untried);
        let count = all().filter(eligible).count();
        let turn = self.failovers.fetch_add(1, Ordering::Relaxed);
        if count > 0 {
            return all().filter(eligible).nth(turn % count);
        }
        // Each eligible backend was tried; the ejected ones are tried only when there was no eligible one at all.
        if ejected.iter().any(Option::is_none) { None } else { all().next() }
    }

    /// Leaves a backend that no connection could be made to alone for `fail-for`, and says whether that is new: one that
    /// is left alone already stays so.
    pub fn eject(&self, id: BackendId, now: Instant) -> bool {
        let _making = self.begin_making();
        let mut ejected = self.cycle.load().ejected.clone();
        let is_new = ejected[id.0].is_none();
        if is_new {
            ejected[id.0] = Some(now + self.fail_for);
            self.backends[id.0].ejections.fetch_add(1, Ordering::Relaxed);
            self.store(ejected);
        }
        is_new
    }

    /// A connection to the backend was made: whatever was held against it is forgotten. Where nothing could be reached
    /// before, all are forgiven, or the first one to come back would carry everything.
    pub fn restore(&self, id: BackendId) {
        if self.cycle.load().renew_at.is_none() {
            return;
        }
        let _making = self.begin_making();
        let mut ejected = self.cycle.load().ejected.clone();
        if ejected[id.0].is_none() {
            return;
        }
        if ejected.iter().all(Option::is_some) {
            ejected.fill(None);
        }
        ejected[id.0] = None;
        self.store(ejected);
    }

    /// Lets backends whose time is over take part again.
    fn renew(&self, now: Instant) {
        let _making = self.begin_making();
        let mut ejected = self.cycle.load().ejected.clone();
        let mut changed = false;
        for until in ejected.iter_mut().filter(|until| until.is_some_and(|at| at <= now)) {
            *until = None;
            changed = true;
        }
        if changed {
            self.store(ejected);
        }
    }

    /// Begins a cycle; the caller holds `making`.
    fn store(&self, ejected: Vec<Option<Instant>>) {
        let order = order(&self.backends, self.policy, &ejected);
        let last = self.cycle.load();
        // From here on nobody picks from it, so the next one knows how many picks there were.
        let picks = last.cursor.fetch_or(OVER, Ordering::Relaxed);
        self.cycle.store(Arc::new(Cycle::new(last.number + 1, last.earlier + picks, order, ejected)));
    }

    fn begin_making(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend {
    /// Counts an exchange as in flight until the guard is dropped.
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Cycle {
    /// How often a backend was picked.
    fn picks_of(&self, id: BackendId) -> u64 {
        let picks = self.cursor.load(Ordering::Relaxed) & !OVER;
        let in_first =
            |length: usize| self.order[..length].iter().filter(|other| **other == id).count() as u64;
        let length = self.order.len();
        picks / length as u64 * in_first(length) + in_first((picks % length as u64) as usize)
    }

    fn new(number: u64, earlier: u64, order: Vec<BackendId>, ejected: Vec<Option<Instant>>) -> Self {
        let renew_at = ejected.iter().flatten().min().copied();
        Self { number, earlier, order, cursor: AtomicU64::new(0), ejected, renew_at }
    }
}

/// The order in which the backends that are not ejected, or else all, are picked.
fn order(backends: &[Backend], policy: &Policy, ejected: &[Option<Instant>]) -> Vec<BackendId> {
    let weights = |with_ejected: bool| -> Vec<(BackendId, u32)> {
        (0..backends.len())
            .filter(|i| with_ejected || ejected[*i].is_none())
            .map(|i| (BackendId(i), backends[i].weight))
            .collect()
    };
    let mut eligible = weights(false);
    if eligible.is_empty() {
        eligible = weights(true);
    }
    (policy.cycle)(&eligible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::POLICIES;
    use crate::config::BackendConfig;

    fn upstream(count: u16) -> Upstream {
        let config = UpstreamConfig {
            name: "test".to_owned(),
            policy: &POLICIES[0],
            fail_for: Duration::from_secs(5),
            backend_idle: Duration::from_secs(30),
            backends: (0..count)
                .map(|i| BackendConfig { address: SocketAddr::from(([127, 0, 0, 1], 9000 + i)), weight: 1 })
                .collect(),
        };
        Upstream::new(&config, 0)
    }

    fn picks(upstream: &Upstream, now: Instant, count: usize) -> Vec<usize> {
        (0..count).map(|_| upstream.pick(now).backend.0).collect()
    }

    #[test]
    fn ten_thousand_picks_of_five_from_many_threads_are_two_thousand_each() {
        let upstream = upstream(5);
        let now = Instant::now();
        let counts: Vec<AtomicUsize> = (0..5).map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_500 {
                        counts[upstream.pick(now).backend.0].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 2_000));
    }

    #[test]
    fn an_ejected_backend_is_left_alone_for_fail_for_and_then_tried_again() {
        let (upstream, start) = (upstream(3), Instant::now());
        upstream.eject(BackendId(1), start);
        let before = start + Duration::from_millis(4_999);
        assert_eq!(picks(&upstream, before, 4), [0, 2, 0, 2]);
        assert!(!upstream.eject(BackendId(1), before), "it is left alone already");
        let after = start + Duration::from_secs(5);
        assert_eq!(picks(&upstream, after, 4), [0, 1, 2, 0]);
        upstream.eject(BackendId(1), after);
        let ejections: Vec<_> = upstream.state(after).1.iter().map(|state| state.ejections).collect();
        assert_eq!(ejections, [0, 2, 0]);
    }

    #[test]
    fn picks_are_numbered_without_a_gap_while_cycles_change() {
        const PICKS: u64 = 20_000;
        let (upstream, now) = (upstream(3), Instant::now());
        let mut picks = std::thread::scope(|scope| {
            let pick = || (0..PICKS).map(|_| upstream.pick(now)).collect::<Vec<_>>();
            let workers = [scope.spawn(pick), scope.spawn(pick)];
            while !workers.iter().all(|worker| worker.is_finished()) {
                upstream.eject(BackendId(1), now);
                upstream.restore(BackendId(1));
            }
            workers.map(|worker| worker.join().unwrap()).concat()
        });
        picks.sort_unstable_by_key(|pick| pick.number);
        assert!(picks.iter().map(|pick| pick.number).eq(0..2 * PICKS));
        assert!(picks.is_sorted_by_key(|pick| pick.cycle) && picks.last().unwrap().cycle > 0);
    }

    #[test]
    fn picks_are_numbered_and_a_change_begins_a_new_cycle() {
        let (upstream, now) = (upstream(2), Instant::now());
        let next = || {
            let Pick { backend, number, cycle } = upstream.pick(now);
            (backend.0, number, cycle)
        };
        assert_eq!([next(), next(), next()], [(0, 0, 0), (1, 1, 0), (0, 2, 0)]);
        upstream.eject(BackendId(0), now);
        assert_eq!([next(), next()], [(1, 3, 1), (1, 4, 1)]);
        let state = |upstream: &Upstream| {
            let (cycle, states) = upstream.state(now);
            let states = states.iter().map(|state| (state.picks, state.ejected_until.is_some()));
            (cycle, states.collect::<Vec<_>>())
        };
        assert_eq!(state(&upstream), (1, vec![(0, true), (2, false)]));
        upstream.restore(BackendId(0));
        let next = || upstream.pick(now);
        assert_eq!([next(), next(), next()].map(|pick| (pick.number, pick.cycle)), [(5, 2), (6, 2), (7, 2)]);
        assert_eq!(state(&upstream), (2, vec![(2, false), (1, false)]));
    }

    /// Whoever reads the state may be interrupted for long, and workers wait for the lock.
    #[test]
    fn the_state_is_read_and_another_is_picked_while_a_cycle_is_made() {
        let (upstream, now) = (upstream(2), Instant::now());
        upstream.eject(BackendId(0), now);
        let (told, hears) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let making = upstream.begin_making();
            scope.spawn(|| {
                let states = upstream.state(now).1;
                let another = upstream.pick_another(&Tried::new());
                let _ = told.send((states[0].ejected_until, another));
            });
            let heard = hears.recv_timeout(Duration::from_secs(10));
            drop(making);
            assert_eq!(heard.unwrap(), (Some(now + Duration::from_secs(5)), Some(BackendId(1))));
        });
    }

    #[test]
    fn when_all_are_ejected_they_are_tried_anyway() {
        let (upstream, now) = (upstream(2), Instant::now());
        upstream.eject(BackendId(0), now);
        upstream.eject(BackendId(1), now);
        assert_eq!(picks(&upstream, now, 4), [0, 1, 0, 1]);
        assert_eq!(upstream.pick_another(&Tried::from_slice(&[BackendId(0)])), Some(BackendId(1)));
        assert_eq!(upstream.pick_another(&Tried::from_slice(&[BackendId(0), BackendId(1)])), None);
    }

    #[test]
    fn failovers_leave_out_what_was_tried_and_take_no_turn() {
        let (upstream, now) = (upstream(3), Instant::now());
        assert_eq!(upstream.pick(now), Pick { backend: BackendId(0), number: 0, cycle: 0 });
        let tried = Tried::from_slice(&[BackendId(0)]);
        let another: Vec<_> = (0..4).map(|_| upstream.pick_another(&tried)).collect();
        assert_eq!(another, [1, 2, 1, 2].map(|i| Some(BackendId(i))));
        assert_eq!(picks(&upstream, now, 2), [1, 2]);
        upstream.eject(BackendId(2), now);
        assert_eq!(upstream.pick_another(&Tried::from_slice(&[BackendId(0), BackendId(1)])), None);
    }

    #[test]
    fn a_connection_made_restores_at_once() {
        let (upstream, now) = (upstream(2), Instant::now());
        upstream.eject(BackendId(1), now);
        upstream.restore(BackendId(1));
        assert_eq!(picks(&upstream, now, 2), [0, 1]);
    }

    #[test]
    fn after_an_outage_of_all_the_first_success_forgives_all() {
        let (upstream, now) = (upstream(3), Instant::now());
        assert!((0..3).all(|id| upstream.eject(BackendId(id), now)));
        upstream.restore(BackendId(1));
        assert_eq!(picks(&upstream, now, 3), [0, 1, 2]);
    }

    #[test]
    fn what_is_in_flight_is_counted_until_it_is_dropped() {
        let upstream = upstream(2);
        let guard = upstream.backend(BackendId(1)).begin();
        assert_eq!(upstream.in_flight(), 1);
        drop(guard);
        assert_eq!(upstream.in_flight(), 0);
    }
}
