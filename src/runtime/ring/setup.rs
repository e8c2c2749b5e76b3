//! Building a ring, and what this kernel's rings are able to do.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use io_uring::IoUring;

use super::probe;
use super::unavailable::Unavailable;

/// Entries of the submission queue: what one turn submits without a second call.
const SUBMISSIONS: u32 = 512;
/// Entries of the completion queue: multishot operations overflow a small one.
const COMPLETIONS: u32 = 8192;

/// How long memory for rings is waited for, and how long between two tries.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// What the loop does in a better way where the kernel is able to, as functional self-tests found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abilities {
    /// One accept serves for all connections; some kernels hand out bad descriptors.
    pub(super) multishot_accept: bool,
    /// One recv serves for many messages.
    pub(super) multishot_recv: bool,
    /// A recv fills as many bufs as there are bytes for.
    pub(super) bundles: bool,
    /// A ring takes what another one sends, on another thread.
    pub(super) messages: bool,
    /// A ring can be restricted to a list of operations.
    pub(super) restrictions: bool,
}

impl Abilities {
    /// What self-tests find. They run once, when the first ring of the process is made: later the process may have denied
    /// itself the rings that they need.
    pub(super) fn found() -> Self {
        static FOUND: OnceLock<Abilities> = OnceLock::new();
        // A passing want of memory says nothing of the kernel.
        let passes = |trial: fn() -> io::Result<()>| patiently(trial).is_ok();
        *FOUND.get_or_init(|| Self {
            multishot_accept: passes(probe::accept_twice),
            multishot_recv: passes(probe::receive_twice),
            bundles: passes(probe::receive_bundles),
            messages: passes(probe::send_to_another_ring),
            restrictions: passes(probe::refuse_what_is_not_listed),
        })
    }
}

/// Whether the ring is able to do anything before it is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// At once.
    Enabled,
    /// It has to be enabled first, and can be restricted until then.
    Disabled,
}

/// Whether so many workers can have a ring each: sets them up, all at once, and receives through one.
///
/// # Errors
/// What is in the way.
pub fn check(workers: usize) -> Result<(), Unavailable> {
    let all = || (0..workers).map(|_| build(Beginning::Enabled)).collect::<io::Result<Vec<IoUring>>>();
    patiently(all).map_err(|error| Unavailable::from_setup(&error))?;
    patiently(probe::receive)
        .map_err(|error| Unavailable::from_trial(&error, "recv into a provided buffer", "6.1"))?;
    // Here, so that no worker has to wait for it.
    Abilities::found();
    Ok(())
}

/// A ring with the flags that this loop relies on.
///
/// # Errors
/// What the kernel says.
pub(super) fn build(beginning: Beginning) -> io::Result<IoUring> {
    build_sized(beginning, SUBMISSIONS, COMPLETIONS)
}

/// The same with queues of another size.
///
/// # Errors
/// What the kernel says.
pub(super) fn build_sized(beginning: Beginning, submissions: u32, completions: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(completions)
        .dontfork();
    if beginning == Beginning::Disabled {
        builder.setup_r_disabled();
    }
    builder.build(submissions)
}

/// Makes rings; where memory is short, again for a second: the kernel gives the memory of a ring back some time after it
/// was closed, and the self-tests, or the process that this one replaces, have just closed some.
///
/// # Errors
/// What the kernel says.
pub(in crate::runtime) fn patiently<T>(make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let by = Instant::now() + PATIENCE;
    loop {
        match make() {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && Instant::now() < by => {
                std::thread::sleep(PAUSE);
            }
            made => return made,
        }
    }
}

/// Whether splicing is possible and safe: a seccomp profile may forbid it, and splice(2) to a closed connection raises
/// SIGPIPE, so that has to be ignored, as it is in Rust programs by default.
pub(in crate::runtime) fn can_splice() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| ignores_sigpipe() && probe::splice_between_pipes().is_ok())
}

#[expect(unsafe_code, reason = "the state of a signal can only be asked for with a bare call")]
fn ignores_sigpipe() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set, and the answer has room.
    let outcome = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeroes are a valid action, and the kernel has overwritten them if it said 0.
    outcome == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
