//! Moves one body from one side to the other, bounded by its framing, behind whatever head goes before it.

use std::cell::Cell;
use std::time::Duration;

use super::body::Body;
use super::failure::Cause;
use super::tally::Tally;
use crate::runtime::{Batch, Buf, RelayEnd, Runtime, Stream};
use crate::telemetry::Moments;

/// From so many bytes on, the runtime is left to move them in its own way.
const BULK: u64 = 64 * 1024;
/// What is there already is gathered up to so many bytes before it is sent.
const GATHER: usize = 64 * 1024;

/// One direction of an exchange.
pub(super) struct Direction<'a, R: Runtime> {
    pub(super) runtime: &'a R,
    pub(super) from: &'a R::Stream,
    pub(super) to: &'a R::Stream,
    /// Bounds the time between two moves of bytes.
    pub(super) idle: Duration,
    /// Bytes of the body that have gone to the other side.
    pub(super) moved: &'a Cell<u64>,
    /// Where it is noted when the response begins to go to the client; absent for a request, whose head has gone.
    pub(super) answers: Option<&'a Tally>,
}

/// Why a body did not get to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The side that it came from failed.
    From(Cause),
    /// The side that it went to failed.
    To(Cause),
}

impl<R: Runtime> Direction<'_, R> {
    /// Sends `batch` (a head, or nothing) and then the body, to its end. What is there already leaves in one piece with
    /// what goes before it.
    ///
    /// # Errors
    /// The side that failed; a body that ends before its framing says is a failure of the side that it came from.
    pub(super) async fn relay(&self, body: &mut Body, batch: &mut Batch) -> Result<(), Broken> {
        let head_len = batch.len() as u64;
        loop {
            while !body.is_done() && batch.len() < GATHER {
                let Some(buf) = self.from.recv_now() else { break };
                self.take(body, batch, buf)?;
            }
            self.send(batch, head_len).await?;
            if body.is_done() {
                return Ok(());
            }
            match body.bulk() {
                Some(limit) if limit > BULK => self.relay_bulk(body, limit).await?,
                _ => self.recv(body, batch).await?,
            }
        }
    }

    /// Waits for the next bytes of the body.
    async fn recv(&self, body: &mut Body, batch: &mut Batch) -> Result<(), Broken> {
        match self.from.recv(self.runtime.now() + self.idle).await {
            Ok(Some(buf)) => self.take(body, batch, buf),
            Ok(None) => body.end().map_err(|_| Broken::From(Cause::Closed)),
            Err(error) => Err(Broken::From(Cause::from(&error))),
        }
    }

    /// Takes bytes of the body into the batch; what lies beyond its end stays unread.
    fn take(&self, body: &mut Body, batch: &mut Batch, buf: Buf) -> Result<(), Broken> {
        let beyond = body.take(buf, batch).map_err(|violation| Broken::From(Cause::Violation(violation)))?;
        self.from.unrecv(beyond);
        Ok(())
    }

    async fn relay_bulk(&self, body: &mut Body, limit: u64) -> Result<(), Broken> {
        // Nothing beside so many bytes; a task that moves few does not carry the room for it.
        let relayed = Box::pin(self.from.relay_to(self.to, limit, self.idle)).await;
        self.moved.set(self.moved.get() + relayed.bytes);
        body.relayed(relayed.bytes);
        match relayed.end {
            RelayEnd::Limit => Ok(()),
            RelayEnd::Eof => body.end().map_err(|_| Broken::From(Cause::Closed)),
            RelayEnd::RecvFailed(error) => Err(Broken::From(Cause::from(&error))),
            RelayEnd::SendFailed(error) => Err(Broken::To(Cause::from(&error))),
        }
    }

    async fn send(&self, batch: &mut Batch, head_len: u64) -> Result<(), Broken> {
        if batch.is_empty() {
            return Ok(());
        }
        let len = batch.len() as u64;
        let by = self.runtime.now() + self.idle;
        let begins = self.answers.filter(|tally| !tally.is_answered());
        begins.inspect(|tally| tally.mark(self.runtime, Moments::answered));
        self.to.send(batch.take(), by).await.map_err(|error| Broken::To(Cause::from(&error)))?;
        let of_body = if begins.is_some() { len.saturating_sub(head_len) } else { len };
        self.moved.set(self.moved.get() + of_body);
        Ok(())
    }
}
