//! One exchange: a request that was read, the attempts to have it answered, and the record that is left of it.

use std::cell::Cell;
use std::time::Instant;

use super::answer;
use super::attempt;
use super::body::Body;
use super::failure::{Cause, Failure, Side, Stage};
use super::head::Head;
use super::http::{Connection, Next};
use super::plan::{self, Plan, Planned};
use super::tally::Tally;
use super::verdict::{Progress, Verdict, verdict};
use crate::balance::BackendId;
use crate::runtime::{Batch, Runtime, Stream};
use crate::telemetry::Moments;
use crate::upstream::{Tried, Upstream};

/// An exchange that runs.
pub(super) struct Exchange<'a, R: Runtime> {
    pub(super) connection: &'a Connection<R>,
    pub(super) head: &'a Head,
    pub(super) plan: &'a Plan<'a>,
    pub(super) upstream: &'a Upstream,
    pub(super) tally: &'a Tally,
}

/// The request as far as it was taken from the client and not sent yet.
pub(super) struct Request<'a> {
    /// The head for the backend that is picked first; empty when it was taken.
    pub(super) head: &'a mut Batch,
    /// Where the body stands.
    pub(super) body: Body,
    /// Bytes of the body that came with the head.
    pub(super) opening: Batch,
}

/// Which backend is tried, and what was tried before.
pub(super) struct Course {
    pub(super) backend: BackendId,
    /// Not over a connection that was used before.
    pub(super) needs_fresh: bool,
    tried: Tried,
    /// No other backend is tried after this moment.
    by: Instant,
}

/// Carries out the request whose head was read, and says what becomes of the client's connection.
pub(super) async fn run<R: Runtime>(connection: &Connection<R>, head: &Head, tally: &Tally) -> Next {
    let recorded = Recorded { connection, head, tally, is_over: Cell::new(false) };
    let next = match &mut plan::plan(connection, head, tally) {
        Ok(Planned::Forward { plan, backend, head: written }) => {
            let upstream = connection.worker.shared.upstream(plan.route.upstream);
            let exchange = Exchange { connection, head, plan, upstream, tally };
            exchange.forward(*backend, written).await
        }
        Ok(Planned::Redirect(answer)) => answer::give(connection, tally, answer).await,
        Err(refusal) => answer::settle(connection, tally, refusal.failure, refusal.manner).await,
    };
    recorded.is_over.set(true);
    next
}

/// Leaves the one record of an exchange when it is dropped: also of one that a worker drops when it ends.
struct Recorded<'a, R: Runtime> {
    connection: &'a Connection<R>,
    head: &'a Head,
    tally: &'a Tally,
    is_over: Cell<bool>,
}

impl<R: Runtime> Drop for Recorded<'_, R> {
    fn drop(&mut self) {
        if !self.is_over.get() {
            let stage = if self.tally.is_answered() { Stage::ResponseBody } else { Stage::ResponseHead };
            self.tally.fail(Failure::proxy(stage, Cause::Stopped));
        }
        self.tally.record(self.connection, Some(self.head));
    }
}

impl<R: Runtime> Exchange<'_, R> {
    /// Tries backends until one has answered or the verdict is that none will.
    async fn forward(&self, backend: BackendId, head: &mut Batch) -> Next {
        let mut request = self.request(head);
        if let Err(failure) = self.take_opening(&mut request) {
            return self.settle(failure).await;
        }
        let by = self.connection.runtime().now() + self.plan.route.timeouts.first_byte;
        let mut course = Course { backend, needs_fresh: false, tried: Tried::new(), by };
        loop {
            match attempt::run(self, &course, &mut request).await {
                Ok(next) => return next,
                Err(failure) if self.goes_on(&mut course, failure) => {}
                Err(failure) => return self.settle(failure).await,
            }
        }
    }

    fn request<'h>(&self, head: &'h mut Batch) -> Request<'h> {
        let (plan, limits) = (self.plan, self.connection.limits());
        let body = Body::of_request(plan.framing, plan.nominated, limits.body_size);
        Request { head, body, opening: Batch::new(self.connection.runtime().pool()) }
    }

    /// Takes the bytes of the body that came with the head.
    fn take_opening(&self, request: &mut Request<'_>) -> Result<(), Failure> {
        let client = &self.connection.client;
        let first = if request.body.is_done() { None } else { client.recv_now() };
        if let Some(buf) = first {
            let broken = |violation| Failure::client(Stage::RequestBody, Cause::Violation(violation));
            client.unrecv(request.body.take(buf, &mut request.opening).map_err(broken)?);
            self.tally.note(|attempt| attempt.body_consumed = true);
        }
        Ok(())
    }

    /// Whether another attempt follows, and on which course.
    fn goes_on(&self, course: &mut Course, failure: Failure) -> bool {
        self.tally.attempt_failed(self.connection, failure);
        let now = self.connection.runtime().now();
        let another = (failure.side == Side::Backend && failure.stage == Stage::Connect)
            .then(|| self.another(course, failure, now))
            .flatten();
        let progress = Progress {
            attempt: self.tally.attempt(),
            answered: self.tally.is_answered(),
            another_left: another.is_some(),
        };
        match verdict(failure, progress) {
            Verdict::TryAnother => course.backend = another.unwrap_or(course.backend),
            Verdict::SendAgain => {
                course.needs_fresh = true;
                self.tally.note(|attempt| attempt.retried = true);
            }
            Verdict::Answer(_) | Verdict::Cut => return false,
        }
        self.tally.attempt_followed(self.connection);
        self.tally.mark(self.connection.runtime(), Moments::waited);
        true
    }

    /// Leaves the backend that no connection could be made to alone, and picks one that was not tried yet.
    fn another(&self, course: &mut Course, failure: Failure, now: Instant) -> Option<BackendId> {
        if self.upstream.eject(course.backend, now) {
            let Upstream { name, fail_for, .. } = self.upstream;
            let backend = &self.upstream.backend(course.backend).name;
            self.connection.worker.shared.log.notice(format_args!(
                "backend {backend} of \"{name}\" is left alone for {fail_for:?} ({failure})"
            ));
        }
        course.tried.push(course.backend);
        if now < course.by { self.upstream.pick_another(&course.tried) } else { None }
    }

    /// Answers a failure, or cuts, as the verdict says.
    pub(super) async fn settle(&self, failure: Failure) -> Next {
        answer::settle(self.connection, self.tally, failure, self.plan.manner).await
    }
}
