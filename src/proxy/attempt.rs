//! One attempt to have a request answered: a connection to a backend, and both directions of the exchange over it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::exchange::{Course, Exchange, Request};
use super::failure::{Cause, Failure, Stage};
use super::http::{self, Next};
use super::relay::{Broken, Direction};
use super::{plan, response};
use crate::config::Timeouts;
use crate::runtime::{Batch, Runtime, Stream, join};
use crate::telemetry::Moments;
use crate::upstream::Backend;

/// Longer than any request takes to be sent or answered; each step of that has its own deadline.
const WHILE_SENDING: Duration = Duration::from_secs(24 * 3600);
/// How long descriptors take to come free.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(5);

/// An attempt that has a connection.
pub(super) struct Attempt<'a, R: Runtime> {
    pub(super) exchange: &'a Exchange<'a, R>,
    pub(super) backend: &'a Backend,
    pub(super) stream: R::Stream,
    /// When the head of the final response has to be there: moved when the request has been sent.
    pub(super) response_by: Cell<Instant>,
    /// The head of the final response is there.
    pub(super) has_response: Cell<bool>,
    /// The response is over, and the connection it came on may carry another exchange.
    pub(super) can_reuse: Cell<bool>,
    /// A 100 that the client asked for has gone to it.
    pub(super) is_continued: Cell<bool>,
    /// The whole request has gone to the backend.
    pub(super) is_sent: Cell<bool>,
    /// The response is over, whole or not.
    is_answered: Cell<bool>,
    /// How the client failed: why the request's body did not get to its end, or why nobody waits for the response.
    client_failure: Cell<Option<Failure>>,
}

/// Connects to the backend of the course (or takes an idle connection), sends the request, relays the response.
///
/// # Errors
/// What went wrong before anything of a response went to the client; the verdict on it is the caller's. A failure
/// while the request's body is being sent is settled here, as it cannot be sent again.
pub(super) async fn run<'a, R: Runtime>(
    exchange: &'a Exchange<'a, R>,
    course: &Course,
    request: &mut Request<'_>,
) -> Result<Next, Failure> {
    let backend = exchange.upstream.backend(course.backend);
    let _in_flight = backend.begin();
    exchange.tally.begin_attempt(course.backend);
    let head = match request.head.take() {
        head if head.is_empty() => plan::write_again(exchange, backend),
        head => head,
    };
    let stream = open(exchange, course).await?;
    let attempt = Attempt {
        exchange,
        backend,
        stream,
        response_by: Cell::new(exchange.connection.runtime().now() + WHILE_SENDING),
        has_response: Cell::new(false),
        can_reuse: Cell::new(false),
        is_continued: Cell::new(false),
        is_sent: Cell::new(false),
        is_answered: Cell::new(false),
        client_failure: Cell::new(None),
    };
    attempt.send_opening(head, request).await?;
    let next = if request.body.is_done() {
        let (next, ()) = join(attempt.answer(), attempt.watch_client()).await;
        next.map_err(|failure| attempt.client_failure.get().unwrap_or(failure))?
    } else {
        // The body is still on its way: other requests do not carry the room for that.
        let upload = Box::pin(attempt.upload(request));
        let ((), next) = join(upload, attempt.answer_early()).await;
        next
    };
    attempt.release(course);
    Ok(next)
}

/// An idle connection, if one is fit and the course allows it; else a new one.
async fn open<R: Runtime>(exchange: &Exchange<'_, R>, course: &Course) -> Result<R::Stream, Failure> {
    let (connection, plan) = (exchange.connection, exchange.plan);
    let worker = &connection.worker;
    let place = worker.shared.place(plan.route.upstream, course.backend);
    if !course.needs_fresh {
        let idle = worker.idle.borrow_mut().take(place, worker.runtime.now(), R::Stream::is_idle);
        if let Some(stream) = idle {
            exchange.tally.note(|attempt| attempt.reused = true);
            return Ok(stream);
        }
    }
    let stream = connect(exchange, course).await?;
    exchange.upstream.restore(course.backend);
    if stream.is_idle() { Ok(stream) } else { Err(Failure::backend(Stage::ResponseHead, Cause::Unasked)) }
}

/// A new connection. Where this side has run out of descriptors, its idle connections are given up
/// and it is tried once more: that is no failure of the backend.
async fn connect<R: Runtime>(exchange: &Exchange<'_, R>, course: &Course) -> Result<R::Stream, Failure> {
    let (worker, runtime) = (&exchange.connection.worker, exchange.connection.runtime());
    let address = exchange.upstream.backend(course.backend).address;
    let by = runtime.now() + exchange.plan.route.timeouts.connect;
    let tally = exchange.tally;
    tally.mark(runtime, Moments::connecting);
    let connected = runtime.connect(address, by).await;
    tally.mark(runtime, Moments::connected);
    let cause = match connected {
        Ok(stream) => return Ok(stream),
        Err(error) => Cause::from(&error),
    };
    if cause != Cause::Shortage {
        return Err(Failure::backend(Stage::Connect, cause));
    }
    worker.idle.borrow_mut().clear();
    runtime.sleep(runtime.now() + SHORTAGE_PAUSE).await;
    tally.mark(runtime, Moments::waited);
    tally.mark(runtime, Moments::connecting);
    let connected = runtime.connect(address, by).await;
    tally.mark(runtime, Moments::connected);
    connected.map_err(|error| match Cause::from(&error) {
        Cause::Shortage => Failure::proxy(Stage::Connect, Cause::Shortage),
        cause => Failure::backend(Stage::Connect, cause),
    })
}

impl<R: Runtime> Attempt<'_, R> {
    pub(super) fn runtime(&self) -> &R {
        self.exchange.connection.runtime()
    }

    pub(super) fn client(&self) -> &R::Stream {
        &self.exchange.connection.client
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.exchange.plan.route.timeouts
    }

    /// Sends the head and the bytes of the body that came with it.
    async fn send_opening(&self, mut head: Batch, request: &mut Request<'_>) -> Result<(), Failure> {
        let tally = self.exchange.tally;
        let opening = request.opening.take();
        let of_body = opening.len() as u64;
        head.append(opening);
        tally.note(|attempt| attempt.request_sent = true);
        tally.mark(self.runtime(), Moments::submitted);
        let sent = self.stream.send(head, self.runtime().now() + self.timeouts().body).await;
        sent.map_err(|error| Failure::backend(Stage::RequestHead, Cause::from(&error)))?;
        tally.request_body.set(of_body);
        if request.body.is_done() {
            self.sent();
            self.wait_for_response();
        }
        Ok(())
    }

    /// The whole request has gone.
    fn sent(&self) {
        self.is_sent.set(true);
        self.exchange.tally.mark(self.runtime(), Moments::sent);
    }

    /// Relays the response to a request that was sent, and ends the watch on the client.
    async fn answer(&self) -> Result<Next, Failure> {
        let next = response::relay(self).await;
        self.is_answered.set(true);
        self.client().rouse();
        next
    }

    /// Gives the backend up when the client's connection fails while it is answered. Bytes are its next request, and an
    /// orderly end is no failure (it still reads): the watch ends there.
    async fn watch_client(&self) {
        let plan = self.exchange.plan;
        // A connection that ends after this exchange has nothing armed then. A tunnel reads the client itself.
        let may_switch = plan.asked(self.exchange.head).upgrade.is_some();
        if self.is_answered.get() || may_switch || !plan.manner.wants_keep_alive {
            return;
        }
        let Err(error) = self.client().readable(self.runtime().now() + WHILE_SENDING).await else { return };
        let cause = Cause::from(&error);
        if self.is_answered.get() || matches!(cause, Cause::Stopped | Cause::TimedOut) {
            return;
        }
        let stage = if self.has_response.get() { Stage::ResponseBody } else { Stage::ResponseHead };
        self.client_failure.set(Some(Failure::client(stage, cause)));
        self.stream.abort();
    }

    /// Relays the rest of the request's body, and then lets the clock of the response run.
    async fn upload(&self, request: &mut Request<'_>) {
        self.exchange.tally.note(|attempt| attempt.body_consumed = true);
        let direction = Direction {
            runtime: self.runtime(),
            from: self.client(),
            to: &self.stream,
            idle: self.upload_idle(),
            moved: &self.exchange.tally.request_body,
            answers: None,
        };
        match direction.relay(&mut request.body, &mut request.opening).await {
            Ok(()) => self.sent(),
            Err(broken) => self.upload_failed(broken),
        }
        if !self.is_answered.get() {
            self.wait_for_response();
        }
    }

    /// A client that waits for a 100 waits for the backend: it may be silent as long as the backend may.
    fn upload_idle(&self) -> Duration {
        let Timeouts { body, first_byte, .. } = *self.timeouts();
        if self.exchange.plan.expects_continue { body.max(first_byte) } else { body }
    }

    /// From here on the time to the first byte of the response counts, unless the response is there already.
    fn wait_for_response(&self) {
        if !self.has_response.get() {
            self.response_by.set(self.runtime().now() + self.timeouts().first_byte);
            self.stream.recv_by(self.response_by.get());
        }
    }

    fn upload_failed(&self, broken: Broken) {
        match broken {
            Broken::From(cause) if !self.is_answered.get() => {
                self.client_failure.set(Some(Failure::client(Stage::RequestBody, cause)));
                self.stream.abort();
            }
            // The backend may have answered before it had read all: the response decides, within its time.
            Broken::From(_) | Broken::To(_) => {}
        }
    }

    /// Relays the response while the request is still being sent; what fails is answered here.
    async fn answer_early(&self) -> Next {
        let next = match response::relay(self).await {
            Ok(next) => next,
            Err(failure) => {
                let failure = self.client_failure.get().unwrap_or(failure);
                self.exchange.tally.attempt_failed(self.exchange.connection, failure);
                self.exchange.settle(failure).await
            }
        };
        if self.is_sent.get() {
            return next;
        }
        self.is_answered.set(true);
        self.stream.abort();
        if next == Next::Cut {
            self.client().abort();
            return Next::Cut;
        }
        // The client sees that nothing follows; a failure to tell it so shows when the rest is read. The upload fails
        // on the client's next bytes, or when those have not come for a while.
        let _ = self.client().shutdown_send().await;
        self.client().recv_by(self.runtime().now() + http::LINGER);
        Next::Linger
    }

    /// Keeps the connection for the next exchange if it is fit, and closes it otherwise.
    fn release(self, course: &Course) {
        let exchange = self.exchange;
        let worker = &exchange.connection.worker;
        if !self.can_reuse.get() || !self.is_sent.get() || !self.stream.is_idle() {
            return;
        }
        let place = worker.shared.place(exchange.plan.route.upstream, course.backend);
        let timeout = exchange.upstream.backend_idle;
        let beyond = worker.idle.borrow_mut().put(place, self.stream, worker.runtime.now(), timeout);
        drop(beyond);
    }
}
