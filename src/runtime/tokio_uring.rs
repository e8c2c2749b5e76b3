//! The runtime `tokio-uring`: the crate of that name, for comparison.
#![expect(
    unsafe_code,
    reason = "bufs are handed to the crate through traits that promise that memory stays in place"
)]

use std::cell::OnceCell;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::time::Instant;

use ::tokio_uring::buf::{IoBuf, IoBufMut};
use io_uring_of_engines::{Builder, IoUring};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

use super::hosted::{Bufs, Engine, Hosted, check};
use super::ring::Unavailable;
use super::{Buf, BufMut, Examined, Info};

/// Entries of the submission queue.
const SUBMISSIONS: u32 = 512;
/// Entries of the completion queue: two operations may be in flight for each connection.
const COMPLETIONS: u32 = 8192;
/// The most pieces of memory that one send is made of (the kernel's own limit is 1,024).
const PIECES: usize = 64;

/// A worker's loop on tokio-uring.
pub type TokioUring = Hosted<Loop>;

/// Its line in the table of runtimes.
pub const INFO: Info = Info {
    name: "tokio-uring",
    about: "the crate tokio-uring, one event loop a core: for comparison",
    is_per_core: true,
    is_for_comparison: true,
    check: |loops| check_all(loops).map_err(|reason| reason.to_string()),
    examine: Examined::default,
};

/// The crate's event loop.
pub struct Loop;

/// A descriptor that the crate may use.
pub struct Attached {
    /// Tokio's registration with epoll, made when readiness is first waited for; it goes before the descriptor.
    watched: OnceCell<AsyncFd<Number>>,
    stream: ::tokio_uring::net::TcpStream,
}

/// A descriptor's number.
struct Number(RawFd);

/// The ways to set up a ring, the best first. Not DEFER_TASKRUN: the crate waits until epoll finds the ring readable,
/// which it then never is.
fn ways() -> Vec<Builder> {
    let mut ways = vec![IoUring::builder(), IoUring::builder()];
    for way in &mut ways {
        way.setup_cqsize(COMPLETIONS).dontfork();
    }
    ways[0].setup_single_issuer().setup_coop_taskrun();
    ways
}

fn check_all(loops: usize) -> Result<(), Unavailable> {
    check::best_way(ways, SUBMISSIONS, loops)?;
    check::receive_once::<Loop>()
}

impl Engine for Loop {
    type Socket = Attached;
    type Sleep = Sleep;
    type Gather = ();
    const IS_NONBLOCKING: bool = false;

    fn run<F: Future>(root: F) -> io::Result<F::Output> {
        let way = check::best_way(ways, SUBMISSIONS, 1)?;
        let mut builder = ::tokio_uring::builder();
        builder.entries(SUBMISSIONS).uring_builder(&way);
        Ok(::tokio_uring::Runtime::new(&builder)?.block_on(root))
    }

    fn spawn(task: impl Future<Output = ()> + 'static) {
        drop(::tokio_uring::spawn(task));
    }

    fn sleep(until: Instant) -> Sleep {
        tokio::time::sleep_until(until.into())
    }

    fn reset(sleep: Pin<&mut Sleep>, until: Instant) {
        sleep.reset(until.into());
    }

    fn attach(descriptor: OwnedFd) -> io::Result<Attached> {
        // The crate's type for connections serves for every descriptor: nothing of TCP is asked of it.
        let stream = ::tokio_uring::net::TcpStream::from_std(TcpStream::from(descriptor));
        Ok(Attached { watched: OnceCell::new(), stream })
    }

    async fn readable(socket: &Attached) -> io::Result<()> {
        loop {
            let mut seen = socket.watched()?.readable().await?;
            if socket.is(PollFlags::IN)? {
                return Ok(());
            }
            seen.clear_ready();
        }
    }

    async fn writable(socket: &Attached) -> io::Result<()> {
        loop {
            let mut seen = socket.watched()?.writable().await?;
            if socket.is(PollFlags::OUT)? {
                return Ok(());
            }
            seen.clear_ready();
        }
    }

    /// What Tokio has seen may have been received since, through the ring: a peek tells.
    async fn has_bytes(socket: &Attached) -> io::Result<()> {
        loop {
            let mut seen = socket.watched()?.readable().await?;
            match rustix::net::recv(socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => seen.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn recv(socket: &Attached, mut buf: BufMut) -> (io::Result<usize>, BufMut) {
        let start = buf.unwritten().as_mut_ptr();
        let (outcome, Room { buf, .. }) = socket.stream.read(Room { buf, start }).await;
        (outcome, buf)
    }

    async fn send(socket: &Attached, mut bufs: Bufs, (): &mut ()) -> (io::Result<usize>, Bufs) {
        if bufs.len() == 1
            && let Some(buf) = bufs.pop()
        {
            let (outcome, Piece(buf)) = socket.stream.write(Piece(buf)).submit().await;
            bufs.push(buf);
            return (outcome, bufs);
        }
        let later = if bufs.len() > PIECES { bufs.drain(PIECES..).collect() } else { Bufs::new() };
        let (outcome, pieces) = socket.stream.writev(bufs.into_iter().map(Piece).collect()).await;
        (outcome, pieces.into_iter().map(|Piece(buf)| buf).chain(later).collect())
    }
}

impl Attached {
    fn watched(&self) -> io::Result<&AsyncFd<Number>> {
        if let Some(watched) = self.watched.get() {
            return Ok(watched);
        }
        // SAFETY: the descriptor is the stream's, which is dropped after this.
        let watched = unsafe { AsyncFd::register(Number(self.stream.as_raw_fd()))? };
        Ok(self.watched.get_or_init(|| watched))
    }

    fn is(&self, ready: PollFlags) -> io::Result<bool> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(poll(&mut [PollFd::new(self, ready)], Some(&now))? > 0)
    }
}

impl AsFd for Attached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open for as long as the stream is, which is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }
}

impl AsRawFd for Number {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// A buf to receive into, and where that begins.
struct Room {
    buf: BufMut,
    start: *mut u8,
}

// SAFETY: the memory is the pool's, which is never moved, and nobody else's while the buf is held.
unsafe impl IoBuf for Room {
    fn stable_ptr(&self) -> *const u8 {
        self.start
    }

    fn bytes_init(&self) -> usize {
        0
    }

    fn bytes_total(&self) -> usize {
        self.buf.room()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Room {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.start
    }

    unsafe fn set_init(&mut self, _: usize) {
        // Who asked counts what came.
    }
}

/// A buf to be sent.
struct Piece(Buf);

// SAFETY: the memory is the pool's, which is never moved, and nobody writes to it while the buf is held.
unsafe impl IoBuf for Piece {
    fn stable_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0.len()
    }

    fn bytes_total(&self) -> usize {
        self.0.len()
    }
}
