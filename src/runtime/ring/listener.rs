//! Accepting connections: multishot while somebody asks for them, from a bounded queue.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::Poll;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use rustix::net::SocketFlags;
use socket2::{SockRef, Socket};

use super::Core;
use super::ops::{Completion, Key, Kind, Ticket};
use super::state::State;
use super::stream::RingStream;
use crate::runtime::executor::TaskId;
use crate::runtime::peers::Counted;
use crate::runtime::{Listener, backlog};

/// Accepted connections that may wait for their `accept` before the kernel is told to stop.
const QUEUE: usize = 256;

/// A socket that connections are accepted on.
pub struct RingListener {
    core: Rc<Core>,
    index: u32,
}

/// The listeners of one loop; they are few and never forgotten.
#[derive(Default)]
pub(super) struct Listeners(Vec<Door>);

/// A connection that is this worker's to serve.
pub(super) struct Accepted {
    pub(super) socket: OwnedFd,
    pub(super) counted: Counted,
}

/// One listener.
struct Door {
    /// Absent once it is closed.
    socket: Option<Socket>,
    /// Accepted, and not handed out yet.
    queue: VecDeque<Accepted>,
    /// Handed out once.
    error: Option<i32>,
    is_armed: bool,
    is_cancelling: bool,
    /// Operations and cancellations in flight.
    in_flight: u32,
    /// Its listener is gone.
    is_closed: bool,
    waiter: Option<TaskId>,
}

impl RingListener {
    pub(super) fn new(core: Rc<Core>, socket: Socket) -> Self {
        let index = core.state.borrow_mut().listeners.insert(socket);
        Self { core, index }
    }

    async fn accept_one(&self) -> io::Result<Option<Accepted>> {
        std::future::poll_fn(|_| {
            self.core.state.borrow_mut().poll_accept(self.index, self.core.draining.get())
        })
        .await
    }
}

impl Listener for RingListener {
    type Stream = RingStream;

    async fn accept(&self) -> io::Result<Option<(RingStream, SocketAddr)>> {
        while let Some(Accepted { socket, counted }) = self.accept_one().await? {
            // A peer that has gone already has no address, and is of no interest.
            if let Some(peer) = peer_of(&socket) {
                return Ok(Some((RingStream::new(self.core.clone(), socket, Some(counted)), peer)));
            }
        }
        Ok(None)
    }
}

impl Drop for RingListener {
    fn drop(&mut self) {
        self.core.state.borrow_mut().close_listener(self.index);
    }
}

fn peer_of(socket: &OwnedFd) -> Option<SocketAddr> {
    let peer = SockRef::from(socket).peer_addr().ok()?.as_socket()?;
    Some(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

impl Listeners {
    fn insert(&mut self, socket: Socket) -> u32 {
        self.0.push(Door {
            socket: Some(socket),
            queue: VecDeque::new(),
            error: None,
            is_armed: false,
            is_cancelling: false,
            in_flight: 0,
            is_closed: false,
            waiter: None,
        });
        self.0.len() as u32 - 1
    }

    /// Whoever waits for a connection.
    pub(super) fn waiters(&mut self) -> impl Iterator<Item = TaskId> + '_ {
        self.0.iter_mut().filter_map(|door| door.waiter.take())
    }

    fn door(&mut self, index: u32) -> &mut Door {
        &mut self.0[index as usize]
    }
}

impl State {
    fn poll_accept(&mut self, index: u32, is_draining: bool) -> Poll<io::Result<Option<Accepted>>> {
        if is_draining {
            self.close_empty(index);
        }
        let door = self.listeners.door(index);
        if let Some(accepted) = door.queue.pop_front() {
            return Poll::Ready(Ok(Some(accepted)));
        }
        if let Some(error) = door.error.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(error)));
        }
        if door.socket.is_none() && !self.member.expects() && self.hand_overs.is_empty() {
            return Poll::Ready(Ok(None));
        }
        match (is_draining, door.is_armed) {
            (true, true) => self.cancel_accept(index),
            (false, false) => self.arm_accept(index),
            // What is under way to this worker, or has not left it, wakes the task when it has come, or when it will not.
            (true, false) | (false, true) => {}
        }
        self.listeners.door(index).waiter = Some(self.executor.current());
        Poll::Pending
    }

    /// Takes in what waits in the backlog, and closes the listening socket, once the kernel accepts nothing by itself.
    fn close_empty(&mut self, index: u32) {
        let door = self.listeners.door(index);
        if door.in_flight > 0 || door.error.is_some() {
            return;
        }
        let member = &self.member;
        let queue = &mut door.queue;
        let take = |socket| queue.push_back(Accepted { socket, counted: member.keep() });
        if let Err(short) = backlog::empty_and_close(&mut door.socket, SocketFlags::CLOEXEC, take) {
            door.error = short.raw_os_error();
        }
    }

    /// Takes in a connection that this worker is to serve.
    pub(super) fn admit(&mut self, index: u32, accepted: Accepted) {
        let Some(door) = self.listeners.0.get_mut(index as usize).filter(|door| !door.is_closed) else {
            return;
        };
        door.queue.push_back(accepted);
        if let Some(task) = door.waiter.take() {
            self.executor.wake(task);
        }
        self.wake_last_accepts();
    }

    /// In a drain, every listener waits for what is under way to the worker as a whole.
    pub(super) fn wake_last_accepts(&mut self) {
        if self.member.is_closed() {
            for task in self.listeners.waiters() {
                self.executor.wake(task);
            }
        }
    }

    /// An accept or its cancellation has completed.
    pub(super) fn on_listener(&mut self, completion: Completion) {
        let index = completion.ticket.key.index;
        let door = self.listeners.door(index);
        if !completion.is_more() {
            door.in_flight -= 1;
        }
        match completion.ticket.kind {
            Kind::Accept => self.on_accept(index, completion),
            _ if completion.result < 0 && std::mem::take(&mut door.is_cancelling) && door.is_armed => {
                self.cancel_accept(index);
            }
            _ => {}
        }
        self.wake_last_accepts();
        self.settle_listener(index);
    }

    fn on_accept(&mut self, index: u32, completion: Completion) {
        let door = self.listeners.door(index);
        if !completion.is_more() {
            (door.is_armed, door.is_cancelling) = (false, false);
        }
        match completion.result {
            #[expect(unsafe_code, reason = "the kernel hands out a bare number")]
            // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows it.
            descriptor @ 0.. => self.welcome(index, unsafe { OwnedFd::from_raw_fd(descriptor) }),
            result if is_passing(-result) => {}
            result => door.error = Some(-result),
        }
        let door = self.listeners.door(index);
        if let Some(task) = door.waiter.take() {
            self.executor.wake(task);
        }
        if door.queue.len() >= QUEUE {
            self.cancel_accept(index);
        }
    }

    fn arm_accept(&mut self, index: u32) {
        let door = self.listeners.door(index);
        let Some(socket) = &door.socket else { return };
        let entry = accept_entry(Fd(socket.as_raw_fd()), self.abilities.multishot_accept);
        door.is_armed = true;
        door.in_flight += 1;
        #[expect(unsafe_code, reason = "see Kernel::push")]
        // SAFETY: the entry points to no memory: the peer's address is not asked for.
        unsafe {
            self.kernel.push(entry, ticket(index, Kind::Accept));
        }
    }

    fn cancel_accept(&mut self, index: u32) {
        let door = self.listeners.door(index);
        if door.is_armed && !std::mem::replace(&mut door.is_cancelling, true) {
            door.in_flight += 1;
            self.kernel.cancel(ticket(index, Kind::Accept), ticket(index, Kind::CancelAccept));
        }
    }

    fn close_listener(&mut self, index: u32) {
        let door = self.listeners.door(index);
        door.waiter = None;
        door.is_closed = true;
        self.cancel_accept(index);
        self.settle_listener(index);
    }

    fn settle_listener(&mut self, index: u32) {
        let door = self.listeners.door(index);
        if door.is_closed {
            door.queue.clear();
        }
        if door.is_closed && door.in_flight == 0 {
            door.socket = None;
        }
    }
}

fn ticket(index: u32, kind: Kind) -> Ticket {
    Ticket { kind, key: Key { index, generation: 0 } }
}

fn accept_entry(socket: Fd, is_multishot: bool) -> squeue::Entry {
    if is_multishot {
        return opcode::AcceptMulti::new(socket).flags(libc::SOCK_CLOEXEC).build();
    }
    let nobody = std::ptr::null_mut();
    opcode::Accept::new(socket, nobody, nobody.cast()).flags(libc::SOCK_CLOEXEC).build()
}

/// Errors that say nothing of the listener.
fn is_passing(error: i32) -> bool {
    matches!(error, libc::ECANCELED | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN)
}
