//! Pipes to splice through: few, big, and used again.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes that a pipe holds.
pub(super) const PIPE_SIZE: usize = 1 << 20;
/// Pipes kept for later.
const SPARE: usize = 16;

/// The pipes of one loop that are not in use.
#[derive(Default)]
pub(super) struct Pipes {
    spare: Vec<Pipe>,
}

/// A pipe and how much is in it.
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    holds: usize,
}

impl Pipes {
    /// A pipe that is empty.
    ///
    /// # Errors
    /// No descriptors left, or a pipe of this size is not granted (`fs.pipe-user-pages-soft`).
    pub(super) fn take(&mut self) -> io::Result<Pipe> {
        self.spare.pop().map_or_else(Pipe::new, Ok)
    }

    /// Takes a pipe back; one that is not empty is closed.
    pub(super) fn put(&mut self, pipe: Pipe) {
        if pipe.holds == 0 && self.spare.len() < SPARE {
            self.spare.push(pipe);
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&writer, PIPE_SIZE)?;
        Ok(Self { reader, writer, holds: 0 })
    }

    /// Bytes in it.
    pub(super) fn holds(&self) -> usize {
        self.holds
    }

    /// Fills it from a socket that does not block; 0 is the orderly end.
    ///
    /// # Errors
    /// `WouldBlock`, and what the socket says.
    pub(super) fn fill(&mut self, from: BorrowedFd<'_>, limit: u64) -> io::Result<usize> {
        let limit = usize::try_from(limit).map_or(PIPE_SIZE, |limit| limit.min(PIPE_SIZE));
        let count = splice(from, None, &self.writer, None, limit, flags())?;
        self.holds += count;
        Ok(count)
    }

    /// Empties it into a socket that does not block.
    ///
    /// # Errors
    /// `WouldBlock`, and what the socket says.
    pub(super) fn drain(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let count = splice(&self.reader, None, to, None, self.holds, flags())?;
        self.holds -= count;
        Ok(count)
    }
}

/// Not MORE: it can hold back the last bytes for 200 ms.
fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}
