//! Accepting connections: wait through the engine until there are some, then take them with accept4(2).
//!
//! An accept of the engine's own could not be given up without losing the connection that it may just have got.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, acceptfrom_with, shutdown};
use socket2::Socket;

use super::Core;
use super::conn::Conn;
use super::engine::Engine;
use super::orders::Orders;
use super::stream::HostedStream;
use crate::runtime::Listener;
use crate::runtime::executor::TaskId;

/// A socket that connections are accepted on.
pub struct HostedListener<E: Engine>(Rc<Door<E>>);

/// What a listener and its pump share.
pub(super) struct Door<E: Engine> {
    core: Rc<Core<E>>,
    socket: E::Socket,
    orders: RefCell<Orders<()>>,
    /// Connections were seen to wait.
    is_ready: Cell<bool>,
    waiter: Cell<Option<TaskId>>,
}

impl<E: Engine> HostedListener<E> {
    /// Takes in a listening socket.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) fn new(core: &Rc<Core<E>>, socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let door = Rc::new(Door {
            core: core.clone(),
            socket: E::attach(OwnedFd::from(socket))?,
            orders: RefCell::default(),
            is_ready: Cell::new(false),
            waiter: Cell::new(None),
        });
        core.doors.borrow_mut().push(Rc::downgrade(&door));
        core.start_pump(pump(door.clone()));
        Ok(Self(door))
    }
}

impl<E: Engine> Listener for HostedListener<E> {
    type Stream = HostedStream<E>;

    async fn accept(&self) -> io::Result<Option<(HostedStream<E>, SocketAddr)>> {
        let door = &self.0;
        loop {
            door.core.pace().await;
            // Looked at before the last accept: what waits in the backlog by then is still served.
            let is_last = door.core.draining.get();
            match door.accept() {
                Ok(None) if is_last => return Ok(None),
                Ok(None) => poll_fn(|_| door.poll_ready()).await,
                Ok(Some((socket, peer))) => {
                    return Ok(Some((HostedStream(Conn::start(&door.core, socket)?), peer)));
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<E: Engine> Drop for HostedListener<E> {
    fn drop(&mut self) {
        if self.0.orders.borrow_mut().close().0 {
            // It stops listening, which ends the wait; the socket is nobody else's.
            let _ = shutdown(&self.0.socket, Shutdown::Both);
        }
    }
}

impl<E: Engine> Door<E> {
    /// Whoever waits for a connection, who is then woken by the caller.
    pub(super) fn take_waiter(&self) -> Option<TaskId> {
        self.waiter.take()
    }

    /// A connection, if one waits.
    fn accept(&self) -> rustix::io::Result<Option<(OwnedFd, SocketAddr)>> {
        let flags = if E::IS_NONBLOCKING { SocketFlags::NONBLOCK } else { SocketFlags::empty() };
        match acceptfrom_with(&self.socket, flags | SocketFlags::CLOEXEC) {
            Ok((socket, peer)) => {
                let peer = SocketAddr::try_from(peer.ok_or(Errno::CONNABORTED)?)?;
                Ok(Some((socket, SocketAddr::new(peer.ip().to_canonical(), peer.port()))))
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn poll_ready(&self) -> Poll<()> {
        if self.is_ready.take() || self.core.draining.get() {
            return Poll::Ready(());
        }
        let mut orders = self.orders.borrow_mut();
        if !orders.is_busy() {
            orders.give(());
        }
        self.waiter.set(Some(self.core.executor.current()));
        Poll::Pending
    }
}

async fn pump<E: Engine>(door: Rc<Door<E>>) {
    while poll_fn(|cx| door.orders.borrow_mut().poll_next(cx)).await.is_some() {
        // What is wrong with the socket is told by the accept that follows.
        let _ = E::readable(&door.socket).await;
        door.orders.borrow_mut().done();
        door.is_ready.set(true);
        if let Some(task) = door.waiter.take() {
            door.core.wake(task);
        }
    }
}
