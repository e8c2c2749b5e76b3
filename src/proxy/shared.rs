//! What all workers of a process look at: the configuration, the upstreams, the log and the connection count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::balance::BackendId;
use crate::config::{Config, UpstreamId};
use crate::telemetry::{Log, Meter};
use crate::upstream::Upstream;
use crate::upstream::idle::Place;

/// The part of the data plane that is exact across workers. Immutable but for its counters.
#[derive(Debug)]
pub struct Shared {
    /// What the process runs with.
    pub config: Config,
    /// The access log.
    pub log: Log,
    /// What the workers count.
    pub meter: Arc<Meter>,
    upstreams: Vec<Upstream>,
    /// For each upstream, the number of its first backend among all backends.
    first_places: Vec<usize>,
    connections: AtomicUsize,
    accepted: AtomicU64,
    /// A drain does not wait any more for what runs.
    is_cut_short: AtomicBool,
}

/// A client connection that is counted until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionCount(Arc<Shared>);

impl Shared {
    /// The state of a process that starts.
    pub fn new(config: Config, log: Log) -> Arc<Self> {
        let upstreams: Vec<Upstream> =
            config.upstreams.iter().map(|upstream| Upstream::new(upstream, log.started_us())).collect();
        let first_places = upstreams
            .iter()
            .scan(0, |next, upstream| {
                let first = *next;
                *next += upstream.len();
                Some(first)
            })
            .collect();
        let meter = Arc::new(Meter::new(&config));
        let (connections, accepted) = (AtomicUsize::new(0), AtomicU64::new(0));
        let is_cut_short = AtomicBool::new(false);
        Arc::new(Self { config, log, meter, upstreams, first_places, connections, accepted, is_cut_short })
    }

    /// Has a drain end at once: what still runs is cut, so that nobody takes half an answer for a whole one.
    pub fn cut_short(&self) {
        self.is_cut_short.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.is_cut_short.load(Ordering::Relaxed)
    }

    /// Exchanges in flight at all backends.
    pub fn in_flight(&self) -> usize {
        self.upstreams.iter().map(Upstream::in_flight).sum()
    }

    /// Client connections that are open.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Client connections that were accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The upstreams, in the order of the configuration.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    pub(super) fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.0]
    }

    pub(super) fn place(&self, upstream: UpstreamId, backend: BackendId) -> Place {
        Place(self.first_places[upstream.0] + backend.0)
    }

    /// Backends of all upstreams.
    pub(super) fn places(&self) -> usize {
        self.upstreams.iter().map(Upstream::len).sum()
    }

    /// Counts a client connection, and says how many there are with it.
    pub(super) fn count_connection(self: &Arc<Self>) -> (ConnectionCount, usize) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        (ConnectionCount(Arc::clone(self)), before + 1)
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
