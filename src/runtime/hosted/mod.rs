//! Runtimes on other crates' event loops: everything of the seam that does not depend on the crate.
//!
//! The tasks of the proxy run on our own executor inside one task of the engine (`turn`). Operations are awaited by
//! pumps: tasks of the engine, two for each connection and made with it, that own the operation, what it points to and
//! a share of the connection, put the outcome where the stream looks for it and wake the waiting task by number. So a
//! future of the seam that is dropped loses nothing, and nothing in the engine is ever cancelled by dropping: that
//! loses data in some crates and descriptors in others.
//!
//! `engine` is what a crate has to give; `conn`, `recv` and `send` are a connection and its pumps; `listener` accepts;
//! `relay` moves bodies; `conns` keeps the deadlines; `watch` hears of the drain.

pub(super) mod check;
mod conn;
mod conns;
mod engine;
mod listener;
mod orders;
mod recv;
mod relay;
mod send;
mod stream;
mod turn;
mod watch;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Instant;

use socket2::Socket;

use conn::Conn;
use conns::Conns;
pub use engine::{Bufs, Engine};
use listener::Door;
pub use listener::HostedListener;
use orders::Orders;
pub use stream::HostedStream;

use super::executor::Executor;
use super::peers::Member;
use super::pipes::Pipes;
use super::{Options, Pool, Runtime};

/// Bufs that may be out for reading, at least.
const FEWEST_BUFS: usize = 4096;
/// Bufs that may be out for reading, for each connection.
const BUFS_PER_CONNECTION: usize = 8;

/// A worker's loop on the engine `E`.
pub struct Hosted<E: Engine>(Rc<Core<E>>);

/// What the handles of one loop share.
struct Core<E: Engine> {
    executor: Executor,
    pool: Pool,
    now: Cell<Instant>,
    draining: Cell<bool>,
    conns: RefCell<Conns<E>>,
    doors: RefCell<Vec<Weak<Door<E>>>>,
    /// Connections that wait for a buf.
    parked: RefCell<VecDeque<Rc<Conn<E>>>>,
    /// Operations that may still succeed without waiting in this turn.
    pace: Cell<u32>,
    breath: RefCell<Orders<()>>,
    pipes: RefCell<Pipes>,
    /// This worker among its peers.
    member: Member,
    bell: watch::Bell,
    /// The loop comes to its end.
    is_ending: Cell<bool>,
    /// The task of the engine that runs the turns.
    turner: RefCell<Option<Waker>>,
    is_turning: Cell<bool>,
    /// Pumps that have not ended, and who waits for them.
    pumps: Cell<usize>,
    ender: RefCell<Option<Waker>>,
}

impl<E: Engine> Clone for Hosted<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Engine> Runtime for Hosted<E> {
    type Listener = HostedListener<E>;
    type Stream = HostedStream<E>;

    fn run<F, Fut>(options: &Options, sockets: Vec<Socket>, main: F) -> io::Result<()>
    where
        F: Fn(Self, Vec<HostedListener<E>>) -> Fut + Sync,
        Fut: Future<Output = ()> + 'static,
    {
        E::run(host(options, sockets, main))?
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
                self.0.conns.borrow_mut().wake_at(until, self.0.executor.current());
            }
            Poll::Pending
        })
        .await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(task);
    }

    async fn connect(&self, to: SocketAddr, by: Instant) -> io::Result<HostedStream<E>> {
        HostedStream::connect(&self.0, to, by).await
    }

    fn drain(&self) {
        self.0.drain();
    }

    fn is_draining(&self) -> bool {
        self.0.draining.get()
    }

    fn pool(&self) -> &Pool {
        &self.0.pool
    }
}

/// The root of an engine: a loop from its start to its end.
async fn host<E, F, Fut>(options: &Options, sockets: Vec<Socket>, main: F) -> io::Result<()>
where
    E: Engine,
    F: Fn(Hosted<E>, Vec<HostedListener<E>>) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    let bufs = FEWEST_BUFS.max(options.connections.saturating_mul(BUFS_PER_CONNECTION));
    let core = Rc::new(Core::<E>::new(Pool::new(bufs), options.peers.member(options.worker))?);
    let ended = match core.open(options, sockets) {
        Ok(listeners) => {
            if !core.draining.get() {
                core.member.open();
            }
            options.started.tell("");
            Ok(core.play(main(Hosted(core.clone()), listeners)).await)
        }
        Err(error) => Err(error),
    };
    if !core.finish().await {
        // The kernel may still write to the bufs: better to keep them for ever.
        std::mem::forget(core);
    }
    ended.and_then(turn::outcome)
}

impl<E: Engine> Core<E> {
    fn new(pool: Pool, member: Member) -> io::Result<Self> {
        Ok(Self {
            executor: Executor::default(),
            pool,
            now: Cell::new(Instant::now()),
            draining: Cell::new(false),
            conns: RefCell::default(),
            doors: RefCell::default(),
            parked: RefCell::default(),
            pace: Cell::new(0),
            breath: RefCell::default(),
            pipes: RefCell::new(Pipes::new(usize::MAX)),
            member,
            bell: watch::Bell::new()?,
            is_ending: Cell::new(false),
            turner: RefCell::default(),
            is_turning: Cell::new(false),
            pumps: Cell::new(0),
            ender: RefCell::default(),
        })
    }

    /// Starts what a loop has beside its connections.
    fn open(self: &Rc<Self>, options: &Options, sockets: Vec<Socket>) -> io::Result<Vec<HostedListener<E>>> {
        self.pipes.replace(Pipes::of(options));
        self.start_breath();
        watch::start(self, &options.drain)?;
        if options.drain.is_raised() {
            self.drain();
        }
        sockets.into_iter().map(|socket| HostedListener::new(self, socket)).collect()
    }

    /// Runs tasks until `main` is done.
    async fn play(self: &Rc<Self>, main: impl Future<Output = ()> + 'static) -> Result<(), turn::Panic> {
        let is_done = Rc::new(Cell::new(false));
        let done = is_done.clone();
        self.executor.spawn(async move {
            main.await;
            done.set(true);
        });
        let ended = Rc::new(Cell::new(None));
        let (core, end) = (self.clone(), ended.clone());
        self.start_pump(async move {
            end.set(Some(turn::turn_until(core.clone(), move || is_done.get()).await));
            core.wake_ender();
        });
        self.wait_for(|| ended.take()).await
    }

    fn drain(&self) {
        if self.draining.replace(true) {
            return;
        }
        self.member.close();
        self.wake_accepts();
        self.conns.borrow().recv_waiters().for_each(|task| self.wake(task));
    }
}
