//! The seam: what the proxy asks of an event loop, and the table of those that there are.
//!
//! It says what, never how: splice, multishot and provided buffers are ways in which a runtime may do these
//! things. A runtime has never heard of HTTP. The contract, one conformance test a line:
//!
//! 1. A deadline is an argument of the operation. A missed one fails with [`io::ErrorKind::TimedOut`] and ends that
//!    direction; the other still works.
//! 2. An operation owns its buffers and its descriptor until the kernel has let go, whatever happens to the future.
//! 3. [`Stream::recv`] never returns an empty [`Buf`]. With no buf free it waits; it does not fail, and one stream
//!    cannot take them all.
//! 4. A stream reads ahead a bounded amount and then stops: a slow reader stops a fast writer, in constant memory.
//! 5. [`Stream::relay_to`] counts exactly what reached the other socket, and says which of the two sides failed.
//! 6. Connections are closed by `shutdown`, then by the last completion: never an fd number reused while an
//!    operation is in flight.
//! 7. [`Buf`] comes from the worker's pool, splits without copying and goes home on drop.
//! 8. After [`Runtime::drain`], `accept` ends and so does every `readable`, the only wait that drain ends; nothing
//!    else is disturbed. Before `accept` ends it yields what the kernel has accepted: the listening socket closes the
//!    moment its backlog is found empty.
//! 9. Workers that are told of each other ([`Options::peers`]) share accepted connections evenly while these are few, and
//!    lose none that changes hands, whatever drains or ends meanwhile.

mod backlog;
pub mod buf;
pub mod executor;
pub mod features;
mod join;
pub mod peers;
#[cfg(feature = "ring")]
mod pipes;
mod signal;
mod started;
pub mod timers;

#[cfg(feature = "hosted")]
pub mod hosted;
#[cfg(feature = "monoio")]
pub mod monoio;
#[cfg(feature = "ring")]
pub mod ring;
pub mod sim;
pub mod threads;
#[cfg(feature = "tokio-uring")]
pub mod tokio_uring;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::Socket;

pub use buf::{Batch, Buf, BufMut, Pool};
pub use features::{Examined, Feature, Need, Outcome, Permit};
pub use join::join;
pub use peers::Peers;
pub use signal::DrainSignal;
pub use started::{NotStarted, Started, Starts};

/// One worker's event loop. A cheap handle: cloned freely, never sent to another thread.
///
/// The futures of a runtime are woken by the runtime itself, not through the waker of the `Context` they are polled
/// with: [`join()`] is the only combinator that may stand between a task and an operation.
pub trait Runtime: Clone + 'static {
    /// An address that connections are accepted on.
    type Listener: Listener<Stream = Self::Stream>;
    /// A connection.
    type Stream: Stream;

    /// Runs an event loop on this thread until `main` is done; what was spawned and is left then is dropped, and its
    /// connections are closed.
    ///
    /// `main` is called with the handle and a listener for each of `sockets` (bound and listening, in their order).
    /// Every runtime calls it once but `threads`, which calls it once on each thread of its crew.
    ///
    /// # Errors
    /// What the kernel refused, if the loop could not be set up.
    fn run<F, Fut>(options: &Options, sockets: Vec<Socket>, main: F) -> io::Result<()>
    where
        F: Fn(Self, Vec<Self::Listener>) -> Fut + Sync,
        Fut: Future<Output = ()> + 'static;

    /// The turn's clock: read once a turn of the loop, it serves deadlines.
    fn now(&self) -> Instant;

    /// The clock itself, which does not stand still during a turn: serves what is measured.
    fn clock(&self) -> Instant;

    /// Waits until a moment.
    fn sleep(&self, until: Instant) -> impl Future<Output = ()>;

    /// Starts a task on this worker.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Opens a connection, with TCP_NODELAY set.
    ///
    /// # Errors
    /// `TimedOut` after `by`, else what the kernel says.
    fn connect(&self, to: SocketAddr, by: Instant) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Ends `accept` and every `readable`, pending and later ones, on this worker, and disturbs nothing else.
    fn drain(&self);

    /// Whether [`Runtime::drain`] was called, here or through [`Options::drain`].
    fn is_draining(&self) -> bool;

    /// The worker's pool of bufs.
    fn pool(&self) -> &Pool;
}

/// An address that connections are accepted on.
pub trait Listener: 'static {
    /// What it accepts.
    type Stream;

    /// The next connection and who made it; `None` after drain, once nothing waits in the backlog and nothing is under
    /// way from another worker. TCP_NODELAY is inherited from the socket.
    ///
    /// # Errors
    /// What the kernel says (`EMFILE`); the listener is still good.
    fn accept(&self) -> impl Future<Output = io::Result<Option<(Self::Stream, SocketAddr)>>>;
}

/// A connection: at most one recv (or readable) and one send pending at a time. Dropping it closes the connection
/// once the kernel has let go of it.
pub trait Stream: 'static {
    /// Waits for bytes, or for the end, without holding a buf: an idle connection costs no memory of the pool.
    ///
    /// # Errors
    /// `TimedOut` after `by`; [`stopped`] after `stop_recv` or drain; what the kernel says.
    fn readable(&self, by: Instant) -> impl Future<Output = io::Result<()>>;

    /// Lends the next bytes, never none of them; `None` is the orderly end (and is so again when asked again).
    ///
    /// # Errors
    /// `TimedOut` after `by`; [`stopped`] after `stop_recv`; `ConnectionReset` and the like.
    fn recv(&self, by: Instant) -> impl Future<Output = io::Result<Option<Buf>>>;

    /// Lends the next bytes if they are there already. `None` says nothing about what is to come, nor about an end.
    fn recv_now(&self) -> Option<Buf>;

    /// Gives bytes back: the next `recv` lends them first. An empty buf is ignored.
    fn unrecv(&self, rest: Buf);

    /// Hands all bytes of the batch to the kernel, in order.
    ///
    /// # Errors
    /// `TimedOut` after `by`, and then some of the bytes may have left; `BrokenPipe`, `ConnectionReset` and the like.
    fn send(&self, batch: Batch, by: Instant) -> impl Future<Output = io::Result<()>>;

    /// Moves up to `limit` bytes to another connection, never one more; what came beyond is still unread. `idle`
    /// bounds the time between two moves of bytes.
    fn relay_to(&self, to: &Self, limit: u64, idle: Duration) -> impl Future<Output = Relayed>;

    /// Sends FIN: the other side reads an orderly end.
    ///
    /// # Errors
    /// What the kernel says.
    fn shutdown_send(&self) -> impl Future<Output = io::Result<()>>;

    /// Moves the deadline of the pending `readable`, `recv` or reading side of `relay_to`; without one, does nothing.
    fn recv_by(&self, by: Instant);

    /// Ends a pending `readable`, which then returns `Ok` as it does for bytes, and nothing else: the direction stays
    /// open, nothing is taken, and a later `readable` waits.
    fn rouse(&self);

    /// Pending and later waits for bytes (`readable`, `recv`, the reading side of `relay_to`) end with [`stopped`].
    fn stop_recv(&self);

    /// Cuts the connection: everything pending ends with an error, and the peer sees RST, never an orderly end.
    fn abort(&self);

    /// Open, with nothing unread and no end seen: fit for reuse.
    fn is_idle(&self) -> bool;
}

/// What [`Stream::relay_to`] did.
#[derive(Debug)]
pub struct Relayed {
    /// Bytes that the kernel took for the other socket.
    pub bytes: u64,
    /// Why it ended.
    pub end: RelayEnd,
}

/// Why a relay ended.
#[derive(Debug)]
pub enum RelayEnd {
    /// The limit was reached.
    Limit,
    /// The source ended in order, before the limit.
    Eof,
    /// Reading failed; all that was read before has been sent.
    RecvFailed(io::Error),
    /// Sending failed.
    SendFailed(io::Error),
}

/// The error of a wait that was ended from this side, by `stop_recv` or by drain.
pub fn stopped() -> io::Error {
    io::ErrorKind::Interrupted.into()
}

/// Whether an error is [`stopped`]. The kernel's EINTR is never handed on by a runtime.
pub fn is_stopped(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

/// What is said of a runtime before it is started.
#[derive(Debug)]
pub struct Info {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    /// Whether one loop is run for each core, or one for the process that spreads by itself.
    pub is_per_core: bool,
    /// Whether it is there to be measured against: then `auto` never takes it, and it runs only when it is named.
    pub is_for_comparison: bool,
    /// A functional self-test: whether this machine allows so many loops of it, or else why not and what to change.
    pub check: fn(loops: usize) -> Result<(), String>,
    /// Tries out, one by one, what it would like of the kernel; [`Examined::default`] where that is nothing special.
    pub examine: fn() -> Examined,
}

/// Something to be done with a runtime that is chosen when the program runs.
pub trait Visitor {
    /// What comes of it.
    type Output;
    /// Does it.
    fn visit<R: Runtime>(self) -> Self::Output;
}

/// Writes the table of runtimes, the one place that turns a name into a type, and the macro for tests. `$` is passed in,
/// since a macro cannot write it into another one by itself.
macro_rules! runtimes {
    ($dollar:tt; $($(#[$cfg:meta])* $name:ident: $module:ident::$type:ident, $info:ident;)*) => {
        /// The runtimes of this build, the best first.
        pub static RUNTIMES: &[Info] = &[$($(#[$cfg])* $module::$info),*];

        /// Does something with the runtime of this name; `None` if this build has none of that name.
        pub fn with_runtime<V: Visitor>(name: &str, visitor: V) -> Option<V::Output> {
            $($(#[$cfg])* { if name == $module::$info.name { return Some(visitor.visit::<$module::$type>()); } })*
            None
        }

        /// Calls a macro for each runtime of this build, with an identifier, its name in the configuration, its type,
        /// and what else is given: so a test is written once for all.
        #[macro_export]
        macro_rules! for_each_runtime {
            ($dollar callback:ident $dollar($dollar more:tt)*) => {
                $(
                    $(#[$cfg])*
                    $dollar callback! {
                        $name,
                        $dollar crate::runtime::$module::$info.name,
                        $dollar crate::runtime::$module::$type
                        $dollar($dollar more)*
                    }
                )*
            };
        }
    };
}

runtimes! {
    $;
    #[cfg(feature = "ring")] ring: ring::Ring, INFO;
    #[cfg(feature = "monoio")] monoio: monoio::Monoio, INFO;
    #[cfg(feature = "monoio")] monoio_epoll: monoio::MonoioEpoll, EPOLL_INFO;
    threads: threads::Threads, INFO;
    #[cfg(feature = "tokio-uring")] tokio_uring: tokio_uring::TokioUring, INFO;
}

/// A runtime that was chosen, and why not a better one.
#[derive(Debug)]
pub struct Choice {
    /// The runtime.
    pub info: &'static Info,
    /// For each better one, why this machine does not allow it and what to change.
    pub reasons: Vec<String>,
}

/// Finds the runtime that `kind` names; for `auto`, the best that this machine allows with so many workers.
///
/// # Errors
/// There is no such runtime, or this machine does not allow it: says why and what to change.
pub fn choose(kind: &str, workers: usize) -> io::Result<Choice> {
    choose_by(kind, |info| (info.check)(workers))
}

/// The same for whoever has checked them already, or in another way.
///
/// # Errors
/// As [`choose`].
pub fn choose_by(kind: &str, check: impl Fn(&Info) -> Result<(), String>) -> io::Result<Choice> {
    let is_meant = |info: &&Info| kind == info.name || kind == "auto" && !info.is_for_comparison;
    let mut reasons = Vec::new();
    for info in RUNTIMES.iter().filter(is_meant) {
        match check(info) {
            Ok(()) => return Ok(Choice { info, reasons }),
            Err(reason) => reasons.push(format!("runtime {}: {reason}", info.name)),
        }
    }
    if reasons.is_empty() {
        reasons.push(format!("this build has no runtime \"{kind}\""));
    }
    Err(io::Error::other(reasons.join("; ")))
}

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which worker it is, counted from 0.
    pub worker: usize,
    /// How many client connections it may have to carry: sizes the pool and the crew of `threads`.
    pub connections: usize,
    /// Ends `accept` and `readable` when it is raised, from any thread.
    pub drain: DrainSignal,
    /// Told when the worker's loop exists.
    pub started: Started,
    /// All workers of the process, this one included: those that accept connections share them.
    pub peers: Peers,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even when nothing else runs: it was asked for by nobody.
    #[test]
    fn auto_never_takes_what_is_for_comparison() {
        let only_those = |info: &Info| if info.is_for_comparison { Ok(()) } else { Err("no".to_owned()) };
        let refused = choose_by("auto", only_those).expect_err("it would be taken").to_string();
        for info in RUNTIMES {
            let reason = format!("runtime {}: no", info.name);
            assert_eq!(refused.contains(&reason), !info.is_for_comparison, "{refused}");
            let named = choose_by(info.name, only_those).map(|choice| choice.info.name);
            assert_eq!(named.is_ok(), info.is_for_comparison, "{named:?}");
        }
    }

    #[test]
    #[cfg(feature = "tokio-uring")]
    fn tokio_uring_is_for_comparison() {
        let names = RUNTIMES.iter().filter(|info| info.is_for_comparison).map(|info| info.name);
        assert!(names.eq(["tokio-uring"]));
    }
}
