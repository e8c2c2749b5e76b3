//! What the machine says of itself: only read, never set.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit};
use rustix::system::uname;

/// The facts that decide what can run here.
#[derive(Debug)]
pub(super) struct Machine {
    /// `Linux 6.18.1`.
    pub(super) kernel: String,
    /// `x86_64`.
    pub(super) architecture: String,
    /// How many cores this process may use.
    pub(super) cores: usize,
    /// Open descriptors.
    pub(super) descriptors: Limit,
    /// Bytes of memory that may be locked.
    pub(super) locked_memory: Limit,
    /// The value of the sysctl `kernel.io_uring_disabled`; absent before Linux 6.6.
    pub(super) io_uring_disabled: Option<u8>,
    /// Whether this process runs under a seccomp filter, if that is known.
    pub(super) is_filtered: Option<bool>,
}

/// A limit of this process; absent: none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// What holds.
    pub(super) soft: Option<u64>,
    /// Up to which the process may raise it.
    pub(super) hard: Option<u64>,
}

impl Machine {
    /// Looks around.
    pub(super) fn look() -> Self {
        let name = uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        Self {
            kernel: format!("{} {}", text(name.sysname()), text(name.release())),
            architecture: text(name.machine()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            descriptors: getrlimit(Resource::Nofile).into(),
            locked_memory: getrlimit(Resource::Memlock).into(),
            io_uring_disabled: disabled.trim().parse().ok(),
            is_filtered: seccomp.map(|mode| mode.trim() == "2"),
        }
    }

    /// What the sysctl means.
    pub(super) fn sysctl_in_words(&self) -> String {
        let meaning = match self.io_uring_disabled {
            None => return "not there: this kernel has no switch for io_uring".to_owned(),
            Some(0) => "everybody may use io_uring",
            Some(1) => "only with CAP_SYS_ADMIN, or in the group kernel.io_uring_group",
            Some(_) => "nobody may use io_uring",
        };
        format!("{} ({meaning})", self.io_uring_disabled.unwrap_or_default())
    }
}

impl From<Rlimit> for Limit {
    fn from(limit: Rlimit) -> Self {
        Self { soft: limit.current, hard: limit.maximum }
    }
}
