//! What is going on: upstreams, their backends, connections.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Admin;
use crate::proxy::Shared;
use crate::upstream::Upstream;

/// One upstream, as `/upstreams` shows it.
#[derive(Debug, Serialize, Deserialize)]
pub struct UpstreamView {
    /// Its name.
    pub upstream: String,
    /// The cycle that runs: a change of the eligible backends begins a new one.
    pub cycle: u64,
    /// In the order of the configuration.
    pub backends: Vec<BackendView>,
}

/// One backend.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackendView {
    /// Its configured address.
    pub backend: String,
    /// Its share.
    pub weight: u32,
    /// `eligible`, or `ejected` while it is left alone.
    pub state: String,
    /// For how many milliseconds from now on it is still left alone; absent if it is not.
    pub ejected_ms: Option<u64>,
    /// Exchanges in flight.
    pub in_flight: usize,
    /// Picks in the cycle that runs.
    pub picks: u64,
    /// How often it was left alone, since the start.
    pub ejections: u64,
    /// Attempts that it has failed since the start, by the failure's label.
    pub failed_attempts: BTreeMap<String, u64>,
}

/// Client connections, as `/connections` shows them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connections {
    /// Open now.
    pub open: usize,
    /// How many each worker serves, those on their way to it from another worker included.
    pub workers: Vec<usize>,
    /// How many of them the most loaded worker serves above the mean.
    pub skew: f64,
    /// Handed from one worker to another, since the start.
    pub handed_over: u64,
    /// Since the start.
    pub accepted: u64,
    /// `limits.connections`.
    pub limit: usize,
    /// Exchanges in flight at all backends.
    pub in_flight: usize,
}

pub(super) fn upstreams(shared: &Shared) -> Vec<UpstreamView> {
    let now = Instant::now();
    let mut failed = failed_attempts(shared);
    let mut failed = (0..).map(|place| failed.remove(&place).unwrap_or_default());
    shared.upstreams().iter().map(|upstream| view(upstream, &mut failed, now)).collect()
}

/// By the place of the backend among all of the configuration.
fn failed_attempts(shared: &Shared) -> BTreeMap<usize, BTreeMap<String, u64>> {
    let mut all = BTreeMap::<_, BTreeMap<_, _>>::new();
    for ((place, label), count) in shared.meter.attempt_failures() {
        if let Some(place) = place {
            all.entry(place).or_default().insert(label.to_string(), count);
        }
    }
    all
}

/// `failed` goes on with the attempts that the next backend has failed: it gives those of this upstream, and no more.
fn view(
    upstream: &Upstream,
    failed: &mut impl Iterator<Item = BTreeMap<String, u64>>,
    now: Instant,
) -> UpstreamView {
    let (cycle, states) = upstream.state(now);
    let backends = states.into_iter().zip(failed).map(|(state, failed_attempts)| {
        let left = state.ejected_until.map(|until| until.saturating_duration_since(now));
        BackendView {
            backend: state.backend.name.clone(),
            weight: state.backend.weight,
            state: if left.is_some() { "ejected" } else { "eligible" }.to_owned(),
            ejected_ms: left.map(|left| left.as_millis() as u64),
            in_flight: state.in_flight,
            picks: state.picks,
            ejections: state.ejections,
            failed_attempts,
        }
    });
    UpstreamView { upstream: upstream.name.clone(), cycle, backends: backends.collect() }
}

pub(super) fn connections(admin: &Admin) -> Connections {
    let Admin { shared, peers, .. } = admin;
    Connections {
        open: shared.connections(),
        workers: admin.loads(),
        skew: peers.skew(),
        handed_over: peers.handed_over(),
        accepted: shared.accepted(),
        limit: shared.config.limits.connections,
        in_flight: shared.in_flight(),
    }
}
