//! Building a ring, and saying why there cannot be one here.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use io_uring::types::Fd;
use io_uring::{IoUring, opcode};

use super::lent::Lent;
use super::ops::{Kernel, Key, Kind, Ticket};
use super::recv::recv_once;
use crate::runtime::buf::{BUF_SIZE, Pool};

/// Entries of the submission queue: what one turn submits without a second call.
const SUBMISSIONS: u32 = 512;
/// Entries of the completion queue: multishot operations overflow a small one.
const COMPLETIONS: u32 = 8192;

/// Why this runtime cannot run here, and what to do.
#[derive(Debug)]
pub enum Unavailable {
    /// The kernel has no io_uring, or a container's seccomp filter says so.
    Missing,
    /// `kernel.io_uring_disabled` forbids it; its value.
    Disabled(u8),
    /// A seccomp filter or a security module forbids it.
    Denied,
    /// RLIMIT_MEMLOCK or memory is too small.
    NoMemory,
    /// The kernel does not know something that is needed; what.
    TooOld(&'static str),
    /// A self-test failed; which.
    Broken(&'static str),
    /// Something else.
    Other(io::Error),
}

/// Whether a ring can be had: sets one up and receives through it.
///
/// # Errors
/// What is in the way.
pub fn check() -> Result<(), Unavailable> {
    let ring = build().map_err(|error| Unavailable::from_setup(&error))?;
    let pool = Pool::new(2);
    let mut lent =
        Lent::new(&ring, &pool, 2).map_err(|_| Unavailable::TooOld("rings of provided buffers"))?;
    if receive_once(&mut Kernel::new(ring), &mut lent).is_none() {
        // The recv may still be in flight, and the kernel may still write.
        std::mem::forget(lent);
        return Err(Unavailable::Broken("recv into a provided buffer"));
    }
    Ok(())
}

/// A ring with the flags that this loop relies on.
///
/// # Errors
/// What the kernel says.
pub(super) fn build() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(COMPLETIONS)
        .dontfork()
        .build(SUBMISSIONS)
}

/// Whether one accept can serve for all connections. Found out once, by trying: some kernels hand out bad
/// descriptors.
pub(super) fn accept_is_multishot() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| accept_twice().is_some())
}

/// Whether splicing is safe: splice(2) to a closed connection raises SIGPIPE, so that has to be ignored, as it is in
/// Rust programs by default.
pub(super) fn can_splice() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(ignores_sigpipe)
}

impl Unavailable {
    /// What a failed set-up means.
    pub(super) fn from_setup(error: &io::Error) -> Self {
        let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
        match (error.raw_os_error(), disabled.trim()) {
            (Some(libc::ENOSYS), _) => Self::Missing,
            (Some(libc::EPERM), "1") => Self::Disabled(1),
            (Some(libc::EPERM), "2") => Self::Disabled(2),
            (Some(libc::EPERM | libc::EACCES), _) => Self::Denied,
            (Some(libc::ENOMEM), _) => Self::NoMemory,
            (Some(libc::EINVAL), _) => Self::TooOld("SINGLE_ISSUER and DEFER_TASKRUN"),
            _ => Self::Other(io::Error::from(error.kind())),
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(
                f,
                "io_uring is missing (ENOSYS): the kernel is older than 5.1 or built without it, or a container \
                 hides it (podman does: run it with a seccomp profile that allows io_uring)"
            ),
            Self::Disabled(1) => write!(
                f,
                "kernel.io_uring_disabled is 1: run with CAP_SYS_ADMIN, join the group kernel.io_uring_group, or set \
                 it to 0"
            ),
            Self::Disabled(value) => {
                write!(
                    f,
                    "kernel.io_uring_disabled is {value}: set it to 0 (sysctl -w kernel.io_uring_disabled=0)"
                )
            }
            Self::Denied => write!(
                f,
                "io_uring is denied (EPERM): most likely by a seccomp filter (Docker has one: run with a profile that \
                 allows io_uring_setup, io_uring_enter and io_uring_register)"
            ),
            Self::NoMemory => {
                write!(f, "no memory for the ring (ENOMEM): raise RLIMIT_MEMLOCK (ulimit -l) or free some")
            }
            Self::TooOld(what) => write!(f, "the kernel does not know {what}: Linux 6.1 or later does"),
            Self::Broken(what) => write!(f, "a self-test failed: {what}"),
            Self::Other(error) => write!(f, "the ring could not be set up: {error}"),
        }
    }
}

impl std::error::Error for Unavailable {}

impl From<Unavailable> for io::Error {
    fn from(why: Unavailable) -> Self {
        io::Error::new(io::ErrorKind::Unsupported, why)
    }
}

/// Receives one message over loopback.
fn receive_once(kernel: &mut Kernel, lent: &mut Lent) -> Option<()> {
    use std::io::Write;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let mut near = TcpStream::connect(listener.local_addr().ok()?).ok()?;
    let (far, _) = listener.accept().ok()?;
    near.write_all(b"ring").ok()?;
    #[expect(unsafe_code, reason = "see Kernel::push")]
    // SAFETY: the entry points to no memory: the kernel takes bufs from the window.
    unsafe {
        kernel.push(recv_once(Fd(far.as_raw_fd()), BUF_SIZE as u32), Ticket::alone(Kind::Recv));
    }
    kernel.enter(true).ok()?;
    let mut completions = Vec::new();
    kernel.reap(&mut completions);
    let completion = completions.first()?;
    let mut is_right = false;
    lent.adopt(completion.buf()?, usize::try_from(completion.result).ok()?, |buf| {
        is_right = *buf == *b"ring"
    });
    is_right.then_some(())
}

/// Accepts two connections with one operation.
fn accept_twice() -> Option<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let address = listener.local_addr().ok()?;
    let mut kernel = Kernel::new(build().ok()?);
    let entry = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build();
    let ticket = Ticket { kind: Kind::Accept, key: Key { index: 0, generation: 0 } };
    #[expect(unsafe_code, reason = "see Kernel::push")]
    // SAFETY: the entry points to no memory.
    unsafe {
        kernel.push(entry, ticket);
    }
    let is_right = (0..2).all(|_| accepts(&mut kernel, address).is_some());
    kernel.cancel_all();
    kernel.enter(true).ok()?;
    is_right.then_some(())
}

fn accepts(kernel: &mut Kernel, address: std::net::SocketAddr) -> Option<()> {
    kernel.enter(false).ok()?;
    let near = TcpStream::connect(address).ok()?;
    kernel.enter(true).ok()?;
    let mut completions = Vec::new();
    kernel.reap(&mut completions);
    let completion = completions.first().filter(|completion| completion.result >= 0)?;
    #[expect(
        unsafe_code,
        reason = "the kernel hands out a bare number, and whether it is good is asked here"
    )]
    // SAFETY: fcntl on any number is harmless, and a good one was opened for us by the kernel.
    let socket = unsafe {
        if libc::fcntl(completion.result, libc::F_GETFD) < 0 {
            return None;
        }
        TcpStream::from(OwnedFd::from_raw_fd(completion.result))
    };
    let is_it = socket.peer_addr().ok()? == near.local_addr().ok()?;
    (is_it && completion.is_more()).then_some(())
}

#[expect(unsafe_code, reason = "the state of a signal can only be asked for with a bare call")]
fn ignores_sigpipe() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set, and the answer has room.
    let outcome = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeroes are a valid action, and the kernel has overwritten them if it said 0.
    outcome == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
