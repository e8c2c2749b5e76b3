//! The runtimes `monoio` and `monoio-epoll`: the crate monoio with its io_uring driver, and with its epoll driver.
//!
//! Where the crate's defaults are not taken: its ring is set up with SINGLE_ISSUER and DEFER_TASKRUN, as far as the
//! kernel knows them, since interrupting the worker for every completion costs half as much again.
#![expect(
    unsafe_code,
    reason = "bufs are handed to the crate through traits that promise that memory stays in place"
)]

use std::cell::UnsafeCell;
use std::io;
use std::marker::PhantomData;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::ptr::NonNull;
use std::time::Instant;

use ::monoio::buf::{IoBuf, IoBufMut, IoVecBuf};
use ::monoio::io::{AsyncReadRent, AsyncWriteRent};
use ::monoio::time::{Sleep, TimeDriver};
use ::monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use io_uring_of_engines::{Builder, IoUring};

use super::hosted::{Bufs, Engine, Hosted, check};
use super::ring::Unavailable;
use super::{BufMut, Examined, Info};

/// Entries of the submission queue: what one turn submits without a second call.
const SUBMISSIONS: u32 = 512;
/// Entries of the completion queue: two operations may be in flight for each connection.
const COMPLETIONS: u32 = 8192;
/// The most pieces of memory that one send is made of (the kernel's own limit is 1,024).
const PIECES: usize = 64;

/// A worker's loop on monoio's io_uring driver.
pub type Monoio = Hosted<Loop<Uring>>;
/// A worker's loop on monoio's epoll driver.
pub type MonoioEpoll = Hosted<Loop<Epoll>>;

/// The line of [`Monoio`] in the table of runtimes.
pub const INFO: Info = Info {
    name: "monoio",
    about: "the crate monoio on io_uring, one event loop a core",
    is_per_core: true,
    is_for_comparison: false,
    check: |loops| check_uring(loops).map_err(|reason| reason.to_string()),
    examine: Examined::default,
};

/// The line of [`MonoioEpoll`] in the table of runtimes.
pub const EPOLL_INFO: Info = Info {
    name: "monoio-epoll",
    about: "the crate monoio on epoll, one event loop a core: works where io_uring is blocked",
    is_per_core: true,
    is_for_comparison: false,
    check: |_| check::receive_once::<Loop<Epoll>>().map_err(|reason| reason.to_string()),
    examine: Examined::default,
};

/// monoio with one of its drivers.
pub struct Loop<D>(PhantomData<D>);

/// The io_uring driver.
pub struct Uring;

/// The epoll driver.
pub struct Epoll;

/// A descriptor that monoio has registered.
pub struct Attached(UnsafeCell<::monoio::net::TcpStream>);

/// What is different between the drivers.
pub trait Driver: 'static {
    /// Whether connections have to be O_NONBLOCK.
    const IS_NONBLOCKING: bool;

    /// Runs a loop on this thread until `root` is done.
    ///
    /// # Errors
    /// What the kernel refused.
    fn run<F: Future>(root: F) -> io::Result<F::Output>;

    /// See [`Engine::breathe`].
    fn breathe(always: &Attached) -> impl Future<Output = ()>;
}

impl Driver for Uring {
    const IS_NONBLOCKING: bool = false;

    fn run<F: Future>(root: F) -> io::Result<F::Output> {
        Ok(build()?.block_on(root))
    }

    /// With tasks ready, monoio enters the kernel without asking for completions, and under DEFER_TASKRUN there are
    /// none unless they are asked for. So the turns wait for something that is there already.
    async fn breathe(always: &Attached) {
        // It fails only where there is no descriptor, and then the turns go on at once.
        let _ = always.stream().writable(true).await;
    }
}

impl Driver for Epoll {
    const IS_NONBLOCKING: bool = true;

    fn run<F: Future>(root: F) -> io::Result<F::Output> {
        Ok(RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?.block_on(root))
    }

    async fn breathe(_: &Attached) {}
}

/// The ways to set up a ring, the best first.
fn ways() -> Vec<Builder> {
    let mut ways = vec![IoUring::builder(), IoUring::builder(), IoUring::builder()];
    for way in &mut ways {
        way.setup_cqsize(COMPLETIONS).dontfork();
    }
    ways[0].setup_single_issuer().setup_defer_taskrun();
    ways[1].setup_coop_taskrun();
    ways
}

fn build() -> io::Result<::monoio::Runtime<TimeDriver<IoUringDriver>>> {
    build_with(check::best_way(ways, SUBMISSIONS, 1)?)
}

fn build_with(way: Builder) -> io::Result<::monoio::Runtime<TimeDriver<IoUringDriver>>> {
    let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(SUBMISSIONS).uring_builder(way);
    builder.enable_timer().build()
}

fn check_uring(loops: usize) -> Result<(), Unavailable> {
    check::best_way(ways, SUBMISSIONS, loops)?;
    check::receive_once::<Loop<Uring>>()
}

impl<D: Driver> Engine for Loop<D> {
    type Socket = Attached;
    type Sleep = Sleep;
    type Gather = Vec<libc::iovec>;
    const IS_NONBLOCKING: bool = D::IS_NONBLOCKING;

    fn run<F: Future>(root: F) -> io::Result<F::Output> {
        D::run(root)
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        drop(::monoio::spawn(task));
    }

    fn sleep(until: Instant) -> Sleep {
        ::monoio::time::sleep_until(until.into())
    }

    fn reset(sleep: Pin<&mut Sleep>, until: Instant) {
        sleep.reset(until.into());
    }

    fn attach(descriptor: OwnedFd) -> io::Result<Attached> {
        // The crate's type for connections serves for every descriptor: nothing of TCP is asked of it.
        ::monoio::net::TcpStream::from_std(TcpStream::from(descriptor)).map(|stream| Attached(stream.into()))
    }

    async fn readable(socket: &Attached) -> io::Result<()> {
        socket.stream().readable(false).await
    }

    async fn writable(socket: &Attached) -> io::Result<()> {
        socket.stream().writable(false).await
    }

    /// A recv of nothing: TCP completes it when there is something, and tells of errors, which a poll does not.
    async fn has_bytes(socket: &Attached) -> io::Result<()> {
        socket.stream().read(Nothing).await.0.map(drop)
    }

    async fn recv(socket: &Attached, buf: BufMut) -> (io::Result<usize>, BufMut) {
        let (outcome, Room(buf)) = socket.stream().read(Room(buf)).await;
        (outcome, buf)
    }

    async fn send(socket: &Attached, bufs: Bufs, gather: &mut Vec<libc::iovec>) -> (io::Result<usize>, Bufs) {
        if bufs.len() == 1 {
            let (outcome, First(bufs)) = socket.stream().write(First(bufs)).await;
            return (outcome, bufs);
        }
        let (outcome, pieces) = socket.stream().writev(Pieces::new(bufs, std::mem::take(gather))).await;
        *gather = pieces.list;
        (outcome, pieces.bufs)
    }

    async fn breathe(always: &Attached) {
        D::breathe(always).await;
    }
}

impl Attached {
    #[expect(
        clippy::mut_from_ref,
        reason = "the crate takes it by a unique reference where it only reads it"
    )]
    fn stream(&self) -> &mut ::monoio::net::TcpStream {
        // SAFETY: the methods that are called only clone the shared descriptor into the operation, at once, which is
        // why the crate declares the type `Split`: its halves are used at the same time.
        unsafe { &mut *self.0.get() }
    }
}

impl AsFd for Attached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open for as long as the stream is, which is borrowed.
        unsafe { BorrowedFd::borrow_raw((*self.0.get()).as_raw_fd()) }
    }
}

/// Room for no bytes at all.
struct Nothing;

// SAFETY: nothing is ever written.
unsafe impl IoBufMut for Nothing {
    fn write_ptr(&mut self) -> *mut u8 {
        NonNull::dangling().as_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        0
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

/// A buf to receive into.
struct Room(BufMut);

// SAFETY: the memory is the pool's, which is never moved, and nobody else's while the buf is held.
unsafe impl IoBufMut for Room {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.unwritten().as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.0.room()
    }

    unsafe fn set_init(&mut self, _: usize) {
        // Who asked counts what came.
    }
}

/// The first of some bufs, to be sent.
struct First(Bufs);

// SAFETY: the memory is the pool's, which is never moved, and nobody writes to it while the buf is held.
unsafe impl IoBuf for First {
    fn read_ptr(&self) -> *const u8 {
        self.0[0].as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0[0].len()
    }
}

/// Bufs to be sent together.
struct Pieces {
    bufs: Bufs,
    list: Vec<libc::iovec>,
}

impl Pieces {
    fn new(bufs: Bufs, mut list: Vec<libc::iovec>) -> Self {
        list.clear();
        list.extend(
            bufs.iter()
                .take(PIECES)
                .map(|buf| libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() }),
        );
        Self { bufs, list }
    }
}

// SAFETY: the list is on the heap and is not changed while it is held, and neither are the bufs that it points to.
unsafe impl IoVecBuf for Pieces {
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.list.as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.list.len()
    }
}
