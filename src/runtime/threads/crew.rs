//! The crew: which threads there are, which of them are idle, and the acceptor that hands them connections.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, getpeername};
use rustix::process::{Resource, getrlimit};
use socket2::Socket;

use crate::runtime::{DrainSignal, Options, backlog};

/// How an accepted socket is.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
/// How long the acceptor rests when the kernel gives it no descriptor or no thread.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Descriptors of a thread, and those of the rest of the process.
const EACH: usize = 3;
const KEPT: usize = 64;

/// All threads of one `run`.
pub(super) struct Crew {
    desk: Mutex<Desk>,
    is_draining: AtomicBool,
    /// A thread's `main` has ended while its connection was still served: the drain is out of time.
    is_late: AtomicBool,
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

/// Threads that the descriptors allow: each has a bell of its own, a client and a backend. The clients beyond wait in the
/// backlog.
fn affordable(connections: usize) -> usize {
    let allowed = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |allowed| allowed as usize);
    connections.min(allowed.saturating_sub(KEPT) / EACH).max(1)
}

impl Crew {
    pub(super) fn new(options: &Options) -> io::Result<Self> {
        let desk =
            Desk { all: vec![], idle: vec![], limit: affordable(options.connections), is_short: false };
        Ok(Self {
            desk: Mutex::new(desk),
            is_draining: AtomicBool::new(false),
            is_late: AtomicBool::new(false),
            drain: options.drain.clone(),
            acceptor: Bell::new()?,
        })
    }

    /// Counts a thread in, before it starts; a signal to drain reaches it from here on.
    fn enlist(&self) -> io::Result<Arc<Mailbox>> {
        let mailbox = Arc::new(Mailbox { bell: Bell::new()?, arrival: Mutex::default() });
        self.desk().all.push(mailbox.clone());
        Ok(mailbox)
    }

    /// Counts a thread out; one that leaves before a drain begins one. `is_late` says that its connection was still
    /// served.
    pub(super) fn leave(&self, mailbox: &Arc<Mailbox>, is_late: bool) {
        self.is_late.fetch_or(is_late, Ordering::AcqRel);
        self.drain();
        self.desk().all.retain(|other| !Arc::ptr_eq(other, mailbox));
        self.acceptor.ring();
    }

    /// Puts a thread on the list of those that wait for a connection.
    pub(super) fn list(&self, mailbox: Arc<Mailbox>) {
        let mut desk = self.desk();
        desk.idle.push(mailbox);
        if std::mem::take(&mut desk.is_short) {
            self.acceptor.ring();
        }
    }

    /// Takes a thread off that list; false when it was not there.
    pub(super) fn strike(&self, mailbox: &Arc<Mailbox>) -> bool {
        let mut desk = self.desk();
        let before = desk.idle.len();
        desk.idle.retain(|other| !Arc::ptr_eq(other, mailbox));
        desk.idle.len() < before
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

    /// What the acceptor does until drain: gives each connection to an idle thread, or to one that `hire` starts. When
    /// drain begins it takes what waits in the backlog, closes the sockets, and gives each of those to a thread too.
    ///
    /// # Errors
    /// What the kernel says when the first thread cannot be started, or when it refuses to poll.
    pub(super) fn accept<H>(&self, mut sockets: Vec<Socket>, mut hire: H) -> io::Result<()>
    where
        H: FnMut(Arc<Mailbox>) -> io::Result<()>,
    {
        sockets.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        self.list(self.hire(&mut hire)?);
        while !self.is_draining() {
            let open = if self.has_room() { &sockets[..] } else { &[] };
            for index in self.wait(open)? {
                let Some(mailbox) = self.find(&mut hire)? else { break };
                self.accept_for(mailbox, index, &sockets[index])?;
            }
        }
        self.drain();
        self.serve_backlog(sockets.drain(..), &mut hire)
    }

    /// The threads that there are leave when their connections are over, so those that waited get new ones, as many at a
    /// time as may be. When the drain is out of time those that still wait are let go.
    fn serve_backlog<H>(&self, sockets: impl Iterator<Item = Socket>, hire: &mut H) -> io::Result<()>
    where
        H: FnMut(Arc<Mailbox>) -> io::Result<()>,
    {
        let mut waiting = VecDeque::new();
        for (listener, socket) in sockets.enumerate() {
            let mut socket = Some(socket);
            while socket.is_some() && !self.is_late() {
                let take = |socket| waiting.extend(Arrival::new(listener, socket));
                if backlog::empty_and_close(&mut socket, FLAGS, take).is_err() {
                    // Descriptors have run out: those that are served here set some free.
                    self.serve_some(&mut waiting, hire);
                    self.rest()?;
                }
            }
        }
        while !waiting.is_empty() && !self.is_late() {
            if !self.serve_some(&mut waiting, hire) {
                self.rest()?;
            }
        }
        Ok(())
    }

    /// Gives as many of them as possible to new threads; whether that was at least one.
    fn serve_some<H>(&self, waiting: &mut VecDeque<Arrival>, hire: &mut H) -> bool
    where
        H: FnMut(Arc<Mailbox>) -> io::Result<()>,
    {
        let before = waiting.len();
        while !waiting.is_empty() && self.has_place() {
            let Ok(mailbox) = self.enlist() else { break };
            *mailbox.arrival() = waiting.pop_front();
            if hire(mailbox.clone()).is_err() {
                self.forget(&mailbox);
                waiting.extend(mailbox.arrival().take());
                break;
            }
        }
        waiting.len() < before
    }

    /// Accepts a connection for a thread; where there is none to accept, the thread goes back on the list.
    fn accept_for(&self, mailbox: Arc<Mailbox>, listener: usize, socket: &Socket) -> io::Result<()> {
        match accept(listener, socket) {
            Ok(arrival) => mailbox.deliver(arrival),
            Err(error) => {
                self.list(mailbox.clone());
                if self.is_draining() {
                    // It may wait to hear whether there is something for it.
                    mailbox.bell.ring();
                }
                if !matches!(error, Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) {
                    self.rest()?;
                }
            }
        }
        Ok(())
    }

    /// An idle thread, or a new one; none when all are busy, or when no more can be started just now.
    fn find<H>(&self, hire: &mut H) -> io::Result<Option<Arc<Mailbox>>>
    where
        H: FnMut(Arc<Mailbox>) -> io::Result<()>,
    {
        if !self.has_room() {
            return Ok(None);
        }
        let idle = self.desk().idle.pop();
        if idle.is_some() {
            return Ok(idle);
        }
        let hired = self.hire(hire).ok();
        if hired.is_none() {
            self.rest()?;
        }
        Ok(hired)
    }

    /// Starts a thread.
    fn hire<H>(&self, hire: &mut H) -> io::Result<Arc<Mailbox>>
    where
        H: FnMut(Arc<Mailbox>) -> io::Result<()>,
    {
        let mailbox = self.enlist()?;
        hire(mailbox.clone()).inspect_err(|_| self.forget(&mailbox))?;
        Ok(mailbox)
    }

    /// Counts out a thread that was not started.
    fn forget(&self, mailbox: &Arc<Mailbox>) {
        self.desk().all.retain(|other| !Arc::ptr_eq(other, mailbox));
    }

    fn has_room(&self) -> bool {
        let mut desk = self.desk();
        desk.is_short = desk.idle.is_empty() && desk.all.len() >= desk.limit;
        !desk.is_short
    }

    /// Whether one more thread may be started.
    fn has_place(&self) -> bool {
        let desk = self.desk();
        desk.all.len() < desk.limit
    }

    fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Acquire)
    }

    /// Waits a moment, or for a thread to become idle or to leave.
    fn rest(&self) -> io::Result<()> {
        let mut bell = [PollFd::new(&self.acceptor, PollFlags::IN)];
        match poll(&mut bell, Some(&PAUSE)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.acceptor.hush();
        Ok(())
    }

    /// Waits for connections, a thread that became idle, or drain; returns the sockets that have connections.
    fn wait(&self, sockets: &[Socket]) -> io::Result<Vec<usize>> {
        let mut fds =
            vec![PollFd::new(&self.drain, PollFlags::IN), PollFd::new(&self.acceptor, PollFlags::IN)];
        fds.extend(sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        match poll(&mut fds, None) {
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

    /// Whether a connection was delivered that has not been taken.
    pub(super) fn is_full(&self) -> bool {
        self.arrival().is_some()
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

impl Arrival {
    /// A peer that has gone already has no address, and is of no interest.
    fn new(listener: usize, socket: OwnedFd) -> Option<Self> {
        let peer = SocketAddr::try_from(getpeername(&socket).ok()??).ok()?;
        Some(Self { listener, socket, peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()) })
    }
}

fn accept(listener: usize, socket: &Socket) -> rustix::io::Result<Arrival> {
    Arrival::new(listener, accept_with(socket, FLAGS)?).ok_or(Errno::CONNABORTED)
}
