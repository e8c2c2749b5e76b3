//! Where a body is, in one direction: how much of what comes belongs to it, and whether it is over.

use crate::http1::{Chunked, Framing, Step, Violation};
use crate::runtime::{Batch, Buf};

/// One body on its way.
pub(super) struct Body {
    state: State,
    /// Bytes of content that may still come, where that is limited.
    allowance: Option<u64>,
}

enum State {
    Done,
    Length(u64),
    Chunked { walker: Chunked, is_decoded: bool },
    UntilClose,
}

/// The connection ended before the body did.
pub(super) struct Truncated;

impl Body {
    /// A request's body, of at most `limit` bytes of content.
    pub(super) fn of_request(framing: Framing, limit: Option<u64>) -> Self {
        Self::new(framing, false, limit)
    }

    /// A response's body; `is_decoded` takes the chunked coding off, for a client that does not know it.
    pub(super) fn of_response(framing: Framing, is_decoded: bool) -> Self {
        Self::new(framing, is_decoded, None)
    }

    fn new(framing: Framing, is_decoded: bool, allowance: Option<u64>) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked { walker: Chunked::default(), is_decoded },
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, allowance }
    }

    /// Whether nothing of the body is still to come.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How many bytes may be moved without a look at them; `None` where each has to be looked at.
    pub(super) fn bulk(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::UntilClose => Some(u64::MAX),
            State::Done | State::Chunked { .. } => None,
        }
    }

    /// So many bytes were moved without a look at them.
    pub(super) fn relayed(&mut self, count: u64) {
        if let State::Length(left) = &mut self.state {
            *left -= count.min(*left);
            if *left == 0 {
                self.state = State::Done;
            }
        }
    }

    /// The connection ended in order: the end of a body that is delimited by that, or too early.
    pub(super) fn end(&mut self) -> Result<(), Truncated> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Length(_) | State::Chunked { .. } => Err(Truncated),
        }
    }

    /// Takes the body's bytes out of `buf` into `batch`, and returns what lies beyond its end (empty, mostly).
    ///
    /// # Errors
    /// The first rule of chunked coding that is broken; what came before may be in the batch, the end is not.
    pub(super) fn take(&mut self, mut buf: Buf, batch: &mut Batch) -> Result<Buf, Violation> {
        match &mut self.state {
            State::Done => Ok(buf),
            State::UntilClose => {
                let beyond = buf.split_off(buf.len());
                batch.push(buf);
                Ok(beyond)
            }
            State::Length(left) => {
                let count = usize::try_from(*left).map_or(buf.len(), |left| left.min(buf.len()));
                let beyond = buf.split_off(count);
                batch.push(buf);
                self.relayed(count as u64);
                Ok(beyond)
            }
            State::Chunked { .. } => self.take_chunked(buf, batch),
        }
    }
}
