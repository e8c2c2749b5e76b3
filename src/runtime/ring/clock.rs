//! The one standing timeout of a loop, moved only when an earlier deadline appears.

use std::cell::Cell;
use std::time::Instant;

use io_uring::opcode;
use io_uring::types::Timespec;

use super::ops::{Kernel, Kind, Ticket};

/// The standing timeout, so that entering the kernel needs no time limit of its own.
pub(super) struct Clock {
    /// When it rings.
    armed: Option<Instant>,
    /// What the kernel reads at submission.
    span: Box<Cell<Timespec>>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { armed: None, span: Box::new(Cell::new(Timespec::new())) }
    }
}

impl Clock {
    /// Sees to it that it rings by `next`.
    pub(super) fn arm(&mut self, next: Option<Instant>, now: Instant, kernel: &mut Kernel) {
        let Some(next) = next else { return };
        if self.armed.is_some_and(|armed| armed <= next) {
            return;
        }
        self.span.set(Timespec::from(next.saturating_duration_since(now)));
        let timeout = Ticket::alone(Kind::Timeout);
        let (entry, ticket) = if self.armed.is_some() {
            // When it rings at this very moment the update finds nothing; it is then armed again after the ring.
            let update = opcode::TimeoutUpdate::new(timeout.pack(), self.span.as_ptr());
            (update.build(), Ticket::alone(Kind::Nothing))
        } else {
            (opcode::Timeout::new(self.span.as_ptr()).build(), timeout)
        };
        self.armed = Some(next);
        #[expect(unsafe_code, reason = "see Kernel::push")]
        // SAFETY: the span is boxed, is read when the entry is submitted, and is next set after that.
        unsafe {
            kernel.push(entry, ticket);
        }
    }

    /// The timeout has completed.
    pub(super) fn rang(&mut self) {
        self.armed = None;
    }
}
