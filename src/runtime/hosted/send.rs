//! The sending side of a connection, and the pump that carries out its operations.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use rustix::io::Errno;

use super::conn::{Conn, errno, is_passing};
use super::engine::{Bufs, Engine};
use super::orders::Orders;
use crate::runtime::buf::skip;
use crate::runtime::executor::TaskId;

/// What is being sent, and how that stands.
#[derive(Default)]
pub(super) struct SendSide {
    pub(super) orders: Orders<Order>,
    /// What the last operation did not send.
    rest: Bufs,
    /// Bytes that it did send.
    sent: usize,
    /// Why nothing more can be sent.
    failed: Option<Errno>,
    pub(super) is_shut: bool,
    waiter: Option<TaskId>,
}

/// What the pump is to do.
pub(super) enum Order {
    /// Wait until there is room.
    Wait,
    /// Send as much as goes at once.
    Send(Bufs),
}

impl SendSide {
    /// Ends what waits, and everything later, with an error; returns who waits.
    pub(super) fn fail(&mut self, error: Errno) -> Option<TaskId> {
        self.failed = Some(error);
        self.waiter.take()
    }

    /// The deadline is missed: if something is being sent, nothing may follow what has gone; returns who waits.
    pub(super) fn miss(&mut self) -> Option<TaskId> {
        if self.orders.is_busy() { self.fail(self.failed.unwrap_or(Errno::TIMEDOUT)) } else { None }
    }

    /// Nobody waits any more.
    pub(super) fn unwait(&mut self) {
        self.waiter = None;
    }

    /// Whether sending still works, and nothing is being sent.
    pub(super) fn is_idle(&self) -> bool {
        self.failed.is_none() && !self.is_shut && !self.orders.is_busy() && self.rest.is_empty()
    }

    /// Why nothing more can be sent, if so.
    pub(super) fn state(&self) -> io::Result<()> {
        match self.failed {
            None => Ok(()),
            Some(Errno::TIMEDOUT) => Err(io::ErrorKind::TimedOut.into()),
            Some(error) => Err(error.into()),
        }
    }
}

impl<E: Engine> Conn<E> {
    /// Orders something of the sending pump, which must not be busy.
    pub(super) fn order_send(&self, order: Order) {
        let mut side = self.send.borrow_mut();
        side.sent = 0;
        side.orders.give(order);
    }

    /// Waits until the pump is done: how many bytes the kernel took, and what is left. A failure does not wait: what
    /// is in flight keeps its bufs.
    pub(super) fn poll_sent(&self) -> Poll<io::Result<(usize, Bufs)>> {
        let mut side = self.send.borrow_mut();
        side.state()?;
        if side.orders.is_busy() {
            side.waiter = Some(self.core.executor.current());
            return Poll::Pending;
        }
        let side = &mut *side;
        Poll::Ready(Ok((std::mem::take(&mut side.sent), std::mem::take(&mut side.rest))))
    }

    /// Waits until nothing of an earlier future, which was dropped, is being sent. Nothing may follow half of it.
    pub(super) fn poll_free(&self) -> Poll<io::Result<()>> {
        match self.poll_sent() {
            Poll::Ready(Ok((_, rest))) if !rest.is_empty() => {
                self.send.borrow_mut().failed = Some(Errno::CANCELED);
                Poll::Ready(Err(Errno::CANCELED.into()))
            }
            other => other.map_ok(drop),
        }
    }

    /// Notes that something else than the pump has met an error when it sent.
    pub(super) fn note_send_error(&self, error: Errno) {
        self.send.borrow_mut().failed = Some(error);
        // EPIPE says that the peer had ended in order before, or that we have: receiving knows already.
        if error != Errno::PIPE {
            self.recv.borrow_mut().suspect(error);
        }
    }

    fn on_sent(&self, outcome: io::Result<usize>, mut bufs: Bufs) {
        let mut failed = None;
        {
            let mut side = self.send.borrow_mut();
            side.orders.done();
            match outcome {
                Ok(count) => {
                    skip(&mut bufs, count);
                    side.sent += count;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => failed = Some(errno(&error)),
            }
            if side.failed.is_none() {
                side.rest = bufs;
            }
        }
        if let Some(error) = failed.filter(|_| self.send.borrow().failed.is_none()) {
            self.note_send_error(error);
        }
        self.wake(self.send.borrow_mut().waiter.take());
    }
}

/// Carries out what the sending side orders, to the end of the connection.
pub(super) async fn pump<E: Engine>(conn: Rc<Conn<E>>) {
    let mut gather = E::Gather::default();
    while let Some(order) = poll_fn(|cx| conn.send.borrow_mut().orders.poll_next(cx)).await {
        match order {
            // What is wrong with the socket is told by what is tried next.
            Order::Wait => conn.on_sent(E::writable(&conn.socket).await.map(|()| 0), Bufs::new()),
            Order::Send(bufs) => {
                let (outcome, bufs) = E::send(&conn.socket, bufs, &mut gather).await;
                conn.on_sent(outcome, bufs);
            }
        }
    }
}
