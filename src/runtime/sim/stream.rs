//! A simulated connection as the seam wants it: operations that wait, with deadlines.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::faults::Ending;
use super::host::Host;
use super::pipe::Look;
use super::socket::Socket;
use crate::runtime::{Batch, Buf, RelayEnd, Relayed, Stream, stopped};

/// One end of a connection.
pub struct SimStream {
    host: Rc<Host>,
    socket: Socket,
    /// Bytes that were given back.
    unread: RefCell<VecDeque<Buf>>,
    /// Of the pending wait for bytes.
    recv_by: Cell<Instant>,
    /// The pending `readable` is to end.
    is_roused: Cell<bool>,
    recv: Cell<Direction>,
    send: Cell<Direction>,
}

/// What this side did to a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Open,
    /// A deadline was missed.
    TimedOut,
    Stopped,
}

impl Direction {
    fn check(self) -> io::Result<()> {
        match self {
            Self::Open => Ok(()),
            Self::TimedOut => Err(io::ErrorKind::TimedOut.into()),
            Self::Stopped => Err(stopped()),
        }
    }
}

impl SimStream {
    pub(super) fn new(host: Rc<Host>, socket: Socket) -> Self {
        let recv_by = Cell::new(socket.core.now());
        let open = || Cell::new(Direction::Open);
        let (unread, is_roused) = (RefCell::default(), Cell::default());
        Self { host, socket, unread, recv_by, is_roused, recv: open(), send: open() }
    }

    fn now(&self) -> Instant {
        self.socket.core.now()
    }

    /// Waits until there is something to be read: bytes or the orderly end.
    fn poll_readable(&self) -> Poll<io::Result<Look>> {
        self.recv.get().check()?;
        if !self.unread.borrow().is_empty() {
            return Poll::Ready(Ok(Look::Bytes));
        }
        let mut moment = self.recv_by.get();
        match self.socket.look()? {
            Look::End(Ending::Rst) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            found @ (Look::Bytes | Look::End(Ending::Fin)) => return Poll::Ready(Ok(found)),
            Look::Later(at) => moment = moment.min(at),
            Look::Nothing => {}
        }
        self.wait_recv(moment)
    }

    fn poll_recv(&self) -> Poll<io::Result<Option<Buf>>> {
        if self.poll_readable()?.is_pending() {
            return Poll::Pending;
        }
        if let Some(buf) = self.unread.borrow_mut().pop_front() {
            return Poll::Ready(Ok(Some(buf)));
        }
        if self.socket.look()? != Look::Bytes {
            return Poll::Ready(Ok(None));
        }
        let Some(mut buf) = self.host.pool.take_for_recv() else {
            self.host.starve();
            return self.wait_recv(self.recv_by.get());
        };
        let count = self.socket.read(buf.unwritten());
        buf.wrote(count);
        Poll::Ready(Ok(Some(buf.freeze())))
    }

    /// Reads what has been delivered.
    fn read_now(&self) -> Option<Buf> {
        if self.socket.look().ok()? != Look::Bytes {
            return None;
        }
        let mut buf = self.host.pool.take_for_recv()?;
        let count = self.socket.read(buf.unwritten());
        buf.wrote(count);
        Some(buf.freeze())
    }

    /// Has the task woken by bytes and at a moment, unless the deadline is over.
    fn wait_recv<T>(&self, moment: Instant) -> Poll<io::Result<T>> {
        if self.recv_by.get() <= self.now() {
            self.recv.set(Direction::TimedOut);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.socket.inbound().recv_task = Some(self.socket.core.executor.current());
        self.socket.core.wake_at(moment);
        Poll::Pending
    }

    /// Sends a buf by `by`, advancing it by what has left.
    fn poll_send(&self, buf: &mut Buf, by: Instant) -> Poll<io::Result<()>> {
        self.send.get().check()?;
        while !buf.is_empty() {
            let count = self.socket.write(buf)?;
            buf.advance(count);
            if count > 0 {
                continue;
            }
            if by <= self.now() {
                self.send.set(Direction::TimedOut);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.socket.outbound().send_task = Some(self.socket.core.executor.current());
            self.socket.core.wake_at(by);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn wake_recv(&self) {
        let task = self.socket.inbound().recv_task.take();
        self.socket.core.wake(task);
    }
}

impl Stream for SimStream {
    async fn readable(&self, by: Instant) -> io::Result<()> {
        self.recv_by.set(by);
        self.is_roused.set(false);
        poll_fn(|_| match (self.is_roused.get(), self.host.is_draining.get()) {
            (true, _) => Poll::Ready(Ok(())),
            (false, true) => Poll::Ready(Err(stopped())),
            (false, false) => self.poll_readable().map_ok(drop),
        })
        .await
    }

    async fn recv(&self, by: Instant) -> io::Result<Option<Buf>> {
        self.recv_by.set(by);
        poll_fn(|_| self.poll_recv()).await
    }

    fn recv_now(&self) -> Option<Buf> {
        self.recv.get().check().ok()?;
        let returned = self.unread.borrow_mut().pop_front();
        returned.or_else(|| self.read_now())
    }

    fn unrecv(&self, rest: Buf) {
        if !rest.is_empty() {
            self.unread.borrow_mut().push_front(rest);
        }
    }

    async fn send(&self, batch: Batch, by: Instant) -> io::Result<()> {
        for mut buf in batch.into_bufs() {
            poll_fn(|_| self.poll_send(&mut buf, by)).await?;
        }
        Ok(())
    }

    async fn relay_to(&self, to: &Self, limit: u64, idle: Duration) -> Relayed {
        let mut bytes = 0;
        while bytes < limit {
            let mut buf = match self.recv(self.now() + idle).await {
                Ok(Some(buf)) => buf,
                Ok(None) => return Relayed { bytes, end: RelayEnd::Eof },
                Err(error) => return Relayed { bytes, end: RelayEnd::RecvFailed(error) },
            };
            self.unrecv(buf.split_off(usize::try_from(limit - bytes).unwrap_or(usize::MAX)));
            let (len, by) = (buf.len(), self.now() + idle);
            let sent = poll_fn(|_| to.poll_send(&mut buf, by)).await;
            bytes += (len - buf.len()) as u64;
            if let Err(error) = sent {
                return Relayed { bytes, end: RelayEnd::SendFailed(error) };
            }
        }
        Relayed { bytes, end: RelayEnd::Limit }
    }

    async fn shutdown_send(&self) -> io::Result<()> {
        self.socket.finish();
        Ok(())
    }

    fn recv_by(&self, by: Instant) {
        self.recv_by.set(by);
        self.wake_recv();
    }

    fn rouse(&self) {
        self.is_roused.set(true);
        self.wake_recv();
    }

    fn stop_recv(&self) {
        self.recv.set(Direction::Stopped);
        self.wake_recv();
    }

    fn abort(&self) {
        self.socket.reset();
        let task = self.socket.outbound().send_task.take();
        self.socket.core.wake(task);
    }

    fn is_idle(&self) -> bool {
        self.recv.get() == Direction::Open
            && self.send.get() == Direction::Open
            && self.unread.borrow().is_empty()
            && self.socket.is_quiet()
    }
}

impl fmt::Debug for SimStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStream")
            .field("recv", &self.recv)
            .field("send", &self.send)
            .finish_non_exhaustive()
    }
}
