//! Moving a body from one connection to another: lent bufs for small ones, splice(2) through a pipe for big ones.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use super::setup;
use super::state::State;
use super::stream::RingStream;
use crate::runtime::executor::yield_now;
use crate::runtime::pipes::{Pipe, Pumped, move_bytes, with_unblocked};
use crate::runtime::{RelayEnd, Relayed};

/// From so many bytes to go on, splicing pays.
const SPLICE_FROM: u64 = 64 * 1024;
/// No body is as long as this: the limit only means that there is none.
const UNLIMITED: u64 = 1 << 60;

/// Moves up to `limit` bytes.
pub(super) async fn relay(from: &RingStream, to: &RingStream, limit: u64, idle: Duration) -> Relayed {
    let mut relay =
        Relay { from, to, left: limit, bytes: 0, idle, streak: 0, can_splice: setup::can_splice() };
    let end = loop {
        if relay.left == 0 {
            break RelayEnd::Limit;
        }
        let step = if relay.is_worth_splicing() { relay.splice().await } else { relay.copy().await };
        if let Err(end) = step {
            break end;
        }
    };
    Relayed { bytes: relay.bytes, end }
}

/// A relay that runs.
struct Relay<'a> {
    from: &'a RingStream,
    to: &'a RingStream,
    /// Bytes to go.
    left: u64,
    /// Bytes that the other socket has taken.
    bytes: u64,
    /// The longest wait between two moves.
    idle: Duration,
    /// Bytes that came without a pause, as far as copying can tell.
    streak: u64,
    can_splice: bool,
}

impl Relay<'_> {
    /// A long body is spliced from the start, a flow without known end while it flows fast.
    fn is_worth_splicing(&self) -> bool {
        let is_long = if self.left < UNLIMITED { self.left } else { self.streak };
        self.can_splice && is_long >= SPLICE_FROM
    }

    /// Sends what the source has brought, or waits until it brings something.
    async fn copy(&mut self) -> Result<(), RelayEnd> {
        let by = self.from.core.now.get() + self.idle;
        let wait = self.from.wait_to_recv(by);
        let more = poll_fn(|_| self.from.core.state.borrow_mut().poll_bytes(self.from.id)).await;
        drop(wait);
        if more.map_err(RelayEnd::RecvFailed)? { self.forward().await } else { Err(RelayEnd::Eof) }
    }

    /// Sends what is queued.
    async fn forward(&mut self) -> Result<(), RelayEnd> {
        let wait = self.to.wait_to_send(self.from.core.now.get() + self.idle);
        // The send of a future that was dropped may still be going on.
        wait.sent().await.1.map_err(RelayEnd::SendFailed)?;
        let moved = self.from.core.state.borrow_mut().forward(self.from.id, self.to.id, self.left);
        let (sent, outcome) = wait.sent().await;
        self.bytes += sent;
        self.left -= sent;
        self.streak = if moved >= SPLICE_FROM / 4 { self.streak + moved } else { 0 };
        outcome.map_err(RelayEnd::SendFailed)
    }

    /// Splices as long as it pays, after what is queued.
    async fn splice(&mut self) -> Result<(), RelayEnd> {
        let by = self.from.core.now.get() + self.idle;
        let wait = self.from.wait_to_recv(by);
        poll_fn(|_| self.from.core.state.borrow_mut().poll_disarmed(self.from.id)).await;
        drop(wait);
        if self.has_queued() {
            return self.forward().await;
        }
        self.wait_for_earlier_send().await?;
        let mut pipe = None;
        let end = self.pump_all(&mut pipe).await;
        self.put(&mut pipe);
        end
    }

    /// The send of a future that was dropped may still be going on: its bytes come first.
    async fn wait_for_earlier_send(&self) -> Result<(), RelayEnd> {
        let wait = self.to.wait_to_send(self.from.core.now.get() + self.idle);
        wait.sent().await.1.map_err(RelayEnd::SendFailed)
    }

    async fn pump_all(&mut self, pipe: &mut Option<Pipe>) -> Result<(), RelayEnd> {
        while self.left > 0 {
            let before = self.bytes;
            if pipe.is_none() {
                *pipe = self.from.core.state.borrow_mut().pipes.take().ok();
            }
            let Some(through) = pipe.as_mut() else {
                self.can_splice = false;
                return Ok(());
            };
            match self.pump(through)? {
                Pumped::All => {}
                Pumped::Share => yield_now(&self.from.core.executor).await,
                Pumped::Sink => self.wait_for_sink().await?,
                Pumped::Source => {
                    self.put(pipe);
                    if self.left >= UNLIMITED && self.bytes - before < SPLICE_FROM / 4 {
                        self.streak = 0;
                        return Ok(());
                    }
                    self.wait_for_source().await?;
                }
            }
        }
        Ok(())
    }

    /// Splices until one side has to be waited for, or the share of a turn is used up.
    fn pump(&mut self, pipe: &mut Pipe) -> Result<Pumped, RelayEnd> {
        let core = &self.from.core;
        let outcome = pump(&core.state.borrow(), self.from, self.to, pipe, self.left);
        self.bytes += outcome.bytes;
        self.left -= outcome.bytes;
        outcome.next.map_err(|end| note(&mut core.state.borrow_mut(), self.from, self.to, end))
    }

    async fn wait_for_source(&self) -> Result<(), RelayEnd> {
        let _wait = self.from.wait_to_recv(self.from.core.now.get() + self.idle);
        let ready = poll_fn(|_| self.from.core.state.borrow_mut().poll_spliceable(self.from.id)).await;
        ready.map_err(RelayEnd::RecvFailed)
    }

    async fn wait_for_sink(&self) -> Result<(), RelayEnd> {
        let wait = self.to.wait_to_send(self.from.core.now.get() + self.idle);
        self.to.core.state.borrow_mut().start_poll_out(self.to.id);
        wait.sent().await.1.map_err(RelayEnd::SendFailed)
    }

    fn has_queued(&self) -> bool {
        !self.from.core.state.borrow().conns[self.from.id].recv.queue.is_empty()
    }

    fn put(&self, pipe: &mut Option<Pipe>) {
        if let Some(pipe) = pipe.take() {
            self.from.core.state.borrow_mut().pipes.put(pipe);
        }
    }
}

/// What [`pump`] did.
struct Outcome {
    bytes: u64,
    next: Result<Pumped, RelayEnd>,
}

fn pump(state: &State, from: &RingStream, to: &RingStream, pipe: &mut Pipe, left: u64) -> Outcome {
    let mut bytes = 0;
    let next = match (state.conns[from.id].socket(), state.conns[to.id].socket()) {
        (Some(source), Some(sink)) => with_unblocked([source, sink], || {
            move_bytes(|| state.check_recv(from.id), [source, sink], pipe, left, &mut bytes)
        }),
        (None, _) => Err(RelayEnd::RecvFailed(io::ErrorKind::ConnectionAborted.into())),
        (_, None) => Err(RelayEnd::SendFailed(io::ErrorKind::ConnectionAborted.into())),
    };
    Outcome { bytes, next }
}

/// The connections remember how a splice has found them, for whoever asks next. What looked like the orderly end may
/// turn out to be none.
fn note(state: &mut State, from: &RingStream, to: &RingStream, end: RelayEnd) -> RelayEnd {
    match &end {
        RelayEnd::Eof => {
            if let Err(error) = state.note_spliced_eof(from.id) {
                return RelayEnd::RecvFailed(error);
            }
        }
        RelayEnd::RecvFailed(error) => {
            if let Some(error) = error.raw_os_error() {
                state.note_recv_error(from.id, error);
            }
        }
        RelayEnd::SendFailed(error) => {
            if let Some(error) = error.raw_os_error() {
                state.note_send_error(to.id, error);
            }
        }
        RelayEnd::Limit => {}
    }
    end
}
