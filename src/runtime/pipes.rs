//! Pipes to splice through: few, big, and used again.

use std::cell::Cell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use rustix::process::{Resource, getrlimit};

use super::{Options, RelayEnd};

/// Bytes that a pipe holds.
const PIPE_SIZE: usize = 1 << 20;
/// Bytes spliced before the other tasks have their turn.
const FAIR_SHARE: u64 = 1 << 20;
/// Pipes kept for later.
const SPARE: usize = 16;
/// Descriptors that are neither connections nor pipes.
const KEPT: usize = 64;

/// The pipes of one loop that are not in use, and how many there may be in all.
pub(super) struct Pipes {
    spare: Vec<Pipe>,
    limit: usize,
    /// Those in use included.
    count: Rc<Cell<usize>>,
}

/// A pipe and how much is in it.
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    holds: usize,
    _counted: Counted,
}

/// A pipe is counted for as long as it is there.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Why splicing pauses.
pub(super) enum Pumped {
    /// The source has nothing.
    Source,
    /// The sink has no room.
    Sink,
    /// Others are to have their turn.
    Share,
    /// The limit is reached.
    All,
}

impl Pipes {
    /// At most so many pipes, each of two descriptors.
    pub(super) fn new(limit: usize) -> Self {
        Self { spare: Vec::new(), limit, count: Rc::default() }
    }

    /// As many as a loop may have without taking descriptors from connections: each of those needs two.
    pub(super) fn of(options: &Options) -> Self {
        let Some(allowed) = getrlimit(Resource::Nofile).current else { return Self::new(usize::MAX) };
        let taken = options.connections.saturating_mul(2).saturating_add(KEPT);
        let spare = usize::try_from(allowed).unwrap_or(usize::MAX).saturating_sub(taken);
        Self::new(spare / 2 / options.peers.workers())
    }

    /// A pipe that is empty.
    ///
    /// # Errors
    /// There are as many as there may be, no descriptors are left, or a pipe of this size is not granted
    /// (`fs.pipe-user-pages-soft`).
    pub(super) fn take(&mut self) -> io::Result<Pipe> {
        match self.spare.pop() {
            Some(pipe) => Ok(pipe),
            None if self.count.get() >= self.limit => Err(io::ErrorKind::QuotaExceeded.into()),
            None => Pipe::new(&self.count),
        }
    }

    /// Takes a pipe back; one that is not empty is closed.
    pub(super) fn put(&mut self, pipe: Pipe) {
        if pipe.holds == 0 && self.spare.len() < SPARE {
            self.spare.push(pipe);
        }
    }
}

impl Pipe {
    fn new(count: &Rc<Cell<usize>>) -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&writer, PIPE_SIZE)?;
        count.set(count.get() + 1);
        Ok(Self { reader, writer, holds: 0, _counted: Counted(count.clone()) })
    }

    /// Bytes in it.
    fn holds(&self) -> usize {
        self.holds
    }

    /// Fills it from a socket that does not block; 0 is the orderly end.
    ///
    /// # Errors
    /// `WouldBlock`, and what the socket says.
    fn fill(&mut self, from: BorrowedFd<'_>, limit: u64) -> io::Result<usize> {
        let limit = usize::try_from(limit).map_or(PIPE_SIZE, |limit| limit.min(PIPE_SIZE));
        let count = splice(from, None, &self.writer, None, limit, flags())?;
        self.holds += count;
        Ok(count)
    }

    /// Empties it into a socket that does not block.
    ///
    /// # Errors
    /// `WouldBlock`, and what the socket says.
    fn drain(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let count = splice(&self.reader, None, to, None, self.holds, flags())?;
        self.holds -= count;
        Ok(count)
    }
}

/// Not MORE: it can hold back the last bytes for 200 ms.
fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

/// Splices from the first socket to the second and counts in `bytes` what has reached the second.
pub(super) fn move_bytes(
    check: impl Fn() -> io::Result<()>,
    [source, sink]: [BorrowedFd<'_>; 2],
    pipe: &mut Pipe,
    left: u64,
    bytes: &mut u64,
) -> Result<Pumped, RelayEnd> {
    while *bytes < left {
        if pipe.holds() == 0 {
            if *bytes >= FAIR_SHARE {
                return Ok(Pumped::Share);
            }
            check().map_err(RelayEnd::RecvFailed)?;
            match pipe.fill(source, left - *bytes) {
                Ok(0) => return Err(RelayEnd::Eof),
                Ok(_) => {}
                Err(error) if is_blocked(&error) => return Ok(Pumped::Source),
                Err(error) => return Err(RelayEnd::RecvFailed(error)),
            }
        }
        match pipe.drain(sink) {
            Ok(count) => *bytes += count as u64,
            Err(error) if is_blocked(&error) => return Ok(Pumped::Sink),
            Err(error) => return Err(RelayEnd::SendFailed(error)),
        }
    }
    Ok(Pumped::All)
}

/// Does something with two blocking sockets while they do not block. splice(2) heeds only O_NONBLOCK of a socket, while
/// a recv of a ring on such a socket would not wait: so the flag is set for this long and no longer. With DEFER_TASKRUN
/// the kernel does nothing for a ring in that time. On other rings an operation may then end with EAGAIN, which is
/// harmless: the runtimes on them order such a one again.
pub(super) fn with_unblocked<T>(sockets: [BorrowedFd<'_>; 2], act: impl FnOnce() -> T) -> T {
    let set = |value| {
        for socket in sockets {
            // It fails on no socket of ours.
            let _ = rustix::io::ioctl_fionbio(socket, value);
        }
    };
    set(true);
    let outcome = act();
    set(false);
    outcome
}

fn is_blocked(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

const _: () = assert!(FAIR_SHARE >= PIPE_SIZE as u64, "a turn moves at least a pipe");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_pipes_than_there_may_be() {
        let mut pipes = Pipes::new(2);
        let (first, second) = (pipes.take().unwrap(), pipes.take().unwrap());
        assert!(pipes.take().is_err());
        pipes.put(first);
        let first = pipes.take().unwrap();
        drop(second);
        let second = pipes.take().unwrap();
        assert!(pipes.take().is_err());
        drop((first, second));
    }
}
