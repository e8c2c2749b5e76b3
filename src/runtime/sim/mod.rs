//! The `sim` runtime, for tests: memory instead of sockets, virtual time, seeded faults.
//!
//! A [`World`] holds a network, a clock and tasks; each machine in it is a [`Sim`], and the proxy runs on one as on any
//! other runtime. Nothing that happens depends on anything but the seed.

mod faults;
mod host;
mod network;
mod pipe;
mod random;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod world;

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use socket2::Socket as KernelSocket;

use super::executor::yield_now;
use super::{Listener, Options, Pool, Runtime};
use host::Host;
use network::Port;

pub use faults::{Cut, EndAt, Ending, Faults, Place, Way};
pub use random::Random;
pub use socket::{Socket, State};
pub use stream::SimStream;
pub use world::{Stuck, Why, World};

/// EMFILE: too many open files.
const TOO_MANY_OPEN_FILES: i32 = 24;
/// Bufs of a worker that was started by [`Runtime::run`], for each connection.
const BUFS_A_CONNECTION: usize = 4;

/// One machine in a [`World`]: a handle, cloned freely.
#[derive(Clone)]
pub struct Sim {
    host: Rc<Host>,
}

/// An address that a machine listens on; no longer when it is dropped.
pub struct SimListener {
    host: Rc<Host>,
    port: Rc<Port>,
}

impl Sim {
    fn new(host: Rc<Host>) -> Self {
        Self { host }
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// `AddrInUse`.
    pub fn listen(&self, address: SocketAddr) -> io::Result<SimListener> {
        let port = self.host.core.network.borrow_mut().listen(address)?;
        self.host.ports.borrow_mut().push(Rc::downgrade(&port));
        Ok(SimListener { host: Rc::clone(&self.host), port })
    }

    /// Draws of this world's seed.
    pub fn random(&self) -> &Random {
        &self.host.core.random
    }
}

impl Runtime for Sim {
    type Listener = SimListener;
    type Stream = SimStream;

    /// Runs `main` as the only machine of a world without faults. The sockets lend their addresses only.
    fn run<F, Fut>(options: &Options, sockets: Vec<KernelSocket>, main: F) -> io::Result<()>
    where
        F: Fn(Self, Vec<Self::Listener>) -> Fut + Sync,
        Fut: Future<Output = ()> + 'static,
    {
        let world = World::new(options.worker as u64, Faults::default());
        let ip = SocketAddr::from(([127, 0, 0, 1], 0)).ip();
        let sim = world.add_host(ip, options.connections * BUFS_A_CONNECTION, Some(options.drain.clone()));
        let listen = |socket: KernelSocket| {
            let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
            sim.listen(address)
        };
        let listeners = sockets.into_iter().map(listen).collect::<io::Result<_>>()?;
        let is_done = Rc::new(Cell::new(false));
        let (main, flag) = (main(sim.clone(), listeners), Rc::clone(&is_done));
        sim.spawn(async move {
            main.await;
            flag.set(true);
        });
        world.run_until(Duration::from_secs(u32::MAX.into()), || is_done.get()).map_err(io::Error::other)
    }

    fn now(&self) -> Instant {
        self.host.core.now()
    }

    fn clock(&self) -> Instant {
        self.host.core.now()
    }

    async fn sleep(&self, until: Instant) {
        let core = &self.host.core;
        poll_fn(|_| {
            if until <= core.now() {
                return Poll::Ready(());
            }
            core.wake_at(until);
            Poll::Pending
        })
        .await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.host.core.executor.spawn(task);
    }

    async fn connect(&self, to: SocketAddr, by: Instant) -> io::Result<SimStream> {
        let core = &self.host.core;
        let is_silent = core.network.borrow().silent.contains(&to);
        if is_silent || core.random.chance(core.faults.silence) {
            self.sleep(by).await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        yield_now(&core.executor).await;
        if core.random.chance(core.faults.refusal) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let socket = network::open(core, self.host.ip, to)?;
        Ok(SimStream::new(Rc::clone(&self.host), socket))
    }

    fn drain(&self) {
        self.host.drain();
    }

    fn is_draining(&self) -> bool {
        self.host.is_draining.get()
    }

    fn pool(&self) -> &Pool {
        &self.host.pool
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&self) -> io::Result<Option<(SimStream, SocketAddr)>> {
        let core = &self.host.core;
        let accepted = poll_fn(|_| {
            let mut backlog = self.port.backlog.borrow_mut();
            if !backlog.is_empty() && core.random.chance(core.faults.accept_failure) {
                return Poll::Ready(Err(io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES)));
            }
            if !backlog.is_empty() || self.host.is_draining.get() {
                return Poll::Ready(Ok(backlog.pop_front()));
            }
            self.port.task.set(Some(core.executor.current()));
            Poll::Pending
        })
        .await?;
        Ok(accepted.map(|(socket, peer)| (SimStream::new(Rc::clone(&self.host), socket), peer)))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.port.is_open.set(false);
        // A kernel resets what nobody accepted.
        let backlog = self.port.backlog.take();
        backlog.iter().for_each(|(socket, _)| socket.reset());
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("ip", &self.host.ip).finish_non_exhaustive()
    }
}

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimListener").field("address", &self.port.address).finish_non_exhaustive()
    }
}
