//! A connection as the proxy sees it.

use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::Core;
use super::conns::ConnId;
use super::relay;
use crate::runtime::peers::Counted;
use crate::runtime::{Batch, Buf, Relayed, Stream, stopped};

/// A connection of a [`super::Ring`].
pub struct RingStream {
    pub(super) core: Rc<Core>,
    pub(super) id: ConnId,
    /// A client's, which was accepted, is counted.
    _counted: Option<Counted>,
}

/// A wait with a deadline; what is not waited for any more has none.
pub(super) struct Wait<'a> {
    stream: &'a RingStream,
    side: Side,
}

#[derive(Clone, Copy)]
enum Side {
    Recv,
    Send,
}

impl RingStream {
    pub(super) fn new(core: Rc<Core>, socket: OwnedFd, counted: Option<Counted>) -> Self {
        let id = core.state.borrow_mut().adopt(socket);
        Self { core, id, _counted: counted }
    }

    /// Opens a connection.
    pub(super) async fn connect(core: Rc<Core>, to: SocketAddr, by: Instant) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        let stream = Self::new(core, socket.into(), None);
        let wait = stream.wait_to_send(by);
        stream.core.state.borrow_mut().start_connect(stream.id, to.into());
        let (_, outcome) = wait.sent().await;
        outcome?;
        drop(wait);
        Ok(stream)
    }

    /// A wait on the receiving side.
    pub(super) fn wait_to_recv(&self, by: Instant) -> Wait<'_> {
        self.core.state.borrow_mut().set_recv_deadline(self.id, by);
        Wait { stream: self, side: Side::Recv }
    }

    /// A wait on the sending side.
    pub(super) fn wait_to_send(&self, by: Instant) -> Wait<'_> {
        self.core.state.borrow_mut().set_send_deadline(self.id, by);
        Wait { stream: self, side: Side::Send }
    }

    fn poll_readable(&self) -> Poll<io::Result<()>> {
        let mut state = self.core.state.borrow_mut();
        if state.conns[self.id].recv.is_roused() {
            return Poll::Ready(Ok(()));
        }
        // What has come before the drain is still told of.
        if self.core.draining.get() && state.conns[self.id].recv.is_idle() != Some(false) {
            return Poll::Ready(Err(stopped()));
        }
        state.poll_bytes(self.id).map_ok(drop)
    }

    /// Whether the socket has neither bytes nor an end to tell of.
    fn is_silent(&self) -> bool {
        let state = self.core.state.borrow();
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        state.conns[self.id].socket().is_some_and(|socket| {
            rustix::net::recv(socket, &mut [0; 1], flags) == Err(rustix::io::Errno::AGAIN)
        })
    }
}

impl Wait<'_> {
    /// Ends when what was started to be sent is done, or has failed: bytes that the kernel took, and the outcome.
    pub(super) async fn sent(&self) -> (u64, io::Result<()>) {
        poll_fn(|_| self.stream.core.state.borrow_mut().poll_sent(self.stream.id)).await
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let conn = &mut self.stream.core.state.borrow_mut().conns[self.stream.id];
        match self.side {
            Side::Recv => conn.recv.unwait(),
            Side::Send => conn.send.unwait(),
        }
    }
}

impl Stream for RingStream {
    async fn readable(&self, by: Instant) -> io::Result<()> {
        let _wait = self.wait_to_recv(by);
        self.core.state.borrow_mut().conns[self.id].recv.settle_down();
        poll_fn(|_| self.poll_readable()).await
    }

    async fn recv(&self, by: Instant) -> io::Result<Option<Buf>> {
        let _wait = self.wait_to_recv(by);
        poll_fn(|_| self.core.state.borrow_mut().poll_recv(self.id)).await
    }

    fn recv_now(&self) -> Option<Buf> {
        self.core.state.borrow_mut().conns[self.id].recv.take_queued()
    }

    fn unrecv(&self, rest: Buf) {
        if !rest.is_empty() {
            self.core.state.borrow_mut().conns[self.id].recv.queue.push_front(rest);
        }
    }

    fn send(&self, batch: Batch, by: Instant) -> impl Future<Output = io::Result<()>> {
        // A block holds what it captures once, an `async fn` its arguments twice.
        let bufs = batch.into_bufs();
        async move {
            let wait = self.wait_to_send(by);
            // The send of a future that was dropped may still be going on.
            let _ = wait.sent().await;
            self.core.state.borrow_mut().start_send(self.id, bufs.into_iter());
            wait.sent().await.1
        }
    }

    async fn relay_to(&self, to: &Self, limit: u64, idle: Duration) -> Relayed {
        relay::relay(self, to, limit, idle).await
    }

    async fn shutdown_send(&self) -> io::Result<()> {
        let state = self.core.state.borrow();
        let conn = &state.conns[self.id];
        let socket = conn.socket().filter(|_| !conn.is_cut()).ok_or(io::ErrorKind::ConnectionAborted)?;
        SockRef::from(&socket).shutdown(Shutdown::Write)
    }

    fn recv_by(&self, by: Instant) {
        let mut state = self.core.state.borrow_mut();
        if state.conns[self.id].recv.is_waited_for() {
            state.set_recv_deadline(self.id, by);
        }
    }

    fn rouse(&self) {
        self.core.state.borrow_mut().rouse(self.id);
    }

    fn stop_recv(&self) {
        self.core.state.borrow_mut().stop_recv(self.id);
    }

    fn abort(&self) {
        self.core.state.borrow_mut().cut(self.id);
    }

    fn is_idle(&self) -> bool {
        let known = {
            let state = self.core.state.borrow();
            let conn = &state.conns[self.id];
            if conn.send.is_idle() { conn.recv.is_idle() } else { Some(false) }
        };
        known.unwrap_or_else(|| self.is_silent())
    }
}

impl Drop for RingStream {
    fn drop(&mut self) {
        self.core.state.borrow_mut().release(self.id);
    }
}
