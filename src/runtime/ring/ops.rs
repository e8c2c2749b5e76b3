//! Operations on their way to the kernel and back: tickets, the submission queue, the completions.

use std::collections::VecDeque;
use std::io;

use io_uring::types::{CancelBuilder, Fd};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

/// What a completion belongs to; it travels through the kernel as `user_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) kind: Kind,
    pub(super) key: Key,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes into lent bufs, once or many times.
    Recv,
    /// Waits until there is something to splice from a connection.
    PollIn,
    /// Bytes out of the bufs of a connection's cargo, or a connect.
    Send,
    /// Waits until there is room to splice into a connection.
    PollOut,
    /// Takes back one operation of a connection.
    Cancel,
    /// Takes back all operations of a connection, to close it.
    Close,
    /// New connections of a listener, once or many times.
    Accept,
    /// Takes back the accept of a listener.
    CancelAccept,
    /// The standing timeout.
    Timeout,
    /// The drain signal was raised.
    Drain,
    /// The worker's bell was rung.
    Bell,
    /// Sends an accepted connection to another ring.
    HandOver,
    /// A connection that another ring has sent: nothing that was submitted here.
    Arrival,
    /// Nobody waits for it.
    Nothing,
}

/// A slot and the generation of who sits in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) index: u32,
    /// 24 bits.
    pub(super) generation: u32,
}

/// Bits of a generation.
pub(super) const GENERATION_MASK: u32 = (1 << 24) - 1;

/// A completion: what it belongs to, the result or the negative error number, and the flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) ticket: Ticket,
    pub(super) result: i32,
    pub(super) flags: u32,
}

/// The ring shared with the kernel.
pub(super) struct Kernel {
    ring: IoUring,
    /// What did not fit into the submission queue.
    overflow: VecDeque<squeue::Entry>,
    /// Operations whose last completion has not come.
    in_flight: usize,
}

impl Ticket {
    /// A ticket that belongs to no slot.
    pub(super) fn alone(kind: Kind) -> Self {
        Self { kind, key: Key { index: 0, generation: 0 } }
    }

    pub(super) fn pack(self) -> u64 {
        (self.kind as u64) << 56 | u64::from(self.key.generation) << 32 | u64::from(self.key.index)
    }

    fn unpack(data: u64) -> Self {
        let key = Key { index: data as u32, generation: (data >> 32) as u32 & GENERATION_MASK };
        Self { kind: Kind::unpack(data >> 56), key }
    }
}

impl Kind {
    fn unpack(byte: u64) -> Self {
        const KINDS: [Kind; 13] = [
            Kind::Recv,
            Kind::PollIn,
            Kind::Send,
            Kind::PollOut,
            Kind::Cancel,
            Kind::Close,
            Kind::Accept,
            Kind::CancelAccept,
            Kind::Timeout,
            Kind::Drain,
            Kind::Bell,
            Kind::HandOver,
            Kind::Arrival,
        ];
        KINDS.get(byte as usize).copied().unwrap_or(Kind::Nothing)
    }
}

impl Completion {
    /// Whether the operation goes on and completes again.
    pub(super) fn is_more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// Whether it is the last one of an operation that was submitted here.
    fn is_last(&self) -> bool {
        !self.is_more() && self.ticket.kind != Kind::Arrival
    }

    /// The lent buf that was (first) written to.
    pub(super) fn buf(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

impl Kernel {
    pub(super) fn new(ring: IoUring) -> Self {
        Self { ring, overflow: VecDeque::new(), in_flight: 0 }
    }

    /// Operations whose last completion has not come.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Queues an operation for the next [`Kernel::enter`]; when the queue is full it is submitted at once.
    ///
    /// # Safety
    /// The memory that the entry points to stays in place, and nobody else writes to it, until the operation's last
    /// completion (for what is copied at submission: until it is submitted).
    #[expect(unsafe_code, reason = "the kernel reads and writes memory that an entry points to")]
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry, ticket: Ticket) {
        let entry = entry.user_data(ticket.pack());
        self.in_flight += 1;
        // In the order of the calls: a cancellation must not overtake what it cancels, nor be overtaken.
        // SAFETY: the caller answers for the memory that the entry points to.
        if self.overflow.is_empty() && unsafe { self.ring.submission().push(&entry) }.is_ok() {
            return;
        }
        self.overflow.push_back(entry);
        self.flush();
    }

    /// Takes back the operations of one ticket; best effort, since one may complete at the same time.
    pub(super) fn cancel(&mut self, what: Ticket, ticket: Ticket) {
        self.push_cancel(CancelBuilder::user_data(what.pack()), ticket);
    }

    /// Takes back all operations on a descriptor.
    pub(super) fn cancel_descriptor(&mut self, descriptor: i32, ticket: Ticket) {
        self.push_cancel(CancelBuilder::fd(Fd(descriptor)).all(), ticket);
    }

    /// Takes back everything.
    pub(super) fn cancel_all(&mut self) {
        self.push_cancel(CancelBuilder::any(), Ticket::alone(Kind::Nothing));
    }

    #[expect(unsafe_code, reason = "see push")]
    fn push_cancel(&mut self, what: CancelBuilder, ticket: Ticket) {
        // SAFETY: a cancellation points to no memory.
        unsafe { self.push(opcode::AsyncCancel2::new(what).build(), ticket) }
    }

    /// Submits what is queued and lets the kernel complete what it can; waits for a completion if asked to and none
    /// is there.
    ///
    /// # Errors
    /// What the kernel says; an interrupted or overloaded one is only a turn without news.
    #[expect(unsafe_code, reason = "GETEVENTS without waiting, which deferred work needs, has no safe call")]
    pub(super) fn enter(&mut self, wait: bool) -> io::Result<()> {
        self.flush();
        let wait = wait && self.overflow.is_empty();
        let queued = self.ring.submission().len() as u32;
        // SAFETY: no argument is passed, and `queued` is the length of the queue.
        let entered = unsafe {
            self.ring.submitter().enter::<libc::sigset_t>(
                queued,
                u32::from(wait),
                EnterFlags::GETEVENTS.bits(),
                None,
            )
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves all completions that are there to `into`.
    pub(super) fn reap(&mut self, into: &mut Vec<Completion>) {
        let before = into.len();
        into.extend(self.ring.completion().map(|entry| Completion {
            ticket: Ticket::unpack(entry.user_data()),
            result: entry.result(),
            flags: entry.flags(),
        }));
        self.in_flight -= into[before..].iter().filter(|completion| completion.is_last()).count();
    }

    #[expect(unsafe_code, reason = "see push")]
    fn flush(&mut self) {
        while let Some(entry) = self.overflow.front() {
            // SAFETY: whoever pushed the entry answers for its memory until the completion.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                self.overflow.pop_front();
            } else if !matches!(self.ring.submit(), Ok(submitted) if submitted > 0) {
                return;
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_the_journey() {
        let key = Key { index: u32::MAX, generation: GENERATION_MASK };
        for kind in [Kind::Recv, Kind::Send, Kind::Cancel, Kind::Drain, Kind::Arrival, Kind::Nothing] {
            let ticket = Ticket { kind, key };
            assert_eq!(Ticket::unpack(ticket.pack()), ticket);
        }
    }
}
