//! The `ring` runtime: our own thin loop on io_uring, a ring and a thread for each worker.
//!
//! A turn reads the clock, takes in all completions, ends the waits whose deadlines are missed, polls the tasks that
//! became ready, and enters the kernel once: to submit what they asked for and to wait for what comes next.
//!
//! `state` holds what the turns change; `recv`, `send` and `listener` say how each kind of operation goes;
//! `hand_over` moves accepted connections to other workers; `relay` moves bodies; `lent` is the memory that the kernel
//! receives into; `ops` is all that passes through the ring. `setup` builds a ring, `permits` is all that it may be asked
//! for, `probe` tries out what the kernel does, and `examine` and `unavailable` say what was found. Every operation owns
//! its memory and its descriptor until its last completion: connections and cargoes live in the loop, and futures only look
//! at them.

mod clock;
mod conns;
mod examine;
mod hand_over;
mod lent;
mod listener;
mod ops;
mod permits;
mod probe;
mod recv;
mod relay;
mod send;
mod setup;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod unavailable;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use socket2::Socket;

pub use listener::RingListener;
use ops::Kind;
use setup::Abilities;
pub use setup::check;
#[cfg(feature = "hosted")]
pub(super) use setup::{can_splice, patiently};
use state::{Due, News, State};
pub use stream::RingStream;
pub use unavailable::{Hint, Unavailable};

use super::executor::Executor;
use super::peers::Member;
use super::pipes::Pipes;
use super::{Info, Options, Pool, Runtime};

/// The most bufs that the kernel holds ready.
const WINDOW: usize = 256;
/// Bufs that may be out for reading, at least.
const FEWEST_BUFS: usize = 4096;
/// Bufs that may be out for reading, for each connection: while more than half of them are, a connection that is held
/// up keeps one that came and one that is being sent, on either side.
const BUFS_PER_CONNECTION: usize = 8;
/// Times that ready tasks are polled before the kernel has its turn: a task that was just started runs at once.
const ROUNDS: usize = 2;

/// Its line in the table of runtimes.
pub const INFO: Info = Info {
    name: "ring",
    about: "our own event loop on io_uring, one a core",
    is_per_core: true,
    is_for_comparison: false,
    check: |workers| check(workers).map_err(|reason| reason.to_string()),
    examine: examine::examine,
};

/// A worker's loop.
#[derive(Clone)]
pub struct Ring(Rc<Core>);

/// What the handles of one loop share.
struct Core {
    executor: Rc<Executor>,
    pool: Pool,
    now: Cell<Instant>,
    draining: Cell<bool>,
    state: RefCell<State>,
}

impl Runtime for Ring {
    type Listener = RingListener;
    type Stream = RingStream;

    fn run<F, Fut>(options: &Options, sockets: Vec<Socket>, main: F) -> io::Result<()>
    where
        F: Fn(Self, Vec<RingListener>) -> Fut + Sync,
        Fut: Future<Output = ()> + 'static,
    {
        let bufs = FEWEST_BUFS.max(options.connections.saturating_mul(BUFS_PER_CONNECTION));
        let member = options.peers.member(options.worker);
        Self::run_with(options, Self::new(Pool::new(bufs), Abilities::found(), member)?, sockets, main)
    }

    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn clock(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, until: Instant) {
        let mut is_set = false;
        std::future::poll_fn(|_| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut is_set, true) {
                let task = self.0.executor.current();
                self.0.state.borrow_mut().timers.push(until, Due::Task(task));
            }
            Poll::Pending
        })
        .await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(task);
    }

    async fn connect(&self, to: SocketAddr, by: Instant) -> io::Result<RingStream> {
        RingStream::connect(self.0.clone(), to, by).await
    }

    fn drain(&self) {
        if !self.0.draining.replace(true) {
            let mut state = self.0.state.borrow_mut();
            state.member.close();
            state.wake_for_drain();
        }
    }

    fn is_draining(&self) -> bool {
        self.0.draining.get()
    }

    fn pool(&self) -> &Pool {
        &self.0.pool
    }
}

impl Ring {
    fn run_with<F, Fut>(options: &Options, ring: Self, sockets: Vec<Socket>, main: F) -> io::Result<()>
    where
        F: Fn(Self, Vec<RingListener>) -> Fut,
        Fut: Future<Output = ()> + 'static,
    {
        let signal = &options.drain;
        ring.0.state.borrow_mut().watch(signal.as_fd().as_raw_fd(), Kind::Drain);
        ring.0.state.borrow_mut().watch_bell();
        ring.0.state.borrow_mut().pipes = Pipes::of(options);
        ring.0.state.borrow().member.open();
        options.started.tell(ring.held_to());
        if signal.is_raised() {
            ring.drain();
        }
        let end = End(&ring.0);
        let listeners = sockets.into_iter().map(|socket| RingListener::new(ring.0.clone(), socket)).collect();
        let is_done = Rc::new(Cell::new(false));
        let (main, done) = (main(ring.clone(), listeners), is_done.clone());
        ring.spawn(async move {
            main.await;
            done.set(true);
        });
        let outcome = ring.turn_until(|| is_done.get());
        drop(end);
        outcome
    }

    fn new(pool: Pool, abilities: Abilities, member: Member) -> io::Result<Self> {
        let executor = Rc::new(Executor::default());
        let state = RefCell::new(State::new(&pool, executor.clone(), abilities, member)?);
        let (now, draining) = (Cell::new(Instant::now()), Cell::new(false));
        Ok(Self(Rc::new(Core { executor, pool, now, draining, state })))
    }

    /// What the kernel holds it to.
    fn held_to(&self) -> String {
        if self.0.state.borrow().abilities.restrictions {
            format!(
                "each ring is restricted to {} operations (ringway doctor lists them)",
                permits::operations()
            )
        } else {
            "the rings are not restricted: that failed its self-test (see ringway doctor)".to_owned()
        }
    }

    fn turn_until(&self, is_done: impl Fn() -> bool) -> io::Result<()> {
        loop {
            self.take_in();
            for _ in 0..ROUNDS {
                self.0.executor.run_ready();
            }
            if is_done() {
                return Ok(());
            }
            let wait = !self.0.executor.is_ready();
            self.0.state.borrow_mut().enter(self.now(), wait)?;
        }
    }

    /// Begins a turn.
    fn take_in(&self) {
        self.0.now.set(Instant::now());
        let news = self.0.state.borrow_mut().take_completions();
        if news == News::Drain {
            self.drain();
        }
        self.0.state.borrow_mut().fire_timers(self.now());
    }
}

/// The end of a loop, even of one that panics.
struct End<'a>(&'a Rc<Core>);

impl Drop for End<'_> {
    /// Drops the tasks, closes their connections, and waits until the kernel has let go of all memory.
    fn drop(&mut self) {
        self.0.executor.clear();
        if !self.0.state.try_borrow_mut().is_ok_and(|mut state| state.finish()) {
            // The kernel may still write to the bufs: better to keep them for ever.
            std::mem::forget(self.0.clone());
        }
    }
}
