//! Where a body is, in one direction: how much of what comes belongs to it, and whether it is over.

use crate::http1::{ChunkedWalker, Framing, Nominated, Step, Violation};
use crate::runtime::{Batch, Buf};

/// One body on its way.
pub(super) struct Body {
    state: State,
    /// Bytes of content that a chunked body may have; other bodies were judged by their length.
    limit: Option<u64>,
}

enum State {
    Done,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

struct Chunked {
    walker: ChunkedWalker,
    /// The coding is taken off, for a client that does not know it.
    is_decoded: bool,
    /// The beginning of a trailer section that is not whole yet: none of it goes on before all of it was judged.
    trailers: Vec<u8>,
}

/// The connection ended before the body did.
pub(super) struct Truncated;

impl Body {
    /// A request's body, of at most `limit` bytes of content; `nominated` are the fields that `Connection` names.
    pub(super) fn of_request(framing: Framing, nominated: Nominated, limit: Option<u64>) -> Self {
        Self { state: State::new(framing, nominated, false), limit }
    }

    /// A response's body; `is_decoded` takes the chunked coding off.
    pub(super) fn of_response(framing: Framing, nominated: Nominated, is_decoded: bool) -> Self {
        Self { state: State::new(framing, nominated, is_decoded), limit: None }
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
            State::Done | State::Chunked(_) => None,
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
            State::Length(_) | State::Chunked(_) => Err(Truncated),
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
            State::Chunked(chunked) => {
                let (beyond, is_over) = chunked.take(buf, batch, self.limit)?;
                if is_over {
                    self.state = State::Done;
                }
                Ok(beyond)
            }
        }
    }
}

impl State {
    fn new(framing: Framing, nominated: Nominated, is_decoded: bool) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked {
                walker: ChunkedWalker::new(nominated),
                is_decoded,
                trailers: Vec::new(),
            }),
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

impl Chunked {
    /// Takes what belongs to the body; returns what lies beyond it, and whether the body is over.
    fn take(&mut self, buf: Buf, batch: &mut Batch, limit: Option<u64>) -> Result<(Buf, bool), Violation> {
        let taken = if !self.trailers.is_empty() {
            self.take_trailers(buf, batch)
        } else if self.is_decoded {
            self.decode(buf, batch)
        } else {
            self.pass(buf, batch)
        };
        match limit {
            Some(limit) if self.walker.announced() > limit => Err(Violation::BodyTooLarge),
            _ => taken,
        }
    }

    /// Lets everything go on as it came.
    fn pass(&mut self, mut buf: Buf, batch: &mut Batch) -> Result<(Buf, bool), Violation> {
        let passed = self.walker.pass(&buf)?;
        let rest = buf.split_off(passed.bytes);
        batch.push(buf);
        Ok(if passed.is_over { (rest, true) } else { self.keep(rest) })
    }

    /// Lets the data alone go on.
    fn decode(&mut self, mut buf: Buf, batch: &mut Batch) -> Result<(Buf, bool), Violation> {
        loop {
            match self.walker.next(&buf)? {
                Step::Meta(len) => buf.advance(len),
                Step::Data(len) => batch.push(buf.split_to(len)),
                Step::End(len) => {
                    buf.advance(len);
                    return Ok((buf, true));
                }
                Step::More => return Ok(self.keep(buf)),
            }
        }
    }

    /// Keeps the beginning of a trailer section until there is more of it.
    fn keep(&mut self, mut beginning: Buf) -> (Buf, bool) {
        self.trailers.extend_from_slice(&beginning);
        (beginning.split_off(beginning.len()), false)
    }

    fn take_trailers(&mut self, mut buf: Buf, batch: &mut Batch) -> Result<(Buf, bool), Violation> {
        let before = self.trailers.len();
        self.trailers.extend_from_slice(&buf);
        let Step::End(len) = self.walker.next(&self.trailers)? else {
            return Ok((buf.split_off(buf.len()), false));
        };
        if !self.is_decoded {
            batch.write(&self.trailers[..len]);
        }
        self.trailers.clear();
        Ok((buf.split_off(len - before), true))
    }
}
