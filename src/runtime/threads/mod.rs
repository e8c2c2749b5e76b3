//! The classic threaded model: an acceptor hands each connection to an idle thread, which drives it with `poll(2)`.
//!
//! A thread serves one connection at a time, with the connections to backends that it opens for it. Its pool, its
//! bufs and what `main` keeps (idle backend connections, histograms) belong to the thread and serve the next
//! connection. The crew grows up to [`Options::connections`] threads; beyond that, connections wait in the backlog. When
//! a drain begins the acceptor takes what waits there, closes the listening sockets, and gives each connection to a new
//! thread as soon as one of the others has left. It gives up when a `main` ends that leaves its connection unfinished: that
//! one knew when the drain is out of time.
//!
//! It is also the oracle of the tests, so it does the obvious thing everywhere: an operation tries its system call,
//! waits in `poll(2)` when it would block, and tries again. The kernel never holds anything of ours in between.

mod crew;
mod stream;
#[cfg(test)]
mod tests;
mod turn;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use socket2::Socket;

use super::{Examined, Info, Options, Pool, Runtime};
use crew::{Crew, Mailbox};
pub use stream::Stream;
use turn::{On, Thread};

/// Its line in the table of runtimes.
pub const INFO: Info = Info {
    name: "threads",
    about: "the classic threaded model: a thread serves one connection at a time",
    is_per_core: false,
    is_for_comparison: false,
    check: |_| Ok(()),
    examine: Examined::default,
};

/// A thread's stack in bytes: small, since there may be thousands; tasks live on the heap.
const STACK: usize = 256 * 1024;

/// One thread of the crew.
#[derive(Clone)]
pub struct Threads(Rc<Thread>);

/// What the acceptor accepts on one address, seen from one thread of the crew.
pub struct Listener {
    threads: Threads,
    index: usize,
}

impl Runtime for Threads {
    type Listener = Listener;
    type Stream = Stream;

    /// The calling thread becomes the acceptor; there is one thread in the crew from the start. The first `main` that
    /// returns drains the crew, and `run` returns when all have.
    fn run<F, Fut>(options: &Options, sockets: Vec<Socket>, main: F) -> io::Result<()>
    where
        F: Fn(Self, Vec<Listener>) -> Fut + Sync,
        Fut: Future<Output = ()> + 'static,
    {
        let crew = Arc::new(Crew::new(options)?);
        let (addresses, main) = (sockets.len(), &main);
        options.started.tell("");
        thread::scope(|scope| {
            let mut threads = Vec::new();
            let hire = |mailbox| {
                let crew = crew.clone();
                let work = move || work(crew, mailbox, addresses, main);
                let builder = thread::Builder::new().name("ringway-crew".into()).stack_size(STACK);
                threads.push(builder.spawn_scoped(scope, work)?);
                Ok(())
            };
            let accepted = crew.accept(sockets, hire);
            crew.drain();
            accepted.and(join_all(threads))
        })
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn clock(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, until: Instant) {
        while self.now() < until {
            // It ends by being late: nothing else is waited for.
            let _ = self.0.wait(On::Time, Some(until)).await;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task);
    }

    async fn connect(&self, to: SocketAddr, by: Instant) -> io::Result<Stream> {
        let socket = Rc::new(open(to)?);
        match rustix::net::connect(&socket, &to) {
            Ok(()) => {}
            Err(Errno::INPROGRESS | Errno::INTR) => {
                self.0.wait(On::Socket(socket.clone(), PollFlags::OUT), Some(by)).await?;
                sockopt::socket_error(&socket)??;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Stream::new(self.clone(), socket))
    }

    fn drain(&self) {
        self.0.crew().drain();
    }

    fn is_draining(&self) -> bool {
        self.0.crew().is_draining()
    }

    fn pool(&self) -> &Pool {
        self.0.pool()
    }
}

impl super::Listener for Listener {
    type Stream = Stream;

    /// Yields when what was spawned since the first accept has ended. A failure to accept is the acceptor's, which
    /// tries again; it is never seen here.
    async fn accept(&self) -> io::Result<Option<(Stream, SocketAddr)>> {
        let thread = &self.threads.0;
        loop {
            let is_last = thread.crew().is_draining();
            if let Some(arrival) = thread.take_arrival(self.index) {
                let stream = Stream::new(self.threads.clone(), Rc::new(arrival.socket));
                return Ok(Some((stream, arrival.peer)));
            }
            if is_last && !thread.is_expecting() {
                return Ok(None);
            }
            thread.wait_for_arrival().await?;
        }
    }
}

/// Raises the drain when a thread ends, also by a panic: the crew is one worker.
struct Leaving {
    crew: Arc<Crew>,
    mailbox: Arc<Mailbox>,
    thread: Rc<Thread>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.crew.leave(&self.mailbox, self.thread.was_late());
    }
}

/// What a thread of the crew does from its start to its end.
fn work<F, Fut>(crew: Arc<Crew>, mailbox: Arc<Mailbox>, addresses: usize, main: &F) -> io::Result<()>
where
    F: Fn(Threads, Vec<Listener>) -> Fut + Sync,
    Fut: Future<Output = ()> + 'static,
{
    let threads = Threads(Rc::new(Thread::new(crew.clone(), mailbox.clone())));
    let _leaving = Leaving { crew, mailbox, thread: threads.0.clone() };
    let listeners = (0..addresses).map(|index| Listener { threads: threads.clone(), index }).collect();
    let main = main(threads.clone(), listeners);
    threads.0.run(main)
}

fn join_all(threads: Vec<ScopedJoinHandle<'_, io::Result<()>>>) -> io::Result<()> {
    let mut all = Ok(());
    for thread in threads {
        let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        all = all.and(ended);
    }
    all
}

/// A socket to connect with.
fn open(to: SocketAddr) -> io::Result<OwnedFd> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}
