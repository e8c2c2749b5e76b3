//! A connection as the proxy sees it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socket_with, sockopt};

use super::Core;
use super::conn::Conn;
use super::conns::Side;
use super::engine::Engine;
use super::relay;
use super::send::Order;
use crate::runtime::peers::Counted;
use crate::runtime::{Batch, Buf, Relayed, Stream, stopped};

/// A connection of a [`super::Hosted`].
pub struct HostedStream<E: Engine> {
    pub(super) conn: Rc<Conn<E>>,
    /// A client's, which was accepted, is counted.
    _counted: Option<Counted>,
}

/// A wait with a deadline; what is not waited for any more has none.
pub(super) struct Wait<'a, E: Engine> {
    conn: &'a Conn<E>,
    side: Side,
}

impl<E: Engine> HostedStream<E> {
    pub(super) fn new(conn: Rc<Conn<E>>, counted: Option<Counted>) -> Self {
        Self { conn, _counted: counted }
    }

    /// Opens a connection.
    pub(super) async fn connect(core: &Rc<Core<E>>, to: SocketAddr, by: Instant) -> io::Result<Self> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let is_pending = match rustix::net::connect(&socket, &to) {
            Ok(()) => false,
            Err(Errno::INPROGRESS | Errno::INTR) => true,
            Err(error) => return Err(error.into()),
        };
        let stream = Self::new(Conn::start(core, socket)?, None);
        if is_pending {
            let _wait = stream.wait(Side::Send, by);
            stream.conn.order_send(Order::Wait);
            poll_fn(|_| stream.conn.poll_sent()).await?;
            sockopt::socket_error(&stream.conn.socket)??;
        }
        if !E::IS_NONBLOCKING {
            rustix::io::ioctl_fionbio(&stream.conn.socket, false)?;
        }
        Ok(stream)
    }

    /// A wait on one of the sides.
    pub(super) fn wait(&self, side: Side, by: Instant) -> Wait<'_, E> {
        self.conn.core.conns.borrow_mut().set_deadline(self.conn.id, side, by);
        Wait { conn: &self.conn, side }
    }

    fn poll_readable(&self) -> Poll<io::Result<()>> {
        let is_quiet = {
            let side = self.conn.recv.borrow();
            if side.is_roused {
                return Poll::Ready(Ok(()));
            }
            side.is_quiet() && !side.is_ready
        };
        // What has come before the drain is still told of.
        if is_quiet && self.conn.core.draining.get() {
            return Poll::Ready(Err(stopped()));
        }
        self.conn.poll_bytes()
    }
}

impl<E: Engine> Drop for Wait<'_, E> {
    fn drop(&mut self) {
        match self.side {
            Side::Recv => drop(self.conn.recv.borrow_mut().take_waiter()),
            Side::Send => self.conn.send.borrow_mut().unwait(),
        }
        self.conn.core.conns.borrow_mut().clear_deadline(self.conn.id, self.side);
    }
}

impl<E: Engine> Stream for HostedStream<E> {
    async fn readable(&self, by: Instant) -> io::Result<()> {
        let _wait = self.wait(Side::Recv, by);
        self.conn.recv.borrow_mut().is_roused = false;
        poll_fn(|_| self.poll_readable()).await
    }

    async fn recv(&self, by: Instant) -> io::Result<Option<Buf>> {
        let _wait = self.wait(Side::Recv, by);
        poll_fn(|_| self.conn.poll_recv()).await
    }

    fn recv_now(&self) -> Option<Buf> {
        let mut side = self.conn.recv.borrow_mut();
        side.refuse().ok()?;
        side.queue.pop()
    }

    fn unrecv(&self, rest: Buf) {
        if !rest.is_empty() {
            self.conn.recv.borrow_mut().queue.push(rest);
        }
    }

    fn send(&self, batch: Batch, by: Instant) -> impl Future<Output = io::Result<()>> {
        // A block holds what it captures once, an `async fn` its arguments twice.
        let mut bufs = batch.into_bufs();
        async move {
            let _wait = self.wait(Side::Send, by);
            poll_fn(|_| self.conn.poll_free()).await?;
            while !bufs.is_empty() {
                self.conn.order_send(Order::Send(std::mem::take(&mut bufs)));
                (_, bufs) = poll_fn(|_| self.conn.poll_sent()).await?;
            }
            Ok(())
        }
    }

    async fn relay_to(&self, to: &Self, limit: u64, idle: Duration) -> Relayed {
        relay::relay(self, to, limit, idle).await
    }

    async fn shutdown_send(&self) -> io::Result<()> {
        if self.conn.is_cut() {
            return Err(Errno::CONNABORTED.into());
        }
        self.conn.send.borrow_mut().is_shut = true;
        Ok(shutdown(&self.conn.socket, Shutdown::Write)?)
    }

    fn recv_by(&self, by: Instant) {
        let mut conns = self.conn.core.conns.borrow_mut();
        if conns.is_waited_for(self.conn.id, Side::Recv) {
            conns.set_deadline(self.conn.id, Side::Recv, by);
        }
    }

    fn rouse(&self) {
        let mut side = self.conn.recv.borrow_mut();
        side.is_roused = true;
        self.conn.wake(side.take_waiter());
    }

    fn stop_recv(&self) {
        self.conn.wake(self.conn.recv.borrow_mut().stop());
    }

    fn abort(&self) {
        self.conn.cut();
    }

    fn is_idle(&self) -> bool {
        let is_quiet = self.conn.recv.borrow().is_quiet() && self.conn.send.borrow().is_idle();
        is_quiet && self.conn.is_silent()
    }
}

impl<E: Engine> Drop for HostedStream<E> {
    fn drop(&mut self) {
        self.conn.leave();
    }
}
