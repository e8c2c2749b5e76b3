//! A connection: each operation tries its system call and waits for the socket when it would block.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, Shutdown, sockopt};
use smallvec::SmallVec;

use super::Threads;
use super::turn::{On, Rouse};
use crate::runtime::buf::skip;
use crate::runtime::{self, Batch, Buf, RelayEnd, Relayed, stopped};

/// Pieces handed to the kernel in one call.
const PIECES: usize = 64;

/// A connection, read without any reading ahead. Its state is kept aside, so that a task that holds one stays small.
pub struct Stream(Box<State>);

/// The state of a [`Stream`].
pub struct State {
    threads: Threads,
    /// Absent when the connection was cut.
    socket: RefCell<Option<Rc<OwnedFd>>>,
    /// Bytes given back; the last are lent first.
    returned: RefCell<Vec<Buf>>,
    is_stopped: Cell<bool>,
    /// Of the receive that is pending, if one is.
    recv_deadline: Cell<Instant>,
    is_shut: Cell<bool>,
    /// Why nothing more can be received.
    recv_end: Cell<Option<Errno>>,
    /// Why nothing more can be sent.
    send_end: Cell<Option<Errno>>,
    /// What sending learned of the end of the whole connection. The kernel tells of a reset only once, and receiving
    /// would then see an orderly end after the last bytes.
    broken: Cell<Option<Errno>>,
}

impl Deref for Stream {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Stream {
    pub(super) fn new(threads: Threads, socket: Rc<OwnedFd>) -> Self {
        Self(Box::new(State {
            recv_deadline: Cell::new(threads.0.now()),
            threads,
            socket: RefCell::new(Some(socket)),
            returned: RefCell::default(),
            is_stopped: Cell::new(false),
            is_shut: Cell::new(false),
            recv_end: Cell::new(None),
            send_end: Cell::new(None),
            broken: Cell::new(None),
        }))
    }

    fn socket(&self) -> io::Result<Rc<OwnedFd>> {
        self.socket.borrow().clone().ok_or_else(|| Errno::CONNABORTED.into())
    }

    fn end_recv(&self, error: Errno) -> io::Error {
        self.recv_end.set(Some(error));
        error.into()
    }

    /// `EPIPE` says nothing about what may still be received.
    fn end_send(&self, error: Errno) -> io::Error {
        self.send_end.set(Some(error));
        if error != Errno::PIPE {
            self.broken.set(Some(error));
        }
        error.into()
    }

    /// The socket, if there may still be bytes to come.
    fn open_for_recv(&self) -> io::Result<Rc<OwnedFd>> {
        if self.is_stopped.get() {
            return Err(stopped());
        }
        let socket = self.socket()?;
        self.recv_end.get().map_or(Ok(socket), |error| Err(error.into()))
    }

    /// Receives what there is, or says what to wait for.
    fn try_recv(&self, socket: Rc<OwnedFd>) -> io::Result<Result<Option<Buf>, On>> {
        let Some(mut buf) = self.threads.0.pool().take_for_recv() else { return Ok(Err(On::Buf(socket))) };
        match rustix::io::retry_on_intr(|| net::recv(&socket, buf.unwritten(), RecvFlags::empty())) {
            Ok((0, _)) => self.broken.get().map_or(Ok(Ok(None)), |error| Err(self.end_recv(error))),
            Ok((count, _)) => {
                buf.wrote(count);
                Ok(Ok(Some(buf.freeze())))
            }
            Err(Errno::AGAIN) => Ok(Err(On::Socket(socket, PollFlags::IN))),
            Err(error) => Err(self.end_recv(error)),
        }
    }

    /// Sends some of the bytes, at least one, and says how many.
    async fn send_some(&self, bufs: &[Buf], by: Instant) -> io::Result<usize> {
        self.threads.0.pace().await;
        loop {
            let socket = self.socket()?;
            match rustix::io::retry_on_intr(|| send_pieces(&socket, bufs)) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(self.end_send(error)),
            }
            if let Err(late) = self.threads.0.wait(On::Socket(socket, PollFlags::OUT), Some(by)).await {
                self.send_end.set(Some(late));
                return Err(late.into());
            }
        }
    }

    /// Asks the kernel for the error that it has for a socket; bytes that came before it are still to be received.
    fn check_recv(&self) -> io::Result<()> {
        match net::recv(&self.open_for_recv()?, &mut [0; 1], RecvFlags::PEEK) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(self.end_recv(error)),
        }
    }

    fn check_send(&self) -> io::Result<()> {
        self.send_end.get().map_or(Ok(()), |error| Err(error.into()))
    }

    fn after(&self, idle: Duration) -> Instant {
        self.threads.0.now() + idle
    }

    /// Sends a whole buf, counting every byte that the kernel takes.
    async fn send_counted(&self, buf: &mut Buf, idle: Duration, bytes: &mut u64) -> io::Result<()> {
        self.check_send()?;
        while !buf.is_empty() {
            let count = self.send_some(std::slice::from_ref(buf), self.after(idle)).await?;
            buf.advance(count);
            *bytes += count as u64;
        }
        Ok(())
    }
}

impl runtime::Stream for Stream {
    async fn readable(&self, by: Instant) -> io::Result<()> {
        self.recv_deadline.set(by);
        let mut is_ready = false;
        loop {
            let socket = self.open_for_recv()?;
            if is_ready || !self.returned.borrow().is_empty() {
                return Ok(());
            }
            if self.threads.0.crew().is_draining() {
                return Err(stopped());
            }
            let waited = self.threads.0.wait(On::Readable(socket), Some(self.recv_deadline.get())).await;
            match waited {
                Ok(()) => {}
                Err(late @ Errno::TIMEDOUT) => return Err(self.end_recv(late)),
                Err(_) => return self.check_recv(),
            }
            // Drain ends the wait too.
            is_ready = !self.threads.0.crew().is_draining();
        }
    }

    async fn recv(&self, by: Instant) -> io::Result<Option<Buf>> {
        self.recv_deadline.set(by);
        self.threads.0.pace().await;
        loop {
            let socket = self.open_for_recv()?;
            if let Some(buf) = self.returned.borrow_mut().pop() {
                return Ok(Some(buf));
            }
            match self.try_recv(socket)? {
                Ok(received) => return Ok(received),
                Err(on) => {
                    let waited = self.threads.0.wait(on, Some(self.recv_deadline.get())).await;
                    waited.map_err(|late| self.end_recv(late))?;
                }
            }
        }
    }

    fn recv_now(&self) -> Option<Buf> {
        let socket = self.open_for_recv().ok()?;
        let returned = self.returned.borrow_mut().pop();
        returned.or_else(|| self.try_recv(socket).ok()?.ok()?)
    }

    fn unrecv(&self, rest: Buf) {
        if !rest.is_empty() {
            self.returned.borrow_mut().push(rest);
        }
    }

    fn send(&self, batch: Batch, by: Instant) -> impl Future<Output = io::Result<()>> {
        // A block holds what it captures once, an `async fn` its arguments twice.
        let mut bufs = batch.into_bufs();
        async move {
            self.check_send()?;
            while !bufs.is_empty() {
                let count = self.send_some(&bufs, by).await?;
                skip(&mut bufs, count);
                // Nothing may follow half a batch: should the future be dropped now, the direction is at its end.
                self.send_end.set((!bufs.is_empty()).then_some(Errno::CANCELED));
            }
            Ok(())
        }
    }

    async fn relay_to(&self, to: &Self, limit: u64, idle: Duration) -> Relayed {
        let mut bytes = 0;
        while bytes < limit {
            let mut buf = match self.recv(self.after(idle)).await {
                Ok(Some(buf)) => buf,
                Ok(None) => return Relayed { bytes, end: RelayEnd::Eof },
                Err(error) => return Relayed { bytes, end: RelayEnd::RecvFailed(error) },
            };
            self.unrecv(buf.split_off(usize::try_from(limit - bytes).unwrap_or(usize::MAX)));
            if let Err(error) = to.send_counted(&mut buf, idle, &mut bytes).await {
                self.unrecv(buf);
                return Relayed { bytes, end: RelayEnd::SendFailed(error) };
            }
        }
        Relayed { bytes, end: RelayEnd::Limit }
    }

    async fn shutdown_send(&self) -> io::Result<()> {
        self.is_shut.set(true);
        Ok(net::shutdown(&self.socket()?, Shutdown::Write)?)
    }

    fn recv_by(&self, by: Instant) {
        self.recv_deadline.set(by);
        if let Some(socket) = &*self.socket.borrow() {
            self.threads.0.postpone_recv(socket, by);
        }
    }

    fn rouse(&self) {
        if let Some(socket) = &*self.socket.borrow() {
            self.threads.0.rouse(socket, Rouse::Recv);
        }
    }

    fn stop_recv(&self) {
        self.is_stopped.set(true);
        if let Ok(socket) = self.socket() {
            self.threads.0.rouse(&socket, Rouse::Recv);
        }
    }

    fn abort(&self) {
        let Some(socket) = self.socket.take() else { return };
        // Closing then sends RST and forgets what was not sent yet. It cannot fail on a TCP socket.
        let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
        self.returned.borrow_mut().clear();
        self.threads.0.rouse(&socket, Rouse::All);
    }

    fn is_idle(&self) -> bool {
        let is_open = !self.is_stopped.get() && !self.is_shut.get() && self.send_end.get().is_none();
        let (true, true, Ok(socket)) = (is_open, self.returned.borrow().is_empty(), self.open_for_recv())
        else {
            return false;
        };
        match net::recv(&socket, &mut [0; 1], RecvFlags::PEEK) {
            Err(Errno::AGAIN) => true,
            Err(error) => {
                self.end_recv(error);
                false
            }
            Ok(_) => false,
        }
    }
}

/// One `sendmsg(2)`; without SIGPIPE.
fn send_pieces(socket: &OwnedFd, bufs: &[Buf]) -> rustix::io::Result<usize> {
    let pieces: SmallVec<[IoSlice<'_>; 4]> = bufs.iter().take(PIECES).map(|buf| IoSlice::new(buf)).collect();
    net::sendmsg(socket, &pieces, &mut net::SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
}
