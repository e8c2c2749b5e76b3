//! Starts the workers on the runtime that was asked for, and ends them.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::Socket;

use super::listen;
use crate::config::Config;
use crate::proxy::{self, Shared};
use crate::runtime::{self, DrainSignal, NotStarted, Options, Peers, Runtime, Started, Starts, Visitor};
use crate::telemetry::Log;

/// Bytes of log that may wait where one loop runs a core, and where there may be a thread for each connection.
const LOG_QUEUE_OF_LOOP: usize = 1 << 20;
const LOG_QUEUE_OF_THREAD: usize = 64 << 10;

/// The running data plane.
#[derive(Debug)]
pub struct Server {
    /// The runtime that it runs on.
    pub runtime: &'static str,
    /// Why it is this one, in a few words.
    pub why: &'static str,
    /// Why the better runtimes, if any, are not used.
    pub reasons: Vec<String>,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    drain: DrainSignal,
    /// Hears from the workers when their loops exist.
    starts: Option<Starts>,
    peers: Peers,
}

/// Binds the listeners and starts the workers.
///
/// # Errors
/// An address that cannot be listened on, a runtime that this machine does not allow, no thread to be had.
pub fn start(mut config: Config, log: Log) -> io::Result<Server> {
    let choice = runtime::choose(&config.runtime.kind, config.runtime.workers)?;
    let why = match (config.runtime.kind.as_str(), choice.reasons.is_empty()) {
        ("auto", true) => "the best of this build",
        ("auto", false) => "the best that this machine allows",
        _ => "asked for",
    };
    let workers = if choice.info.is_per_core { config.runtime.workers } else { 1 };
    let sockets = listen::listen(&mut config.listeners, workers)?;
    let log_queue = if choice.info.is_per_core { LOG_QUEUE_OF_LOOP } else { LOG_QUEUE_OF_THREAD };
    let shared = Shared::new(config, log.with_queue(log_queue));
    let (drain, peers) = (DrainSignal::new()?, Peers::new(workers)?);
    let (started, starts) = Starts::of(sockets.len());
    let crew = Crew {
        shared: Arc::clone(&shared),
        drain: drain.clone(),
        peers: peers.clone(),
        is_pinned: choice.info.is_per_core,
        started,
        sockets,
    };
    let workers = runtime::with_runtime(choice.info.name, crew).unwrap_or_else(|| Ok(Vec::new()))?;
    let (runtime, reasons, starts) = (choice.info.name, choice.reasons, Some(starts));
    Ok(Server { runtime, why, reasons, shared, workers, drain, peers, starts })
}

impl Server {
    /// Stops accepting; what runs is finished, within the drain's timeout.
    pub fn drain(&self) {
        self.drain.raise();
    }

    /// The signal that [`Server::drain`] raises.
    pub fn drain_signal(&self) -> DrainSignal {
        self.drain.clone()
    }

    /// How many client connections each worker serves, how far the most loaded one is above the mean
    /// ([`Peers::skew`]), and how many have changed hands.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The state that the workers share; its configuration knows the ports that were chosen for port 0.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until every worker's loop exists: what the kernel holds the loops to, as they say; asked again, nothing is
    /// said.
    ///
    /// # Errors
    /// A worker has ended before its loop existed, or that takes longer than `patience`.
    pub fn started(&mut self, patience: Duration) -> Result<Vec<String>, NotStarted> {
        self.starts.take().map_or_else(|| Ok(Vec::new()), |starts| starts.wait(patience))
    }

    /// Waits until every worker has ended.
    ///
    /// # Errors
    /// The first worker's that could not run; the others are drained then.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for worker in self.workers {
            let ended = worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")));
            if ended.is_err() {
                self.drain.raise();
            }
            result = result.and(ended);
        }
        result
    }
}

/// A process with a worker less would serve some of its connections never: all end together, also when one panics.
struct LastWords<'a>(&'a DrainSignal);

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.raise();
        }
    }
}

/// What the threads of the workers are started with.
struct Crew {
    shared: Arc<Shared>,
    drain: DrainSignal,
    peers: Peers,
    is_pinned: bool,
    /// One for each worker.
    started: Vec<Started>,
    /// For each worker, a socket for each listener.
    sockets: Vec<Vec<Socket>>,
}

impl Visitor for Crew {
    type Output = io::Result<Vec<JoinHandle<io::Result<()>>>>;

    fn visit<R: Runtime>(self) -> Self::Output {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let count = self.sockets.len();
        let start = |(worker, (sockets, started)): (usize, (Vec<Socket>, Started))| {
            // With room for those that are told that there is no room.
            let connections = self.shared.config.limits.connections + proxy::TOLD;
            let (drain, peers) = (self.drain.clone(), self.peers.clone());
            let options = Options { worker, connections, drain, started, peers };
            let core = self.is_pinned.then(|| cores.get(worker % cores.len().max(1)).copied()).flatten();
            let (shared, drain) = (Arc::clone(&self.shared), self.drain.clone());
            let name = if count == 1 { "worker".to_owned() } else { format!("worker-{worker}") };
            std::thread::Builder::new().name(name).spawn(move || {
                let _last_words = LastWords(&drain);
                if let Some(core) = core {
                    core_affinity::set_for_current(core);
                }
                let main =
                    move |runtime, listeners| proxy::serve::<R>(runtime, listeners, Arc::clone(&shared));
                R::run(&options, sockets, main).inspect_err(|_| drain.raise())
            })
        };
        self.sockets.into_iter().zip(self.started).enumerate().map(start).collect()
    }
}
