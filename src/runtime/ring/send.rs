//! The sending side of a connection: one cargo at a time, owned by the loop until the kernel has let go of it.

use std::collections::VecDeque;
use std::io;
use std::task::Poll;
use std::time::Instant;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use socket2::SockAddr;

use super::conns::ConnId;
use super::ops::{Completion, Kind};
use super::state::{Due, State};
use crate::runtime::buf::Buf;
use crate::runtime::executor::TaskId;
use crate::runtime::timers::Deadline;

/// A peer that has gone is an error, not a signal. Not MSG_WAITALL: when a send that was continued inside the kernel
/// meets a reset, it says how much went and keeps the error to itself.
const FLAGS: i32 = libc::MSG_NOSIGNAL;
/// The most pieces of memory that one send is made of (the kernel's own limit is 1,024).
const PIECES: usize = 64;
/// Emptied gathers kept for later.
const SPARE_GATHERS: usize = 256;

/// What is being sent, and how that stands.
#[derive(Default)]
pub(super) struct SendSide {
    cargo: Cargo,
    is_in_flight: bool,
    /// Bytes of the cargo that the kernel has taken.
    sent: u64,
    /// Why nothing more can be sent.
    failed: Option<i32>,
    waiter: Option<TaskId>,
    pub(super) deadline: Deadline,
}

/// What an operation of the sending side points to.
#[derive(Default)]
enum Cargo {
    #[default]
    Nothing,
    One(Buf),
    Many(Box<Gather>),
    /// Where a connect goes.
    Address(Box<SockAddr>),
}

/// Bufs that leave together. Boxed, since the kernel looks at it; used again, since it is big.
#[derive(Default)]
pub(super) struct Gather {
    /// In the order of sending, the first one possibly sent in part.
    bufs: VecDeque<Buf>,
    pieces: Vec<libc::iovec>,
    header: Option<libc::msghdr>,
}

impl Cargo {
    /// Whether sending it goes on after an interruption.
    fn is_bytes(&self) -> bool {
        matches!(self, Self::One(_) | Self::Many(_))
    }
}

impl SendSide {
    /// Makes it fit for a new connection.
    pub(super) fn restart(&mut self) {
        self.failed = None;
        self.sent = 0;
    }

    /// Nobody will ask for the outcome; what is in flight keeps its bufs.
    pub(super) fn abandon(&mut self) {
        self.unwait();
    }

    /// Nobody waits any more.
    pub(super) fn unwait(&mut self) {
        self.waiter = None;
        self.deadline.clear();
    }

    /// Everything later ends with an error; returns who waits, unless a completion will wake it.
    pub(super) fn fail(&mut self, error: i32) -> Option<TaskId> {
        self.failed = Some(error);
        if self.is_in_flight { None } else { self.waiter.take() }
    }

    /// Whether sending still works, and nothing is being sent.
    pub(super) fn is_idle(&self) -> bool {
        self.failed.is_none() && !self.is_in_flight
    }

    fn outcome(&self) -> io::Result<()> {
        match self.failed {
            None => Ok(()),
            Some(libc::ETIMEDOUT) => Err(io::ErrorKind::TimedOut.into()),
            Some(error) => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl Gather {
    /// Lists the pieces of what is left to send; returns the address of the header for the kernel.
    fn list(&mut self) -> *const libc::msghdr {
        self.pieces.clear();
        self.pieces.extend(
            self.bufs
                .iter()
                .take(PIECES)
                .map(|buf| libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() }),
        );
        self.header.insert(header(&mut self.pieces))
    }

    /// Forgets the first `count` bytes.
    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.bufs.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.bufs.pop_front();
        }
    }
}

#[expect(unsafe_code, reason = "the header has private padding on some systems, so it starts as zeroes")]
fn header(pieces: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: all zeroes are a valid header: no name, no pieces, no control data.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = pieces.as_mut_ptr();
    header.msg_iovlen = pieces.len() as _;
    header
}

impl State {
    /// Sets the deadline of the wait that follows.
    pub(super) fn set_send_deadline(&mut self, id: ConnId, by: Instant) {
        self.conns[id].send.deadline.set(by, &mut self.timers, Due::Send(id));
    }

    /// Waits until what was started is done: how many bytes the kernel took, and whether that went well.
    pub(super) fn poll_sent(&mut self, id: ConnId) -> Poll<(u64, io::Result<()>)> {
        let side = &mut self.conns[id].send;
        if side.is_in_flight {
            side.waiter = Some(self.executor.current());
            return Poll::Pending;
        }
        Poll::Ready((side.sent, side.outcome()))
    }

    /// Starts to send bufs. Nothing may be in flight.
    pub(super) fn start_send(&mut self, id: ConnId, mut bufs: impl Iterator<Item = Buf>) {
        self.conns[id].send.sent = 0;
        if self.conns[id].send.failed.is_some() {
            return;
        }
        let Some(first) = bufs.next() else { return };
        let cargo = match bufs.next() {
            None => Cargo::One(first),
            Some(second) => {
                let mut gather = self.gathers.pop().unwrap_or_default();
                gather.bufs.extend([first, second].into_iter().chain(bufs));
                Cargo::Many(gather)
            }
        };
        self.conns[id].send.cargo = cargo;
        self.push_cargo(id);
    }

    /// Moves what is queued on one connection, up to `limit` bytes, to another and starts to send it; returns how
    /// many bytes that are.
    pub(super) fn forward(&mut self, from: ConnId, to: ConnId, limit: u64) -> u64 {
        let mut queue = std::mem::take(&mut self.conns[from].recv.queue);
        let mut left = limit;
        let whole = queue
            .iter()
            .take_while(|buf| {
                let fits = buf.len() as u64 <= left;
                left -= if fits { buf.len() as u64 } else { 0 };
                fits
            })
            .count();
        let part = match queue.get_mut(whole) {
            Some(buf) if left > 0 => Some(buf.split_to(left as usize)),
            _ => None,
        };
        let moved = limit - left + part.as_ref().map_or(0, |part| part.len() as u64);
        self.start_send(to, queue.drain(..whole).chain(part));
        self.conns[from].recv.queue = queue;
        moved
    }

    /// Starts to connect. Nothing may be in flight.
    pub(super) fn start_connect(&mut self, id: ConnId, address: SockAddr) {
        self.conns[id].send.cargo = Cargo::Address(Box::new(address));
        self.push_cargo(id);
    }

    /// Waits until there is room to splice into the connection. Nothing may be in flight; if it is, that is waited for.
    pub(super) fn start_poll_out(&mut self, id: ConnId) {
        let side = &mut self.conns[id].send;
        if side.failed.is_none() && !side.is_in_flight {
            side.sent = 0;
            side.is_in_flight = true;
            self.push_poll(id, Kind::PollOut, libc::POLLOUT);
        }
    }

    /// Notes that a splice has seen an error.
    pub(super) fn note_send_error(&mut self, id: ConnId, error: i32) {
        self.conns[id].send.failed = Some(error);
        self.conns[id].recv.suspect(error);
    }

    /// A send or a connect has completed.
    pub(super) fn on_send(&mut self, id: ConnId, completion: Completion) {
        let side = &mut self.conns[id].send;
        side.is_in_flight = false;
        match completion.result {
            result if result < 0 && !(result == -libc::EINTR && side.cargo.is_bytes()) => {
                side.failed.get_or_insert(-result);
                // EPIPE says that the peer had ended in order before, or that we have: receiving knows already.
                if !matches!(-result, libc::EPIPE | libc::ECANCELED) {
                    self.conns[id].recv.suspect(-result);
                }
                self.unload(id);
            }
            result => self.continue_send(id, result.max(0) as usize),
        }
        self.wake_send(id);
    }

    /// A poll has completed.
    pub(super) fn on_poll_out(&mut self, id: ConnId) {
        self.conns[id].send.is_in_flight = false;
        self.wake_send(id);
    }

    /// The deadline of a wait is missed: this direction is dead. Who waits is woken when the kernel has let go.
    pub(super) fn on_send_timeout(&mut self, id: ConnId) {
        let side = &mut self.conns[id].send;
        if side.is_in_flight {
            side.failed.get_or_insert(libc::ETIMEDOUT);
            self.cancel_send(id);
        }
    }

    /// A cancellation has come back without having found anything: it is tried again if it still has to be.
    pub(super) fn retry_cancel_send(&mut self, id: ConnId) {
        let side = &self.conns[id].send;
        if side.is_in_flight && side.failed.is_some() {
            self.cancel_send(id);
        }
    }

    fn cancel_send(&mut self, id: ConnId) {
        let is_poll = matches!(self.conns[id].send.cargo, Cargo::Nothing);
        let what = self.conns.ticket(id, if is_poll { Kind::PollOut } else { Kind::Send });
        let ticket = self.conns.issue(id, Kind::Cancel);
        self.kernel.cancel(what, ticket);
    }

    fn continue_send(&mut self, id: ConnId, count: usize) {
        let conn = &mut self.conns[id];
        conn.send.sent += count as u64;
        let is_done = match &mut conn.send.cargo {
            Cargo::One(buf) => {
                buf.advance(count);
                buf.is_empty()
            }
            Cargo::Many(gather) => {
                gather.advance(count);
                gather.bufs.is_empty()
            }
            Cargo::Nothing | Cargo::Address(_) => true,
        };
        if is_done {
            conn.send.failed = conn.send.failed.filter(|_| conn.is_cut());
            self.unload(id);
        } else if conn.send.failed.is_some() {
            self.unload(id);
        } else {
            self.push_cargo(id);
        }
    }

    fn push_cargo(&mut self, id: ConnId) {
        let conn = &mut self.conns[id];
        let fd = Fd(conn.descriptor());
        let entry = match &mut conn.send.cargo {
            Cargo::Nothing => return,
            Cargo::One(buf) => send_one(fd, buf),
            Cargo::Many(gather) => opcode::SendMsg::new(fd, gather.list()).flags(FLAGS as u32).build(),
            Cargo::Address(address) => {
                opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build()
            }
        };
        conn.send.is_in_flight = true;
        let ticket = self.conns.issue(id, Kind::Send);
        #[expect(unsafe_code, reason = "see Kernel::push")]
        // SAFETY: the entry points into the cargo: a buf, which nobody writes to, or a box. It stays until the
        // completion, since only `unload` takes it away and a slot is not given up while something is in flight.
        unsafe {
            self.kernel.push(entry, ticket);
        }
    }

    fn unload(&mut self, id: ConnId) {
        if let Cargo::Many(mut gather) = std::mem::take(&mut self.conns[id].send.cargo) {
            gather.bufs.clear();
            if self.gathers.len() < SPARE_GATHERS {
                self.gathers.push(gather);
            }
        }
    }

    fn wake_send(&mut self, id: ConnId) {
        let side = &mut self.conns[id].send;
        if side.is_in_flight {
            return;
        }
        if let Some(task) = side.waiter.take() {
            self.executor.wake(task);
        }
    }

    /// Waits once for events on the socket.
    pub(super) fn push_poll(&mut self, id: ConnId, kind: Kind, events: i16) {
        let entry = opcode::PollAdd::new(Fd(self.conns[id].descriptor()), events as u32).build();
        let ticket = self.conns.issue(id, kind);
        #[expect(unsafe_code, reason = "see Kernel::push")]
        // SAFETY: a poll points to no memory.
        unsafe {
            self.kernel.push(entry, ticket);
        }
    }
}

fn send_one(fd: Fd, buf: &Buf) -> squeue::Entry {
    opcode::Send::new(fd, buf.as_ptr(), buf.len() as u32).flags(FLAGS).build()
}
