//! The receiving side of a connection: a bounded queue of bufs that the kernel has filled.

use std::collections::VecDeque;
use std::io;
use std::task::Poll;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};

use super::conns::ConnId;
use super::lent::GROUP;
use super::ops::{Completion, Kind};
use super::state::State;
use crate::runtime::buf::{BUF_SIZE, Buf};
use crate::runtime::executor::TaskId;
use crate::runtime::stopped;
use crate::runtime::timers::Deadline;

/// Bufs that may wait in a queue before a multishot recv is stopped. When a loop that was held up meets a flood, what
/// the kernel does in one go comes on top: 33 bufs each time it looks at the socket, which it does up to three times
/// an enter, and never more than the window.
pub(super) const READ_AHEAD: usize = 16;
/// The same while bufs are short: those who do not take what they are sent must leave some to the others.
const READ_AHEAD_WHEN_SHORT: usize = 1;
/// Bytes that a single recv may bring.
const BUNDLE: u32 = 8 * BUF_SIZE as u32;
/// The same while bufs are short.
const BUNDLE_WHEN_SHORT: u32 = BUF_SIZE as u32;
/// Single recvs after a multishot one that brought too much, before it is tried again.
const PATIENCE_AFTER_FLOOD: u8 = 64;
/// Single recvs before the first multishot one: a connection that ends after one exchange has nothing armed then.
const PATIENCE_AT_FIRST: u8 = 1;
/// The flag of a recv that fills as many provided buffers as there are bytes for (`ioprio` of the entry).
const RECVSEND_BUNDLE: u16 = 1 << 4;

/// What has been received, and how the next bytes come.
#[derive(Default)]
pub(super) struct RecvSide {
    pub(super) queue: VecDeque<Buf>,
    armed: Armed,
    is_cancelling: bool,
    /// Single recvs to go before a multishot one.
    patience: u8,
    end: End,
    /// The error that sending has met: what looks like the orderly end afterwards is none.
    suspicion: Option<i32>,
    is_stopped: bool,
    /// The pending `readable` is to end.
    is_roused: bool,
    /// A poll has said that there is something to splice.
    is_ready: bool,
    waiter: Option<TaskId>,
    pub(super) deadline: Deadline,
}

/// The operation that is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Armed {
    #[default]
    No,
    Once,
    Many,
    /// A poll, to splice.
    Poll,
    /// None, since the kernel has no buf left; it is armed again when there are some.
    Parked,
}

#[derive(Clone, Copy, Debug, Default)]
enum End {
    #[default]
    Open,
    Eof,
    Failed(i32),
    TimedOut,
}

impl RecvSide {
    /// Makes it fit for a new connection.
    pub(super) fn restart(&mut self) {
        self.end = End::Open;
        self.suspicion = None;
        self.is_stopped = false;
        self.is_ready = false;
        self.patience = PATIENCE_AT_FIRST;
    }

    /// Forgets what nobody will ask for.
    pub(super) fn abandon(&mut self) {
        self.queue.clear();
        self.is_stopped = true;
        self.unwait();
        if self.armed == Armed::Parked {
            self.armed = Armed::No;
        }
    }

    /// Ends what waits, and everything later, with [`stopped`]; returns who waits.
    pub(super) fn stop(&mut self) -> Option<TaskId> {
        self.is_stopped = true;
        self.waiter.take()
    }

    /// Ends the pending `readable`, if there is one; returns who waits.
    pub(super) fn rouse(&mut self) -> Option<TaskId> {
        self.is_roused = true;
        self.waiter.take()
    }

    /// Forgets that an earlier `readable` was roused.
    pub(super) fn settle_down(&mut self) {
        self.is_roused = false;
    }

    /// Whether the pending `readable` is to end.
    pub(super) fn is_roused(&self) -> bool {
        self.is_roused
    }

    /// Ends what waits, and everything later, with an error; returns who waits.
    pub(super) fn fail(&mut self, error: i32) -> Option<TaskId> {
        self.end = End::Failed(error);
        self.queue.clear();
        self.waiter.take()
    }

    /// Whoever waits, who is then woken by the caller.
    pub(super) fn take_waiter(&mut self) -> Option<TaskId> {
        self.waiter.take()
    }

    /// Sending has met an error. The kernel tells of a reset once, and then receiving sees what looks like the orderly
    /// end; half a response must not be taken for a whole one. EPIPE is what a peer's reset after its orderly end looks
    /// like too, so it does not throw doubt on an end that was seen before.
    pub(super) fn suspect(&mut self, error: i32) {
        match self.end {
            End::Open => self.suspicion = Some(error),
            End::Eof if error != libc::EPIPE => self.end = End::Failed(error),
            _ => {}
        }
    }

    fn note_eof(&mut self) {
        if matches!(self.end, End::Open) {
            self.end = self.suspicion.map_or(End::Eof, End::Failed);
        }
    }

    /// Whether somebody waits, even if it was just woken for nothing.
    pub(super) fn is_waited_for(&self) -> bool {
        self.deadline.is_set()
    }

    /// What is queued already.
    pub(super) fn take_queued(&mut self) -> Option<Buf> {
        self.refuse().ok()?;
        self.queue.pop_front()
    }

    /// Nobody waits any more.
    pub(super) fn unwait(&mut self) {
        self.waiter = None;
        self.deadline.clear();
    }

    /// Whether anything is in flight.
    fn is_armed(&self) -> bool {
        matches!(self.armed, Armed::Once | Armed::Many | Armed::Poll)
    }

    /// Open, with nothing unread that is known of; `None`: nothing is armed that would tell.
    pub(super) fn is_idle(&self) -> Option<bool> {
        if !self.queue.is_empty() || self.is_stopped || !matches!(self.end, End::Open) {
            return Some(false);
        }
        self.is_armed().then_some(true)
    }

    /// Why nothing more can be read, `Ok(false)` for an orderly end; `Ok(true)` when there may be more.
    fn state(&self) -> io::Result<bool> {
        match self.end {
            End::Open => Ok(true),
            End::Eof => Ok(false),
            End::Failed(error) => Err(io::Error::from_raw_os_error(error)),
            End::TimedOut => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Errors that come before what is queued.
    fn refuse(&self) -> io::Result<()> {
        if self.is_stopped {
            return Err(stopped());
        }
        match self.end {
            End::TimedOut => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

impl State {
    /// Sets the deadline of the wait that follows.
    pub(super) fn set_recv_deadline(&mut self, id: ConnId, by: std::time::Instant) {
        self.conns[id].recv.deadline.set(by, &mut self.timers, super::state::Due::Recv(id));
    }

    /// The next bytes, `None` at the orderly end.
    pub(super) fn poll_recv(&mut self, id: ConnId) -> Poll<io::Result<Option<Buf>>> {
        match self.poll_bytes(id) {
            Poll::Ready(Ok(true)) => Poll::Ready(Ok(self.conns[id].recv.queue.pop_front())),
            Poll::Ready(Ok(false)) => Poll::Ready(Ok(None)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits until there are bytes in the queue (true) or the orderly end (false).
    pub(super) fn poll_bytes(&mut self, id: ConnId) -> Poll<io::Result<bool>> {
        let side = &self.conns[id].recv;
        side.refuse()?;
        if !side.queue.is_empty() {
            return Poll::Ready(Ok(true));
        }
        if !side.state()? {
            return Poll::Ready(Ok(false));
        }
        self.arm_recv(id);
        self.wait_recv(id)
    }

    /// Waits until nothing that takes bytes from the socket is in flight.
    pub(super) fn poll_disarmed(&mut self, id: ConnId) -> Poll<()> {
        let side = &mut self.conns[id].recv;
        if side.armed == Armed::Parked {
            side.armed = Armed::No;
        }
        if !side.is_armed() {
            return Poll::Ready(());
        }
        self.cancel_recv(id);
        self.wait_recv(id)
    }

    /// Waits until there is something to splice, or an end; `is_ready` says at first that nothing is known.
    pub(super) fn poll_spliceable(&mut self, id: ConnId) -> Poll<io::Result<()>> {
        let side = &mut self.conns[id].recv;
        side.refuse()?;
        side.state()?;
        if std::mem::take(&mut side.is_ready) {
            return Poll::Ready(Ok(()));
        }
        if side.armed == Armed::No {
            side.armed = Armed::Poll;
            self.push_poll(id, Kind::PollIn, libc::POLLIN | libc::POLLRDHUP);
        }
        self.wait_recv(id)
    }

    /// Whether the source of a relay may still be read.
    pub(super) fn check_recv(&self, id: ConnId) -> io::Result<()> {
        let side = &self.conns[id].recv;
        side.refuse()?;
        side.state().map(drop)
    }

    /// Notes that a splice has seen the orderly end.
    pub(super) fn note_spliced_eof(&mut self, id: ConnId) -> io::Result<()> {
        self.conns[id].recv.note_eof();
        self.check_recv(id)
    }

    /// Notes that a splice has seen an error.
    pub(super) fn note_recv_error(&mut self, id: ConnId, error: i32) {
        self.conns[id].recv.end = End::Failed(error);
    }

    /// A recv has completed, or a multishot one has brought something.
    pub(super) fn on_recv(&mut self, id: ConnId, completion: Completion) {
        if !completion.is_more() {
            let side = &mut self.conns[id].recv;
            (side.armed, side.is_cancelling) = (Armed::No, false);
        }
        match completion.buf() {
            Some(first) => self.take_in(id, first, completion.result.max(0) as usize),
            None => self.note_recv_end(id, completion.result),
        }
        self.bound_queue(id);
        self.wake_recv(id);
    }

    /// A poll has completed.
    pub(super) fn on_poll_in(&mut self, id: ConnId, completion: Completion) {
        let side = &mut self.conns[id].recv;
        (side.armed, side.is_cancelling) = (Armed::No, false);
        side.is_ready = completion.result > 0;
        self.wake_recv(id);
    }

    /// The deadline of a wait is missed: this direction is dead.
    pub(super) fn on_recv_timeout(&mut self, id: ConnId) {
        self.conns[id].recv.end = End::TimedOut;
        self.conns[id].recv.queue.clear();
        self.wake_recv(id);
        self.cancel_recv(id);
    }

    /// Arms those again that had found the kernel without bufs, as many as there are bufs, once a quarter is back.
    pub(super) fn unpark(&mut self) {
        if self.parked.is_empty() || self.lent.count() < (self.lent.size() / 4).max(1) {
            return;
        }
        let mut room = self.lent.count();
        while room > 0
            && let Some(key) = self.parked.pop_front()
        {
            let Some(id) = self.conns.find(key) else { continue };
            let side = &mut self.conns[id].recv;
            // Who has given up waiting for bufs, to splice, must not be sent any: they would overtake what is spliced.
            if side.armed != Armed::Parked {
                continue;
            }
            side.armed = Armed::No;
            side.patience = side.patience.max(1);
            if side.refuse().is_ok() && matches!(side.end, End::Open) {
                self.arm_recv(id);
                room -= 1;
            }
        }
    }

    fn wait_recv<T>(&mut self, id: ConnId) -> Poll<T> {
        self.conns[id].recv.waiter = Some(self.executor.current());
        Poll::Pending
    }

    fn wake_recv(&mut self, id: ConnId) {
        if let Some(task) = self.conns[id].recv.waiter.take() {
            self.executor.wake(task);
        }
    }

    fn arm_recv(&mut self, id: ConnId) {
        let side = &mut self.conns[id].recv;
        if side.armed != Armed::No {
            return;
        }
        let is_short = self.lent.is_short();
        let is_once = side.patience > 0 || is_short || !self.abilities.multishot_recv;
        side.armed = if is_once { Armed::Once } else { Armed::Many };
        side.patience = side.patience.saturating_sub(1);
        let fd = Fd(self.conns[id].descriptor());
        let bundles = self.abilities.bundles;
        let most = if is_short || !bundles { BUNDLE_WHEN_SHORT } else { BUNDLE };
        let recv_many = || opcode::RecvMulti::new(fd, GROUP).build();
        let entry = if is_once { recv_once(fd, most, bundles) } else { recv_many() };
        let ticket = self.conns.issue(id, Kind::Recv);
        #[expect(unsafe_code, reason = "see Kernel::push")]
        // SAFETY: the entry points to no memory: the kernel takes bufs from the window.
        unsafe {
            self.kernel.push(entry, ticket);
        }
    }

    fn cancel_recv(&mut self, id: ConnId) {
        let side = &mut self.conns[id].recv;
        if !side.is_armed() || std::mem::replace(&mut side.is_cancelling, true) {
            return;
        }
        let kind = if side.armed == Armed::Poll { Kind::PollIn } else { Kind::Recv };
        let what = self.conns.ticket(id, kind);
        let ticket = self.conns.issue(id, Kind::Cancel);
        self.kernel.cancel(what, ticket);
    }

    /// A cancellation has come back without having found anything: it is tried again if it still has to be.
    pub(super) fn retry_cancel_recv(&mut self, id: ConnId) {
        let side = &mut self.conns[id].recv;
        if side.is_armed() && std::mem::take(&mut side.is_cancelling) {
            self.cancel_recv(id);
        }
    }

    fn take_in(&mut self, id: ConnId, first: u16, len: usize) {
        let side = &mut self.conns[id].recv;
        let is_wanted = !side.is_stopped && matches!(side.end, End::Open);
        self.lent.adopt(first, len, |buf| {
            if is_wanted && !buf.is_empty() {
                side.queue.push_back(buf);
            }
        });
        if len == 0 {
            self.note_recv_end(id, 0);
        }
    }

    fn note_recv_end(&mut self, id: ConnId, result: i32) {
        let key = self.conns.ticket(id, Kind::Recv).key;
        let side = &mut self.conns[id].recv;
        match -result {
            0 => side.note_eof(),
            libc::ENOBUFS if !side.is_stopped => {
                side.armed = Armed::Parked;
                self.parked.push_back(key);
            }
            libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
            error if matches!(side.end, End::Open) => side.end = End::Failed(error),
            _ => {}
        }
    }

    /// Stops a multishot recv that brings more than is asked for.
    fn bound_queue(&mut self, id: ConnId) {
        let side = &mut self.conns[id].recv;
        let bound = if self.lent.is_short() { READ_AHEAD_WHEN_SHORT } else { READ_AHEAD };
        let is_dead = side.is_stopped || matches!(side.end, End::TimedOut);
        if side.armed == Armed::Many && (is_dead || side.queue.len() >= bound) {
            side.patience = PATIENCE_AFTER_FLOOD;
            self.cancel_recv(id);
        }
    }
}

/// One recv of up to `most` bytes: as a bundle into as many neighbouring bufs as there are bytes for, else into one.
pub(super) fn recv_once(fd: Fd, most: u32, is_bundle: bool) -> squeue::Entry {
    opcode::Recv::new(fd, std::ptr::null_mut(), most)
        .buf_group(GROUP)
        .ioprio(if is_bundle { RECVSEND_BUNDLE } else { 0 })
        .build()
        .flags(squeue::Flags::BUFFER_SELECT)
}
