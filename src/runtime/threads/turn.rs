//! One thread's event loop: run what is ready, wait in `poll(2)` for what is not, see who is late.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use slab::Slab;
use smallvec::SmallVec;

use super::crew::{Arrival, Crew, Mailbox};
use crate::runtime::executor::{Executor, TaskId, yield_now};
use crate::runtime::{Pool, buf};

/// Bufs that one thread may have out for reading: 256 KiB for its one connection.
const BUFS: usize = 256 * 1024 / buf::BUF_SIZE;
/// Operations that may succeed in one turn before the others get theirs: the clock stands still during a turn.
const PACE: u32 = 64;

/// What one thread owns.
pub(super) struct Thread {
    executor: Executor,
    pool: Pool,
    crew: Arc<Crew>,
    mailbox: Arc<Mailbox>,
    waits: RefCell<Slab<Wait>>,
    now: Cell<Instant>,
    /// Operations that may still succeed in this turn.
    pace: Cell<u32>,
    /// Whether the crew counts on this thread for the next connection. Every thread starts so.
    is_listed: Cell<bool>,
    has_accepted: Cell<bool>,
    /// Tasks spawned since the first accept that have not ended: the connection's.
    serving: Rc<Cell<usize>>,
    was_late: Cell<bool>,
}

/// What an operation waits for.
pub(super) enum On {
    /// The socket to be ready for what the operation does.
    Socket(Rc<OwnedFd>, PollFlags),
    /// The socket to have bytes; ended by drain.
    Readable(Rc<OwnedFd>),
    /// A buf to read the socket's bytes into.
    Buf(Rc<OwnedFd>),
    /// A connection in the mailbox; ended by drain.
    Arrival,
    /// Its deadline.
    Time,
}

/// An operation that waits.
struct Wait {
    on: On,
    by: Option<Instant>,
    task: TaskId,
    end: Option<rustix::io::Result<()>>,
}

/// Waits that end, and how.
type Ends = SmallVec<[(usize, rustix::io::Result<()>); 8]>;

/// Which waits on a socket are ended by its own side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rouse {
    /// Those for bytes.
    Recv,
    /// All, and they let go of the descriptor at once.
    All,
}

impl Thread {
    pub(super) fn new(crew: Arc<Crew>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            executor: Executor::default(),
            pool: Pool::new(BUFS),
            crew,
            mailbox,
            waits: RefCell::default(),
            now: Cell::new(Instant::now()),
            pace: Cell::new(PACE),
            is_listed: Cell::new(true),
            has_accepted: Cell::new(false),
            serving: Rc::default(),
            was_late: Cell::new(false),
        }
    }

    /// Runs until `main` is done and then drops all tasks.
    pub(super) fn run(&self, main: impl Future<Output = ()> + 'static) -> io::Result<()> {
        let is_done = Rc::new(Cell::new(false));
        let done = is_done.clone();
        self.executor.spawn(async move {
            main.await;
            done.set(true);
        });
        let ended = self.turn_until(&is_done);
        self.was_late.set(self.serving.get() > 0);
        self.executor.clear();
        ended
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if !self.has_accepted.get() {
            self.executor.spawn(task);
            return;
        }
        let serving = Serving::new(&self.serving);
        self.executor.spawn(async move {
            let _serving = serving;
            task.await;
        });
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) fn crew(&self) -> &Crew {
        &self.crew
    }

    /// The connection that the acceptor left for this thread.
    pub(super) fn take_arrival(&self, listener: usize) -> Option<Arrival> {
        self.has_accepted.set(true);
        if self.crew.is_draining() && self.crew.strike(&self.mailbox) {
            self.is_listed.set(false);
        }
        let arrival = self.mailbox.take(listener)?;
        self.is_listed.set(false);
        Some(arrival)
    }

    /// Whether a connection may come yet: there is one for another listener, or the acceptor has taken this thread off
    /// the list and not said why.
    pub(super) fn is_expecting(&self) -> bool {
        self.is_listed.get() || self.mailbox.is_full()
    }

    /// Whether `main` has ended while its connection was still being served.
    pub(super) fn was_late(&self) -> bool {
        self.was_late.get()
    }

    /// Waits for a connection, or for the accept of another listener to take the one that has come.
    pub(super) async fn wait_for_arrival(&self) -> rustix::io::Result<()> {
        if self.mailbox.is_full() {
            yield_now(&self.executor).await;
            return Ok(());
        }
        self.wait(On::Arrival, None).await
    }

    /// Waits; the wait may end before its time, so the caller looks again.
    ///
    /// # Errors
    /// `TIMEDOUT` after `by`; for [`On::Readable`], `IO` when the socket has an error to tell of.
    pub(super) fn wait(&self, on: On, by: Option<Instant>) -> impl Future<Output = rustix::io::Result<()>> {
        // What is waited for goes into the list at once: an `async fn` would hold it too, and the task has little room.
        let wait = Wait { on, by, task: self.executor.current(), end: None };
        let waiting = Waiting { thread: self, key: self.waits.borrow_mut().insert(wait) };
        poll_fn(move |_| waiting.end().map_or(Poll::Pending, Poll::Ready))
    }

    /// Ends waits on a socket: their operations look at the state of the stream again.
    pub(super) fn rouse(&self, socket: &Rc<OwnedFd>, which: Rouse) {
        for (_, wait) in self.waits.borrow_mut().iter_mut() {
            if !wait.on.socket().is_some_and(|other| Rc::ptr_eq(other, socket)) {
                continue;
            }
            if which == Rouse::All || wait.on.interest() != Some(PollFlags::OUT) {
                wait.finish(Ok(()), &self.executor);
            }
            if which == Rouse::All {
                wait.on = On::Time;
            }
        }
    }

    /// Moves the deadline of the wait for a socket's bytes.
    pub(super) fn postpone_recv(&self, socket: &Rc<OwnedFd>, by: Instant) {
        for (_, wait) in self.waits.borrow_mut().iter_mut() {
            let is_its = wait.on.socket().is_some_and(|other| Rc::ptr_eq(other, socket));
            if is_its && wait.on.interest() != Some(PollFlags::OUT) {
                wait.by = Some(by);
            }
        }
    }

    /// Gives way to the other tasks when many operations in a row did not have to wait.
    pub(super) async fn pace(&self) {
        match self.pace.get().checked_sub(1) {
            Some(left) => self.pace.set(left),
            None => yield_now(&self.executor).await,
        }
    }

    fn turn_until(&self, is_done: &Cell<bool>) -> io::Result<()> {
        loop {
            self.pace.set(PACE);
            self.executor.run_ready();
            // A task that ended a wait of its own is ready again, with nothing left to do: that is worth no `poll(2)`.
            self.executor.run_ready();
            if is_done.get() {
                return Ok(());
            }
            self.finish_waits_for_bufs();
            self.offer();
            self.poll()?;
        }
    }

    /// Asks for the next connection when the last one is over.
    fn offer(&self) {
        let is_busy = self.executor.is_ready() || self.serving.get() > 0;
        if is_busy || self.is_listed.get() || self.crew.is_draining() {
            return;
        }
        if self.waits.borrow().iter().any(|(_, wait)| matches!(wait.on, On::Arrival)) {
            self.is_listed.set(true);
            self.crew.list(self.mailbox.clone());
        }
    }

    /// Waits for the sockets, the bell or the next deadline, and tells the tasks concerned.
    fn poll(&self) -> io::Result<()> {
        let (is_rung, ready) = self.poll_sockets()?;
        self.now.set(Instant::now());
        let mut waits = self.waits.borrow_mut();
        for (key, end) in ready {
            waits[key].finish(end, &self.executor);
        }
        if is_rung {
            self.mailbox.bell.hush();
            let is_draining = self.crew.is_draining();
            let ended = |on: &On| matches!(on, On::Arrival) || is_draining && matches!(on, On::Readable(_));
            let concerned = waits.iter_mut().filter(|(_, wait)| ended(&wait.on));
            concerned.for_each(|(_, wait)| wait.finish(Ok(()), &self.executor));
        }
        let late = waits.iter_mut().filter(|(_, wait)| wait.by.is_some_and(|by| by <= self.now.get()));
        late.for_each(|(_, wait)| wait.finish(Err(Errno::TIMEDOUT), &self.executor));
        Ok(())
    }

    /// One `poll(2)`: whether the bell rang, and how the waits end whose sockets are ready.
    fn poll_sockets(&self) -> io::Result<(bool, Ends)> {
        let waits = self.waits.borrow();
        let timeout = self.timeout(&waits);
        let mut fds: SmallVec<[PollFd<'_>; 8]> = SmallVec::new();
        fds.push(PollFd::new(&self.mailbox.bell, PollFlags::IN));
        let mut keys: SmallVec<[usize; 8]> = SmallVec::new();
        for (key, wait) in waits.iter() {
            if let (Some(socket), Some(interest)) = (wait.on.socket(), wait.on.interest()) {
                fds.push(PollFd::new(socket, interest));
                keys.push(key);
            }
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok((false, Ends::new())),
            Err(error) => return Err(error.into()),
        }
        let is_rung = !fds[0].revents().is_empty();
        let found = keys.into_iter().zip(fds[1..].iter().map(PollFd::revents));
        let ready = found.filter(|(_, revents)| !revents.is_empty());
        Ok((is_rung, ready.map(|(key, revents)| (key, waits[key].on.end(revents))).collect()))
    }

    /// How long nothing has to be done; `None` is for ever.
    fn timeout(&self, waits: &Slab<Wait>) -> Option<Timespec> {
        if self.executor.is_ready() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let next = waits.iter().filter_map(|(_, wait)| wait.by).min()?;
        Timespec::try_from(next.saturating_duration_since(Instant::now())).ok()
    }

    fn finish_waits_for_bufs(&self) {
        if self.pool.out() >= BUFS {
            return;
        }
        for (_, wait) in self.waits.borrow_mut().iter_mut() {
            if matches!(wait.on, On::Buf(_)) {
                wait.finish(Ok(()), &self.executor);
            }
        }
    }
}

impl On {
    fn socket(&self) -> Option<&Rc<OwnedFd>> {
        match self {
            Self::Socket(socket, _) | Self::Readable(socket) | Self::Buf(socket) => Some(socket),
            Self::Arrival | Self::Time => None,
        }
    }

    /// How a wait ends when its socket is ready.
    fn end(&self, revents: PollFlags) -> rustix::io::Result<()> {
        let is_broken = matches!(self, Self::Readable(_)) && revents.contains(PollFlags::ERR);
        if is_broken { Err(Errno::IO) } else { Ok(()) }
    }

    fn interest(&self) -> Option<PollFlags> {
        match self {
            Self::Socket(_, interest) => Some(*interest),
            Self::Readable(_) => Some(PollFlags::IN),
            Self::Buf(_) | Self::Arrival | Self::Time => None,
        }
    }
}

impl Wait {
    /// Ends it, unless it has ended already.
    fn finish(&mut self, end: rustix::io::Result<()>, executor: &Executor) {
        if self.end.is_none() {
            self.end = Some(end);
            executor.wake(self.task);
        }
    }
}

/// A wait in the list, taken out when its future is dropped.
struct Waiting<'a> {
    thread: &'a Thread,
    key: usize,
}

impl Waiting<'_> {
    fn end(&self) -> Option<rustix::io::Result<()>> {
        self.thread.waits.borrow()[self.key].end
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let wait = self.thread.waits.borrow_mut().remove(self.key);
        // Its descriptor may be closed here, after the list is free again.
        drop(wait);
    }
}

/// Counts a task of the connection for as long as it lives.
struct Serving(Rc<Cell<usize>>);

impl Serving {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
