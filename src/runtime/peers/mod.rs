//! Workers that share the load: how many client connections each serves, and how an accepted one changes hands.
//!
//! The kernel spreads connections over the sockets of a `SO_REUSEPORT` group by a hash, and with few of them some workers
//! get none. So whoever accepts a connection decides who serves it ([`Member::place`]), and counts it there at once: by a
//! compare-and-exchange on the very count that the decision rests on, so that workers that accept at the same time never
//! give the same one too much.
//!
//! No connection is lost on its way. A worker that takes none any more has closed its gate ([`Member::close`]); the gate
//! holds, in the same atomic, how many are still under way to it ([`Member::expects`]), and it waits for those. How they
//! travel is the runtime's business: `ring` sends the descriptor's number through the kernel, the others leave the
//! connection in an inbox and ring a bell ([`Passage::deliver`], [`Member::take`]).

mod gate;
mod share;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use gate::Gate;

/// The workers of a process, seen from anywhere. Cloned freely.
#[derive(Clone)]
pub struct Peers(Arc<[Seat]>);

/// One worker among its peers: a cheap handle that stays on the worker's thread.
#[derive(Clone)]
pub struct Member(Rc<Place>);

struct Place {
    peers: Peers,
    worker: usize,
}

/// What one worker shows to the others; a cache line (and the one that is fetched with it) of its own.
#[repr(align(128))]
struct Seat {
    /// Client connections that it serves, those under way to it included.
    load: AtomicUsize,
    gate: Gate,
    /// Connections that it has handed over.
    handed_over: AtomicU64,
    /// The descriptor of its ring, if it has one.
    ring: AtomicI32,
    inbox: Mutex<VecDeque<Arrival>>,
    /// Absent where there are no peers to ring it.
    bell: Option<OwnedFd>,
}

/// A connection that was accepted by another worker.
#[derive(Debug)]
pub struct Arrival {
    /// The number of the listener that it came in through.
    pub listener: usize,
    /// The connection.
    pub socket: OwnedFd,
}

/// Who serves a connection that was just accepted.
#[derive(Debug)]
pub enum Placed {
    /// The worker that accepted it.
    Here(Counted),
    /// Another one.
    There(Passage),
}

/// A client connection, counted as its worker's until this is dropped.
#[derive(Debug)]
pub struct Counted(Member);

/// A connection on its way to another worker, which counts it already and waits for it. Dropped, it is called off.
#[derive(Debug)]
pub struct Passage {
    from: Member,
    to: usize,
    is_over: bool,
}

impl Peers {
    /// So many workers, none of which takes connections before it is open.
    ///
    /// # Errors
    /// No descriptor left for a bell.
    pub fn new(workers: usize) -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = || (workers > 1).then(|| eventfd(0, flags)).transpose();
        (0..workers).map(|_| Ok(Seat::new(bell()?))).collect::<io::Result<_>>().map(Self)
    }

    /// The worker with this number.
    ///
    /// # Panics
    /// There is no such worker.
    pub fn member(&self, worker: usize) -> Member {
        assert!(worker < self.0.len(), "there is no worker {worker}");
        Member(Rc::new(Place { peers: self.clone(), worker }))
    }

    /// How many workers there are, never none.
    pub fn workers(&self) -> usize {
        self.0.len().max(1)
    }

    /// How many client connections each worker serves.
    pub fn loads(&self) -> Vec<usize> {
        self.0.iter().map(|seat| seat.load.load(Ordering::Relaxed)).collect()
    }

    /// How many client connections the most loaded worker serves above the mean.
    pub fn skew(&self) -> f64 {
        share::skew(&self.loads())
    }

    /// How many connections were handed over so far.
    pub fn handed_over(&self) -> u64 {
        self.0.iter().map(|seat| seat.handed_over.load(Ordering::Relaxed)).sum()
    }
}

/// One worker without peers.
impl Default for Peers {
    fn default() -> Self {
        Self(Arc::new([Seat::new(None)]))
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peers").field(&self.loads()).finish()
    }
}

impl Seat {
    fn new(bell: Option<OwnedFd>) -> Self {
        Self {
            load: AtomicUsize::new(0),
            gate: Gate::default(),
            handed_over: AtomicU64::new(0),
            ring: AtomicI32::new(-1),
            inbox: Mutex::default(),
            bell,
        }
    }

    /// Counts one connection more if there are still so many.
    fn claim(&self, load: usize) -> bool {
        self.load.compare_exchange(load, load + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn release(&self) {
        // One that was called off and has come nevertheless is released twice.
        let _ = self.load.fetch_update(Ordering::AcqRel, Ordering::Acquire, |load| load.checked_sub(1));
    }

    fn ring_bell(&self) {
        if let Some(bell) = &self.bell {
            // It fails only when the counter is full, and then the bell rings already.
            let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
        }
    }

    fn inbox(&self) -> MutexGuard<'_, VecDeque<Arrival>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn seat(&self) -> &Seat {
        &self.0.peers.0[self.0.worker]
    }

    fn peer(&self, worker: usize) -> &Seat {
        &self.0.peers.0[worker]
    }

    /// Whether there are no other workers.
    pub fn is_alone(&self) -> bool {
        self.0.peers.0.len() == 1
    }

    /// Decides who serves a connection that this worker has just accepted, and counts it there.
    pub fn place(&self) -> Placed {
        while !self.is_alone() && !self.is_closed() {
            let here = self.seat().load.load(Ordering::Acquire);
            match share::choose(here, self.open_peers()) {
                None if self.seat().claim(here) => return Placed::Here(Counted(self.clone())),
                Some((to, load)) if self.peer(to).claim(load) => {
                    if self.peer(to).gate.enter() {
                        return Placed::There(Passage { from: self.clone(), to, is_over: false });
                    }
                    self.peer(to).release();
                }
                // Another worker was faster: what was decided rests on old numbers.
                _ => {}
            }
        }
        Placed::Here(self.keep())
    }

    /// Decides who serves a connection, hands it over through the inbox, or gives it back where it is to stay.
    pub fn share(&self, listener: usize, socket: OwnedFd) -> Option<(OwnedFd, Counted)> {
        match self.place() {
            Placed::Here(counted) => return Some((socket, counted)),
            Placed::There(passage) => passage.deliver(Arrival { listener, socket }),
        }
        None
    }

    /// Counts a connection here, whatever the others have to do.
    pub fn keep(&self) -> Counted {
        self.seat().load.fetch_add(1, Ordering::AcqRel);
        Counted(self.clone())
    }

    /// The next connection in the inbox.
    pub fn take(&self) -> Option<(Arrival, Counted)> {
        let arrival = self.seat().inbox().pop_front()?;
        Some((arrival, self.received()))
    }

    /// A connection that was under way to this worker has come, past the inbox.
    pub fn received(&self) -> Counted {
        self.seat().gate.leave();
        Counted(self.clone())
    }

    /// Readable when there may be something in the inbox, or when something that was expected will not come. Absent
    /// where there are no peers.
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.seat().bell.as_ref().map(AsFd::as_fd)
    }

    /// Makes the bell silent until it is rung again: to be called before the inbox is looked into.
    pub fn hush(&self) {
        if let Some(bell) = self.bell() {
            // It fails only when the bell is silent.
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
    }

    /// From now on connections are sent to this worker: its loop exists.
    pub fn open(&self) {
        self.seat().gate.open();
    }

    /// From now on nothing is sent to this worker, nor does it hand anything over. What is under way still comes.
    pub fn close(&self) {
        self.seat().gate.close();
    }

    /// Whether this worker was closed.
    pub fn is_closed(&self) -> bool {
        self.seat().gate.is_closed()
    }

    /// Whether a connection is under way to this worker, or lies in its inbox.
    pub fn expects(&self) -> bool {
        self.seat().gate.is_expecting()
    }

    /// Tells the others the descriptor of this worker's ring. They use it only while something is under way to this
    /// worker, so it has to stay open until the worker is closed and expects nothing.
    pub fn set_ring(&self, descriptor: Option<RawFd>) {
        self.seat().ring.store(descriptor.unwrap_or(-1), Ordering::Release);
    }

    /// The others that take connections, and their loads, from the next one on.
    fn open_peers(&self) -> impl Iterator<Item = (usize, usize)> {
        let seats = &self.0.peers.0;
        let others = (1..seats.len()).map(|step| (self.0.worker + step) % seats.len());
        let open = others.filter(|&worker| !seats[worker].gate.is_closed());
        open.map(|worker| (worker, seats[worker].load.load(Ordering::Acquire)))
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("worker", &self.0.worker).finish_non_exhaustive()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.seat().release();
    }
}

impl Passage {
    fn target(&self) -> &Seat {
        self.from.peer(self.to)
    }

    /// The descriptor of the ring of the worker that it leads to, if that has one; good until the passage is over.
    pub fn ring(&self) -> Option<RawFd> {
        Some(self.target().ring.load(Ordering::Acquire)).filter(|&descriptor| descriptor >= 0)
    }

    /// Leaves the connection in the other worker's inbox, and rings its bell.
    pub fn deliver(self, arrival: Arrival) {
        self.target().inbox().push_back(arrival);
        self.target().ring_bell();
        self.sent();
    }

    /// The connection was sent past the inbox; the other worker calls [`Member::received`].
    pub fn sent(mut self) {
        self.is_over = true;
        self.from.seat().handed_over.fetch_add(1, Ordering::Relaxed);
    }

    /// The connection could not be sent: who accepted it serves it.
    pub fn turn_back(self) -> Counted {
        self.from.keep()
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let target = self.target();
        target.release();
        target.gate.leave();
        // It may wait for just this connection before it ends.
        target.ring_bell();
    }
}
