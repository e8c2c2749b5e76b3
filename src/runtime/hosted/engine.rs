//! What a crate's event loop has to give to be a host.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::time::Instant;

use smallvec::SmallVec;

use crate::runtime::{Buf, BufMut};

/// What one operation sends, in order and none of it empty.
pub type Bufs = SmallVec<[Buf; 2]>;

/// A crate's event loop, one on a thread. All functions but [`Engine::run`] are called inside of it.
///
/// The futures are polled by tasks of the engine and never dropped before they are ready, so that nothing is ever
/// cancelled. Each operation owns what it is given until the kernel has let go of it.
pub trait Engine: Sized + 'static {
    /// A descriptor in the engine's hands, closed on drop.
    type Socket: AsFd + 'static;
    /// A wait for a moment.
    type Sleep: Future<Output = ()> + 'static;
    /// Memory in which sends list their pieces, used again.
    type Gather: Default + 'static;
    /// Whether connections have to be O_NONBLOCK; io_uring waits only for those that are not.
    const IS_NONBLOCKING: bool;

    /// Runs a loop on this thread until `root` is done.
    ///
    /// # Errors
    /// What the kernel refused, if the loop could not be set up.
    fn run<F: Future>(root: F) -> io::Result<F::Output>;

    /// Starts a task of the engine.
    fn spawn(task: impl Future<Output = ()> + 'static);

    /// Waits until a moment.
    fn sleep(until: Instant) -> Self::Sleep;

    /// Moves the moment.
    fn reset(sleep: Pin<&mut Self::Sleep>, until: Instant);

    /// Takes in a descriptor.
    ///
    /// # Errors
    /// What the kernel says.
    fn attach(descriptor: OwnedFd) -> io::Result<Self::Socket>;

    /// Waits until a descriptor of any kind is readable.
    fn readable(socket: &Self::Socket) -> impl Future<Output = io::Result<()>>;

    /// Waits until a descriptor is writable.
    fn writable(socket: &Self::Socket) -> impl Future<Output = io::Result<()>>;

    /// Waits until a connection has bytes, or has ended, holding no buf. An error of the connection is told here.
    fn has_bytes(socket: &Self::Socket) -> impl Future<Output = io::Result<()>>;

    /// Receives into what is not written of a buf; returns how many bytes came.
    fn recv(socket: &Self::Socket, buf: BufMut) -> impl Future<Output = (io::Result<usize>, BufMut)>;

    /// Sends some of the bytes; returns how many.
    fn send(
        socket: &Self::Socket,
        bufs: Bufs,
        gather: &mut Self::Gather,
    ) -> impl Future<Output = (io::Result<usize>, Bufs)>;

    /// Lets the kernel have its turn while tasks are ready; `always` is a descriptor that is always writable. To give
    /// way to the engine's other tasks does in most engines.
    fn breathe(always: &Self::Socket) -> impl Future<Output = ()> {
        let _ = always;
        async {}
    }
}
