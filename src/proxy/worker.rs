//! One worker: accepts on every listener, keeps the idle backend connections, and ends after a drain.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::failure::Cause;
use super::http;
use crate::runtime::{Listener, Runtime, Stream};
use crate::telemetry::{Log, Recorder};
use crate::upstream::idle::IdlePool;

/// How often idle backend connections are looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long accepting rests when descriptors or memory have run out, or when it fails again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a draining worker looks whether its connections have ended.
const DRAIN_INTERVAL: Duration = Duration::from_millis(10);

/// What the connections of one worker have in common.
pub(super) struct Worker<R: Runtime> {
    pub(super) runtime: R,
    pub(super) shared: Arc<Shared>,
    pub(super) idle: RefCell<IdlePool<R::Stream>>,
    pub(super) recorder: RefCell<Recorder>,
    connections: Cell<usize>,
}

/// Runs one worker: serves `listeners` (one for each of the configuration, in its order) until the runtime drains, and
/// then until its connections have ended or the drain's timeout has passed.
pub async fn serve<R: Runtime>(runtime: R, listeners: Vec<R::Listener>, shared: Arc<Shared>) {
    let idle = IdlePool::new(shared.places(), shared.config.limits.connections);
    let recorder = RefCell::new(shared.meter.recorder(&shared.log));
    let worker =
        Rc::new(Worker { runtime, shared, idle: RefCell::new(idle), recorder, connections: Cell::new(0) });
    worker.runtime.spawn(sweep(Rc::clone(&worker)));
    let mut listeners = listeners.into_iter().enumerate();
    let Some((_, first)) = listeners.next() else { return };
    for (index, listener) in listeners {
        worker.runtime.spawn(accept(Rc::clone(&worker), index, listener));
    }
    accept(Rc::clone(&worker), 0, first).await;
    let by = worker.runtime.now() + worker.shared.config.drain_timeout;
    let has_time = || worker.runtime.now() < by && !worker.shared.is_cut_short();
    while worker.connections.get() > 0 && has_time() {
        worker.runtime.sleep(worker.runtime.now() + DRAIN_INTERVAL).await;
    }
}

async fn accept<R: Runtime>(worker: Rc<Worker<R>>, listener_index: usize, listener: R::Listener) {
    let (mut complaint, mut has_failed, mut drained_by) = (Complaint::default(), false, None);
    loop {
        match listener.accept().await {
            Ok(Some((client, peer))) => {
                has_failed = false;
                let connection = http::Connection::new(Rc::clone(&worker), listener_index, client, peer);
                worker.runtime.spawn(http::serve(connection));
            }
            Ok(None) => return,
            Err(error) => {
                let now = worker.runtime.now();
                complaint.make(&worker.shared.log, now, &error);
                // Whoever still waits in the backlog waits in vain when nothing comes free.
                if worker.runtime.is_draining()
                    && *drained_by.get_or_insert(now + worker.shared.config.drain_timeout) <= now
                {
                    return;
                }
                // Anything else is the fate of one connection, such as a client that has gone again (accept(2), "Error
                // handling").
                let is_short = Cause::from(&error) == Cause::Shortage;
                if is_short {
                    // Idle connections are given up first.
                    worker.idle.borrow_mut().clear();
                }
                if is_short || has_failed {
                    worker.runtime.sleep(worker.runtime.now() + ACCEPT_PAUSE).await;
                }
                has_failed = true;
            }
        }
    }
}

/// Closes backend connections that have been idle for too long or were closed by the backend.
async fn sweep<R: Runtime>(worker: Rc<Worker<R>>) {
    loop {
        let now = worker.runtime.now();
        worker.idle.borrow_mut().sweep(now, R::Stream::is_idle);
        worker.runtime.sleep(now + SWEEP_INTERVAL).await;
    }
}

/// A client connection of this worker, counted until it is dropped.
pub(super) struct Guest<R: Runtime>(Rc<Worker<R>>);

impl<R: Runtime> Guest<R> {
    pub(super) fn new(worker: Rc<Worker<R>>) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        Self(worker)
    }
}

impl<R: Runtime> Drop for Guest<R> {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}

/// Tells the operator that connections cannot be accepted, once a second at the most.
#[derive(Default)]
struct Complaint {
    silent_until: Option<Instant>,
}

impl Complaint {
    fn make(&mut self, log: &Log, now: Instant, error: &io::Error) {
        if self.silent_until.is_none_or(|until| until <= now) {
            self.silent_until = Some(now + Duration::from_secs(1));
            log.notice(format_args!("a connection could not be accepted: {error}"));
        }
    }
}
