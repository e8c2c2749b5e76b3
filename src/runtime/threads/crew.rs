//! The crew: which threads there are, which of them are idle, and the acceptor that hands them connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::Socket;

use crate::runtime::{DrainSignal, Options};

/// How long the acceptor rests when the kernel gives it no descriptor or no thread.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// All threads of one `run`.
pub(super) struct Crew {
    desk: Mutex<Desk>,
    is_draining: AtomicBool,
    drain: DrainSignal,
    acceptor: Bell,
}

/// Who is there and who is free.
struct Desk {
    all: Vec<Arc<Mailbox>>,
    /// The most recently idle one is last, and the first to get work: the others stay asleep.
    idle: Vec<Arc<Mailbox>>,
    limit: usize,
    /// The acceptor waits for a thread to become idle.
    is_short: bool,
}

/// Where a thread gets its connections from.
pub(super) struct Mailbox {
    pub(super) bell: Bell,
    arrival: Mutex<Option<Arrival>>,
}

/// A connection that was accepted.
pub(super) struct Arrival {
    /// The listener's number.
    pub(super) listener: usize,
    pub(super) socket: OwnedFd,
    pub(super) peer: SocketAddr,
}

/// Wakes a thread out of its poll.
pub(super) struct Bell(OwnedFd);

impl Crew {
    pub(super) fn new(options: &Options) -> io::Result<Self> {
        let desk = Desk { all: vec![], idle: vec![], limit: options.connections.max(1), is_short: false };
        Ok(Self {
            desk: Mutex::new(desk),
            is_draining: AtomicBool::new(false),
            drain: options.drain.clone(),
            acceptor: Bell::new()?,
        })
    }

    /// Counts a thread in, before it starts; a signal to drain reaches it from here on.
    pub(super) fn enlist(&self) -> io::Result<Arc<Mailbox>> {
        let mailbox = Arc::new(Mailbox { bell: Bell::new()?, arrival: Mutex::default() });
        self.desk().all.push(mailbox.clone());
        Ok(mailbox)
    }

    /// Puts a thread on the list of those that wait for a connection.
    pub(super) fn list(&self, mailbox: Arc<Mailbox>) {
        let mut desk = self.desk();
        desk.idle.push(mailbox);
        if std::mem::take(&mut desk.is_short) {
            self.acceptor.ring();
        }
    }

    /// Takes a thread off that list: a connection that it was given before is in its mailbox.
    pub(super) fn strike(&self, mailbox: &Arc<Mailbox>) {
        self.desk().idle.retain(|other| !Arc::ptr_eq(other, mailbox));
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire) || self.drain.is_raised()
    }

    /// Tells every thread, and the acceptor.
    pub(super) fn drain(&self) {
        if !self.is_draining.swap(true, Ordering::AcqRel) {
            self.acceptor.ring();
            self.desk().all.iter().for_each(|mailbox| mailbox.bell.ring());
        }
    }

    /// What the acceptor does until drain: gives each connection to an idle thread, or to one that `hire` starts.
    ///
    /// # Errors
    /// What the kernel says when the first thread cannot be started, or when it refuses to poll.
    pub(super) fn accept<H>(&self, sockets: Vec<Socket>, mut hire: H) -> io::Result<()>
    where
        H: FnMut() -> io::Result<Arc<Mailbox>>,
    {
        sockets.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        self.list(hire()?);
        while !self.is_draining() {
            let open = if self.has_room() { &sockets[..] } else { &[] };
            for index in self.wait(open, None)? {
                let Some(mailbox) = self.find(&mut hire)? else { break };
                self.accept_for(mailbox, index, &sockets[index])?;
            }
        }
        Ok(())
    }

    /// Accepts a connection for a thread; where there is none to accept, the thread goes back on the list.
    fn accept_for(&self, mailbox: Arc<Mailbox>, listener: usize, socket: &Socket) -> io::Result<()> {
        match accept(listener, socket) {
            Ok(arrival) => mailbox.deliver(arrival),
            Err(error) => {
                self.list(mailbox);
                if !matches!(error, Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) {
                    self.wait(&[], Some(&PAUSE))?;
                }
            }
        }
        Ok(())
    }

    /// An idle thread, or a new one; none when all are busy, or when no more can be started just now.
    fn find(&self, hire: &mut impl FnMut() -> io::Result<Arc<Mailbox>>) -> io::Result<Option<Arc<Mailbox>>> {
        if !self.has_room() {
            return Ok(None);
        }
        let idle = self.desk().idle.pop();
        if idle.is_some() {
            return Ok(idle);
        }
        let before = self.desk().all.len();
        let hired = hire().ok();
        if hired.is_none() {
            self.desk().all.truncate(before);
            self.wait(&[], Some(&PAUSE))?;
        }
        Ok(hired)
    }

    fn has_room(&self) -> bool {
        let mut desk = self.desk();
        desk.is_short = desk.idle.is_empty() && desk.all.len() >= desk.limit;
        !desk.is_short
    }

    /// Waits for connections, a thread that became idle, or drain; returns the sockets that have connections.
    fn wait(&self, sockets: &[Socket], timeout: Option<&Timespec>) -> io::Result<Vec<usize>> {
        let mut fds =
            vec![PollFd::new(&self.drain, PollFlags::IN), PollFd::new(&self.acceptor, PollFlags::IN)];
        fds.extend(sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        if !fds[1].revents().is_empty() {
            self.acceptor.hush();
        }
        let ready = fds[2..].iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(index, _)| index).collect())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// The connection that was delivered, if it came in through this listener.
    pub(super) fn take(&self, listener: usize) -> Option<Arrival> {
        self.arrival().take_if(|arrival| arrival.listener == listener)
    }

    fn deliver(&self, arrival: Arrival) {
        *self.arrival() = Some(arrival);
        self.bell.ring();
    }

    fn arrival(&self) -> MutexGuard<'_, Option<Arrival>> {
        self.arrival.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    fn ring(&self) {
        // It fails only when the counter is full, and then the bell rings already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it silent until it is rung again.
    pub(super) fn hush(&self) {
        // It fails only when the bell is silent.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn accept(listener: usize, socket: &Socket) -> rustix::io::Result<Arrival> {
    let (socket, peer) = acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = SocketAddr::try_from(peer.ok_or(Errno::CONNABORTED)?)?;
    Ok(Arrival { listener, socket, peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()) })
}
