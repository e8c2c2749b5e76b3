//! The receiving side of a connection, and the pump that carries out its operations.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use smallvec::SmallVec;

use super::conn::{Conn, errno, is_passing};
use super::engine::Engine;
use super::orders::Orders;
use crate::runtime::executor::TaskId;
use crate::runtime::{Buf, BufMut, stopped};

/// What has been received, and how that ends.
#[derive(Default)]
pub(super) struct RecvSide {
    pub(super) orders: Orders<Order>,
    /// Received or given back; the last are lent first.
    pub(super) queue: SmallVec<[Buf; 2]>,
    end: End,
    /// The error that sending has met: what looks like the orderly end afterwards is none.
    suspicion: Option<Errno>,
    is_stopped: bool,
    /// The pending `readable` is to end.
    pub(super) is_roused: bool,
    /// There are bytes in the kernel, or an end.
    pub(super) is_ready: bool,
    /// What the pump is busy with takes bytes.
    is_receiving: bool,
    /// Bytes were spliced away under the pump's wait: what it will say may be of these.
    is_overtaken: bool,
    /// On the list of those that wait for a buf.
    is_parked: bool,
    waiter: Option<TaskId>,
}

/// What the pump is to do.
pub(super) enum Order {
    /// Wait for bytes, without taking them.
    Wait,
    /// Take bytes.
    Recv(BufMut),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Eof,
    Failed(Errno),
    TimedOut,
}

impl RecvSide {
    /// Ends what waits, and everything later, with [`stopped`]; returns who waits.
    pub(super) fn stop(&mut self) -> Option<TaskId> {
        self.is_stopped = true;
        self.waiter.take()
    }

    /// Ends what waits, and everything later, with an error; returns who waits.
    pub(super) fn fail(&mut self, error: Errno) -> Option<TaskId> {
        self.end = End::Failed(error);
        self.queue.clear();
        self.waiter.take()
    }

    /// The deadline is missed: ends what waits, and everything later; returns who waits.
    pub(super) fn miss(&mut self) -> Option<TaskId> {
        self.end = End::TimedOut;
        self.queue.clear();
        self.waiter.take()
    }

    /// Whoever waits, who is then woken by the caller.
    pub(super) fn take_waiter(&mut self) -> Option<TaskId> {
        self.waiter.take()
    }

    /// Notes who waits.
    pub(super) fn wait<T>(&mut self, task: TaskId) -> Poll<T> {
        self.waiter = Some(task);
        Poll::Pending
    }

    /// Sending has met an error. The kernel tells of a reset once, and then receiving sees what looks like the orderly
    /// end; half a response must not be taken for a whole one. EPIPE is what a peer's reset after its orderly end looks
    /// like too, so it does not throw doubt on an end that was seen before.
    pub(super) fn suspect(&mut self, error: Errno) {
        match self.end {
            End::Open => self.suspicion = Some(error),
            End::Eof if error != Errno::PIPE => self.end = End::Failed(error),
            _ => {}
        }
    }

    /// Receiving has met an error.
    pub(super) fn note_error(&mut self, error: Errno) {
        if self.end == End::Open {
            self.end = End::Failed(error);
        }
    }

    /// Receiving has met what looks like the orderly end.
    pub(super) fn note_eof(&mut self) {
        if self.end == End::Open {
            self.end = self.suspicion.map_or(End::Eof, End::Failed);
        }
    }

    /// Open, with nothing queued and no end known.
    pub(super) fn is_quiet(&self) -> bool {
        self.queue.is_empty() && !self.is_stopped && self.end == End::Open
    }

    /// Why nothing more can be read, `Ok(false)` for an orderly end; `Ok(true)` when there may be more.
    pub(super) fn state(&self) -> io::Result<bool> {
        match self.end {
            End::Open => Ok(true),
            End::Eof => Ok(false),
            End::Failed(error) => Err(error.into()),
            End::TimedOut => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Whether there are bytes in the queue, or an operation may bring some.
    pub(super) fn has_bytes_coming(&self) -> bool {
        !self.queue.is_empty() || self.is_receiving && self.orders.is_busy()
    }

    /// A splice takes what there is: whoever asks next has to look again.
    pub(super) fn note_splice(&mut self) {
        self.is_ready = false;
        self.is_overtaken = self.orders.is_busy();
    }

    /// Whether the source of a relay may still be read.
    pub(super) fn check(&self) -> io::Result<()> {
        self.refuse()?;
        self.state().map(drop)
    }

    /// Errors that come before what is queued.
    pub(super) fn refuse(&self) -> io::Result<()> {
        if self.is_stopped {
            return Err(stopped());
        }
        match self.end {
            End::TimedOut => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    /// An operation has ended with bytes.
    fn take_in(&mut self, buf: Buf) {
        self.is_ready = false;
        if buf.is_empty() {
            self.note_eof();
        } else if !self.is_stopped && self.end == End::Open {
            // Behind what was given back meanwhile, which is lent first.
            self.queue.insert(0, buf);
        }
    }
}

impl<E: Engine> Conn<E> {
    /// The next bytes, `None` at the orderly end.
    pub(super) fn poll_recv(self: &Rc<Self>) -> Poll<io::Result<Option<Buf>>> {
        let mut side = self.recv.borrow_mut();
        side.refuse()?;
        if let Some(buf) = side.queue.pop() {
            return Poll::Ready(Ok(Some(buf)));
        }
        if !side.state()? {
            return Poll::Ready(Ok(None));
        }
        if !side.orders.is_busy() {
            match self.core.pool.lend() {
                Some(buf) => {
                    side.is_receiving = true;
                    side.orders.give(Order::Recv(buf));
                }
                None if std::mem::replace(&mut side.is_parked, true) => {}
                None => self.core.parked.borrow_mut().push_back(self.clone()),
            }
        }
        side.wait(self.core.executor.current())
    }

    /// Waits until there are bytes, or an end, in the queue or in the kernel.
    pub(super) fn poll_bytes(&self) -> Poll<io::Result<()>> {
        let mut side = self.recv.borrow_mut();
        side.refuse()?;
        if !side.queue.is_empty() || !side.state()? || side.is_ready {
            return Poll::Ready(Ok(()));
        }
        if !side.orders.is_busy() {
            side.orders.give(Order::Wait);
        }
        side.wait(self.core.executor.current())
    }

    /// Off the list of those that wait for a buf: wakes who waits, and returns whether anybody did.
    pub(super) fn unpark(&self) -> bool {
        let mut side = self.recv.borrow_mut();
        side.is_parked = false;
        let waiter = side.take_waiter();
        if let Some(task) = waiter {
            self.core.wake(task);
        }
        waiter.is_some()
    }

    /// Whether the socket has neither bytes nor an end to tell of. What it tells now it does not tell again.
    pub(super) fn is_silent(&self) -> bool {
        match rustix::net::recv(&self.socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => true,
            Err(error) => {
                self.recv.borrow_mut().note_error(error);
                false
            }
            Ok(_) => false,
        }
    }

    fn on_bytes(&self, outcome: io::Result<()>) {
        let mut side = self.recv.borrow_mut();
        side.orders.done();
        let is_overtaken = std::mem::take(&mut side.is_overtaken);
        match outcome {
            Ok(()) => side.is_ready = !is_overtaken,
            Err(error) if is_passing(&error) => {}
            Err(error) => side.note_error(errno(&error)),
        }
        self.wake(side.take_waiter());
    }

    fn on_recv(&self, outcome: io::Result<usize>, buf: BufMut) {
        let mut side = self.recv.borrow_mut();
        side.orders.done();
        side.is_receiving = false;
        let buf = self.core.pool.adopt(buf, outcome.as_ref().map_or(0, |count| *count));
        match outcome {
            Ok(_) => side.take_in(buf),
            Err(error) if is_passing(&error) => {}
            Err(error) => side.note_error(errno(&error)),
        }
        self.wake(side.take_waiter());
    }

    /// Ends the pump after what it is doing; returns whether it is doing something.
    pub(super) fn end_recv(&self) -> bool {
        let mut side = self.recv.borrow_mut();
        if std::mem::take(&mut side.is_parked) {
            // Or else the list would keep the descriptor open.
            self.core.parked.borrow_mut().retain(|parked| !std::ptr::eq(&**parked, self));
        }
        side.queue.clear();
        side.stop();
        let (is_receiving, order) = side.orders.close();
        if let Some(Order::Recv(buf)) = order {
            self.core.pool.take_back(buf);
        }
        is_receiving
    }
}

/// Carries out what the receiving side orders, to the end of the connection.
pub(super) async fn pump<E: Engine>(conn: Rc<Conn<E>>) {
    while let Some(order) = poll_fn(|cx| conn.recv.borrow_mut().orders.poll_next(cx)).await {
        match order {
            Order::Wait => conn.on_bytes(E::has_bytes(&conn.socket).await),
            Order::Recv(buf) => {
                let (outcome, buf) = E::recv(&conn.socket, buf).await;
                conn.on_recv(outcome, buf);
            }
        }
    }
}
