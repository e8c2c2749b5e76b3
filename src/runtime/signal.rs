//! A signal to drain that one thread raises and every worker can wait for with a poll.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Raised once, seen by all: a pipe that becomes readable (its end) when the signal is raised. Cloned freely.
#[derive(Clone, Debug)]
pub struct DrainSignal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raised: AtomicBool,
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
}

impl DrainSignal {
    /// A signal that is not raised.
    ///
    /// # Errors
    /// No descriptor left for the pipe.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let inner = Inner { raised: AtomicBool::new(false), reader, writer: Mutex::new(Some(writer)) };
        Ok(Self(Arc::new(inner)))
    }

    /// Raises it, for good.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }
}

/// Readable (end of file, POLLHUP) from the moment the signal is raised. Never read from it.
impl AsFd for DrainSignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn is_readable(signal: &DrainSignal) -> bool {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(signal, PollFlags::IN)], Some(&zero)).unwrap() == 1
    }

    #[test]
    fn raising_wakes_every_clone() {
        let signal = DrainSignal::new().unwrap();
        let clone = signal.clone();
        assert!(!clone.is_raised() && !is_readable(&clone));
        signal.raise();
        signal.raise();
        assert!(clone.is_raised() && is_readable(&clone) && is_readable(&signal));
    }
}
