//! What is going on: upstreams, their backends, connections.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::proxy::Shared;
use crate::runtime::Peers;
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
    /// For how many milliseconds it is still left alone.
    pub ejected_ms: Option<u64>,
    /// Exchanges in flight.
    pub in_flight: usize,
    /// Picks in the cycle that runs.
    pub picks: u64,
}

/// Client connections, as `/connections` shows them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connections {
    /// Open now.
    pub open: usize,
    /// How many of them each worker serves.
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
    shared.upstreams().iter().map(|upstream| view(upstream, now)).collect()
}

fn view(upstream: &Upstream, now: Instant) -> UpstreamView {
    let (cycle, states) = upstream.state(now);
    let backends = states.into_iter().map(|state| {
        let left = state.ejected_until.map(|until| until.saturating_duration_since(now));
        BackendView {
            backend: state.backend.name.clone(),
            weight: state.backend.weight,
            state: if left.is_some() { "ejected" } else { "eligible" }.to_owned(),
            ejected_ms: left.map(|left| left.as_millis() as u64),
            in_flight: state.in_flight,
            picks: state.picks,
        }
    });
    UpstreamView { upstream: upstream.name.clone(), cycle, backends: backends.collect() }
}

pub(super) fn connections(shared: &Shared, peers: &Peers) -> Connections {
    Connections {
        open: shared.connections(),
        workers: peers.loads(),
        skew: peers.skew(),
        handed_over: peers.handed_over(),
        accepted: shared.accepted(),
        limit: shared.config.limits.connections,
        in_flight: shared.in_flight(),
    }
}
