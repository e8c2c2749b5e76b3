//! What has happened in an exchange so far: counted where it happens, read by the verdict and the record.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use super::failure::{Failure, Side};
use super::head::Head;
use super::http::Connection;
use super::plan::Span;
use super::shared::Shared;
use crate::balance::BackendId;
use crate::config::UpstreamId;
use crate::runtime::Runtime;
use crate::telemetry::record::{self, Traffic};
use crate::telemetry::{Moments, Record, is_recording};
use crate::upstream::Pick;
use crate::upstream::retry::AttemptState;

/// The counts of one exchange, shared by its two directions.
pub(super) struct Tally {
    moments: RefCell<Moments>,
    /// The status of the answer that was written for the client.
    pub(super) status: Cell<Option<u16>>,
    /// Where the host that the client asked for stands in the request's head.
    pub(super) host: Cell<Option<Span>>,
    /// Bytes of the request's body that the kernel took for the backend.
    pub(super) request_body: Cell<u64>,
    /// Bytes of the response's body that the kernel took for the client.
    pub(super) response_body: Cell<u64>,
    /// What the record will say went wrong: the first failure.
    failure: Cell<Option<Failure>>,
    pick: Cell<Option<(UpstreamId, Pick)>>,
    backend: Cell<Option<BackendId>>,
    attempts: Cell<u32>,
    attempt: Cell<AttemptState>,
}

impl Tally {
    /// Of an exchange whose first bytes are there: now.
    pub(super) fn new<R: Runtime>(runtime: &R) -> Self {
        Self {
            moments: RefCell::new(Moments::new(clock(runtime))),
            status: Cell::default(),
            host: Cell::default(),
            request_body: Cell::default(),
            response_body: Cell::default(),
            failure: Cell::default(),
            pick: Cell::default(),
            backend: Cell::default(),
            attempts: Cell::default(),
            attempt: Cell::default(),
        }
    }

    /// Notes when something happens: now.
    pub(super) fn mark<R: Runtime>(&self, runtime: &R, happens: impl FnOnce(&mut Moments, Instant)) {
        happens(&mut self.moments.borrow_mut(), clock(runtime));
    }

    /// The whole head was among the first bytes.
    pub(super) fn head_came_whole(&self) {
        self.moments.borrow_mut().head_came_whole();
    }

    /// Whether a final response, or our own answer, has begun to go to the client.
    pub(super) fn is_answered(&self) -> bool {
        self.moments.borrow().is_answered()
    }

    /// An upstream was found, and it has picked a backend.
    pub(super) fn pick(&self, upstream: UpstreamId, pick: Pick) {
        self.pick.set(Some((upstream, pick)));
    }

    /// The attempt that runs, for the retry rule.
    pub(super) fn attempt(&self) -> AttemptState {
        self.attempt.get()
    }

    /// Notes something about the attempt that runs.
    pub(super) fn note(&self, change: impl FnOnce(&mut AttemptState)) {
        let mut attempt = self.attempt.get();
        change(&mut attempt);
        self.attempt.set(attempt);
    }

    /// A backend is tried.
    pub(super) fn begin_attempt(&self, backend: BackendId) {
        self.backend.set(Some(backend));
        self.attempts.set(self.attempts.get() + 1);
        self.note(|attempt| {
            (attempt.reused, attempt.request_sent, attempt.response_begun) = (false, false, false)
        });
    }

    /// The attempt that runs has failed, unless it was the client who did.
    pub(super) fn attempt_failed<R: Runtime>(&self, connection: &Connection<R>, failure: Failure) {
        let worker = &connection.worker;
        if failure.side == Side::Backend
            && let Some(place) = self.place(&worker.shared)
        {
            worker.recorder.borrow().attempt_failed(place, failure.label());
        }
    }

    /// Another attempt follows the one that runs.
    pub(super) fn attempt_followed<R: Runtime>(&self, connection: &Connection<R>) {
        let worker = &connection.worker;
        if let Some(place) = self.place(&worker.shared) {
            worker.recorder.borrow().attempt_followed(place);
        }
    }

    /// Where the backend that was tried last, or else the one that was picked, stands among all of the configuration.
    fn place(&self, shared: &Shared) -> Option<usize> {
        let (upstream, pick) = self.pick.get()?;
        Some(shared.place(upstream, self.backend.get().unwrap_or(pick.backend)).0)
    }

    /// The upstream that was found.
    pub(super) fn upstream(&self) -> Option<UpstreamId> {
        self.pick.get().map(|(upstream, _)| upstream)
    }

    /// The first failure is the one that the record names.
    pub(super) fn fail(&self, failure: Failure) {
        self.failure.set(self.failure.get().or(Some(failure)));
    }

    /// The exchange is over: hands its one record on.
    pub(super) fn record<R: Runtime>(&self, connection: &Connection<R>, head: Option<&Head>) {
        if !self.moments.borrow().is_done() {
            self.mark(connection.runtime(), Moments::done);
        }
        if !is_recording() {
            return;
        }
        let attempt = self.attempt.get();
        let shared = &connection.worker.shared;
        let picked = self.pick.get().map(|(id, pick)| (shared.upstream(id), pick));
        let backend = self.backend.get();
        connection.worker.recorder.borrow_mut().take(&Record {
            moments: *self.moments.borrow(),
            client: connection.peer,
            listener: &connection.listener().name,
            host: head.and_then(|head| self.host.get()?.of(head)),
            head: head.map_or(b"", |head| head),
            pick: picked.map(|(upstream, pick)| record::Pick {
                upstream: &upstream.name,
                backend: &upstream.backend(pick.backend).name,
                number: pick.number,
                cycle: pick.cycle,
            }),
            backend: picked.zip(backend).map(|((upstream, _), id)| upstream.backend(id).name.as_str()),
            place: self.place(shared),
            traffic: Traffic {
                request_body: self.request_body.get(),
                response_body: self.response_body.get(),
                attempts: self.attempts.get(),
                reused: attempt.reused,
            },
            status: self.status.get(),
            failure: self.failure.get().map(Failure::label),
        });
    }
}

/// The moment of now, to the microsecond; where nothing is recorded, that of the loop's turn does.
fn clock<R: Runtime>(runtime: &R) -> Instant {
    if is_recording() { runtime.clock() } else { runtime.now() }
}
