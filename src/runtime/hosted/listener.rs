//! Accepting connections: wait through the engine until there are some, then take them with accept4(2).
//!
//! An accept of the engine's own could not be given up without losing the connection that it may just have got.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, accept_with, shutdown};
use socket2::{SockRef, Socket};

use super::Core;
use super::conn::Conn;
use super::engine::Engine;
use super::orders::Orders;
use super::stream::HostedStream;
use crate::runtime::executor::TaskId;
use crate::runtime::peers::{Arrival, Counted};
use crate::runtime::{Listener, backlog};

/// A socket that connections are accepted on.
pub struct HostedListener<E: Engine>(Rc<Door<E>>);

/// What a listener and its pump share.
pub(super) struct Door<E: Engine> {
    core: Rc<Core<E>>,
    /// Its number among the listeners of each worker.
    index: usize,
    /// Absent once a drain has emptied the backlog.
    socket: RefCell<Option<Socket>>,
    /// The same one, in the engine's hands.
    watched: E::Socket,
    orders: RefCell<Orders<()>>,
    /// Connections that are this worker's to serve.
    queue: RefCell<VecDeque<Accepted>>,
    /// Connections were seen to wait.
    is_ready: Cell<bool>,
    waiter: Cell<Option<TaskId>>,
}

/// A connection that is this worker's to serve.
type Accepted = (OwnedFd, Counted);

impl<E: Engine> HostedListener<E> {
    /// Takes in a listening socket.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) fn new(core: &Rc<Core<E>>, socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let watched = E::attach(OwnedFd::from(socket.try_clone()?))?;
        let mut doors = core.doors.borrow_mut();
        let door = Rc::new(Door {
            core: core.clone(),
            index: doors.len(),
            socket: RefCell::new(Some(socket)),
            watched,
            orders: RefCell::default(),
            queue: RefCell::default(),
            is_ready: Cell::new(false),
            waiter: Cell::new(None),
        });
        doors.push(Rc::downgrade(&door));
        core.start_pump(pump(door.clone()));
        Ok(Self(door))
    }
}

impl<E: Engine> Listener for HostedListener<E> {
    type Stream = HostedStream<E>;

    async fn accept(&self) -> io::Result<Option<(HostedStream<E>, SocketAddr)>> {
        while let Some((socket, counted)) = self.accept_one().await? {
            // A peer that has gone already has no address, and is of no interest.
            if let Some(peer) = peer_of(&socket) {
                let conn = Conn::start(&self.0.core, socket)?;
                return Ok(Some((HostedStream::new(conn, Some(counted)), peer)));
            }
        }
        Ok(None)
    }
}

impl<E: Engine> HostedListener<E> {
    async fn accept_one(&self) -> io::Result<Option<Accepted>> {
        let door = &self.0;
        loop {
            door.core.pace().await;
            if door.core.draining.get() {
                door.close_empty()?;
            }
            if let Some(accepted) = door.queue.borrow_mut().pop_front() {
                return Ok(Some(accepted));
            }
            if door.has_ended() {
                return Ok(None);
            }
            match door.accept() {
                Ok(None) => poll_fn(|_| door.poll_ready()).await,
                Ok(Some(socket)) => {
                    if let Some(accepted) = door.core.member.share(door.index, socket) {
                        return Ok(Some(accepted));
                    }
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<E: Engine> Drop for HostedListener<E> {
    fn drop(&mut self) {
        let door = &self.0;
        door.queue.borrow_mut().clear();
        door.socket.take();
        if door.orders.borrow_mut().close().0 {
            door.stop_listening();
        }
    }
}

impl<E: Engine> Door<E> {
    /// Whoever waits for a connection, who is then woken by the caller.
    pub(super) fn take_waiter(&self) -> Option<TaskId> {
        self.waiter.take()
    }

    /// A connection, if one waits.
    fn accept(&self) -> rustix::io::Result<Option<OwnedFd>> {
        let socket = self.socket.borrow();
        let Some(socket) = &*socket else { return Ok(None) };
        match accept_with(socket, flags::<E>()) {
            Ok(socket) => Ok(Some(socket)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// In a drain: takes in what waits in the backlog, and stops listening.
    fn close_empty(&self) -> io::Result<()> {
        let mut socket = self.socket.borrow_mut();
        if socket.is_none() {
            return Ok(());
        }
        let take = |socket| self.queue.borrow_mut().push_back((socket, self.core.member.keep()));
        backlog::empty_and_close(&mut socket, flags::<E>(), take)?;
        self.stop_listening();
        Ok(())
    }

    /// Closing this one is not enough: the engine holds the same socket, and may be waiting for it.
    fn stop_listening(&self) {
        // It fails only where it does not listen.
        let _ = shutdown(&self.watched, Shutdown::Both);
    }

    /// Whether nothing will come any more.
    fn has_ended(&self) -> bool {
        self.socket.borrow().is_none() && !self.core.member.expects()
    }

    fn poll_ready(&self) -> Poll<()> {
        let is_listening = self.socket.borrow().is_some();
        let is_news = !self.queue.borrow().is_empty() || self.has_ended();
        if is_news || is_listening && (self.is_ready.take() || self.core.draining.get()) {
            return Poll::Ready(());
        }
        let mut orders = self.orders.borrow_mut();
        if is_listening && !orders.is_busy() {
            orders.give(());
        }
        self.waiter.set(Some(self.core.executor.current()));
        Poll::Pending
    }
}

impl<E: Engine> Core<E> {
    /// Takes in what other workers have left in the inbox.
    pub(super) fn empty_inbox(&self) {
        self.member.hush();
        while let Some((Arrival { listener, socket }, counted)) = self.member.take() {
            if let Some(door) = self.doors.borrow().get(listener).and_then(Weak::upgrade)
                && !door.orders.borrow().is_closed()
            {
                door.queue.borrow_mut().push_back((socket, counted));
            }
        }
        // In a drain, every listener waits for what is under way to the worker as a whole.
        self.wake_accepts();
    }

    /// Has whoever waits for a connection look again.
    pub(super) fn wake_accepts(&self) {
        let doors = self.doors.borrow();
        doors.iter().filter_map(|door| door.upgrade()?.take_waiter()).for_each(|task| self.wake(task));
    }
}

fn flags<E: Engine>() -> SocketFlags {
    let flags = if E::IS_NONBLOCKING { SocketFlags::NONBLOCK } else { SocketFlags::empty() };
    flags | SocketFlags::CLOEXEC
}

fn peer_of(socket: &OwnedFd) -> Option<SocketAddr> {
    let peer = SockRef::from(socket).peer_addr().ok()?.as_socket()?;
    Some(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

async fn pump<E: Engine>(door: Rc<Door<E>>) {
    while poll_fn(|cx| door.orders.borrow_mut().poll_next(cx)).await.is_some() {
        // What is wrong with the socket is told by the accept that follows.
        let _ = E::readable(&door.watched).await;
        door.orders.borrow_mut().done();
        door.is_ready.set(true);
        if let Some(task) = door.waiter.take() {
            door.core.wake(task);
        }
    }
}
