//! Why there cannot be a ring here, or not with everything that a ring can do, and what to change.

use std::fmt;
use std::fs;
use std::io;

/// Why something of io_uring cannot be used, and what to do.
#[derive(Debug)]
pub enum Unavailable {
    /// The kernel does not know the system call, or a seccomp filter says so.
    Missing(Hint),
    /// `kernel.io_uring_disabled` forbids it; its value.
    Disabled(u8),
    /// A seccomp filter or a security module forbids it.
    Denied(Hint),
    /// RLIMIT_MEMLOCK or memory is too small.
    NoMemory,
    /// The kernel does not know something; what, and the first version that is known to.
    TooOld(&'static str, &'static str),
    /// A functional self-test found that it does not do what it should; what, and how that was seen.
    Broken(&'static str, String),
    /// A self-test could not be made, for want of something that is not the ring's.
    Untried(io::Error),
    /// A pipe of the wanted size is not granted; what the kernel says.
    SmallPipes(io::Error),
    /// Writing to a closed connection would end the process.
    FatalSigpipe,
    /// splice(2) does not work; what the kernel says.
    NoSplice(io::Error),
    /// Something else.
    Other(io::Error),
}

/// What is known about who refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It is a seccomp filter.
    Filter,
    /// It is no seccomp filter.
    NoFilter,
    /// It may be one.
    Unknown,
}

/// What the system says about itself: helps to tell who refuses. Only ever read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Surroundings {
    /// The value of `kernel.io_uring_disabled`; absent before Linux 6.6.
    pub(super) disabled: Option<u8>,
    /// Whether this process runs under a seccomp filter.
    pub(super) is_filtered: Option<bool>,
}

impl Surroundings {
    /// Reads them.
    pub(super) fn read() -> Self {
        let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self::parse(&disabled, &status)
    }

    /// Understands the text of the sysctl's file and of `/proc/self/status`.
    pub(super) fn parse(disabled: &str, status: &str) -> Self {
        let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
        Self { disabled: disabled.trim().parse().ok(), is_filtered: seccomp.map(|mode| mode.trim() == "2") }
    }

    fn hint(self) -> Hint {
        match self.is_filtered {
            Some(true) => Hint::Filter,
            Some(false) => Hint::NoFilter,
            None => Hint::Unknown,
        }
    }
}

/// What a profile has to allow.
const CALLS: &str = "io_uring_setup, io_uring_enter and io_uring_register";

impl Unavailable {
    /// What a failed set-up means here.
    pub(in crate::runtime) fn from_setup(error: &io::Error) -> Self {
        Self::from_setup_in(error, Surroundings::read())
    }

    /// What a failed set-up means where the system says this of itself.
    pub(super) fn from_setup_in(error: &io::Error, surroundings: Surroundings) -> Self {
        match (error.raw_os_error(), surroundings.disabled) {
            // The kernel has a switch for it, so it has io_uring: whoever says otherwise is a filter.
            (Some(libc::ENOSYS), Some(_)) => Self::Missing(Hint::Filter),
            (Some(libc::ENOSYS), None) if surroundings.is_filtered == Some(false) => {
                Self::Missing(Hint::NoFilter)
            }
            (Some(libc::ENOSYS), None) => Self::Missing(Hint::Unknown),
            (Some(libc::EPERM), Some(value @ 1..)) => Self::Disabled(value),
            (Some(libc::EPERM | libc::EACCES), _) => Self::Denied(surroundings.hint()),
            (Some(libc::ENOMEM), _) => Self::NoMemory,
            (Some(libc::EINVAL), _) => Self::TooOld("SINGLE_ISSUER and DEFER_TASKRUN", "6.1"),
            (Some(code), _) => Self::Other(io::Error::from_raw_os_error(code)),
            (None, _) => Self::Other(error.kind().into()),
        }
    }

    /// What a self-test that failed means: `what` it tried, and `since` when kernels are known to do it.
    pub(super) fn from_trial(error: &io::Error, what: &'static str, since: &'static str) -> Self {
        match error.raw_os_error() {
            Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS) => Self::TooOld(what, since),
            Some(libc::ENOMEM) => Self::NoMemory,
            Some(libc::ENETUNREACH | libc::EADDRNOTAVAIL | libc::EMFILE | libc::ENFILE) => {
                Self::Untried(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or_default()))
            }
            _ => Self::Broken(what, error.to_string()),
        }
    }

    /// What is in the way.
    pub fn why(&self) -> String {
        match self {
            Self::Missing(Hint::Filter) => {
                "io_uring is hidden (ENOSYS): a seccomp filter says that there is none".to_owned()
            }
            Self::Missing(Hint::NoFilter) => {
                "io_uring is missing (ENOSYS): the kernel is older than 5.1 or built without it".to_owned()
            }
            Self::Missing(Hint::Unknown) => {
                "io_uring is missing (ENOSYS): the kernel is older than 5.1 or built without it, or a \
                                             seccomp filter hides it"
                    .to_owned()
            }
            Self::Disabled(1) => {
                "kernel.io_uring_disabled is 1: io_uring is only for the privileged".to_owned()
            }
            Self::Disabled(value) => format!("kernel.io_uring_disabled is {value}: io_uring is switched off"),
            Self::Denied(Hint::Filter) => {
                "io_uring is denied (EPERM), most likely by the seccomp filter that holds this process"
                    .to_owned()
            }
            Self::Denied(Hint::NoFilter) => {
                "io_uring is denied (EPERM), though not by a seccomp filter: a security module does it"
                    .to_owned()
            }
            Self::Denied(Hint::Unknown) => {
                "io_uring is denied (EPERM), most likely by a seccomp filter".to_owned()
            }
            Self::NoMemory => "no memory for the ring (ENOMEM)".to_owned(),
            Self::TooOld(what, _) => format!("the kernel does not know {what}"),
            Self::Broken(what, how) => format!("a self-test of {what} failed: {how}"),
            Self::Untried(error) => format!("the self-tests cannot be made: {error}"),
            Self::SmallPipes(error) => format!("no pipe of 1 MiB is granted: {error}"),
            Self::FatalSigpipe => "SIGPIPE would end the process".to_owned(),
            Self::NoSplice(error) => format!("splice(2) does not work: {error}"),
            Self::Other(error) => format!("the ring could not be set up: {error}"),
        }
    }

    /// What to change.
    pub fn change(&self) -> String {
        match self {
            Self::Missing(Hint::NoFilter) => "run a kernel with io_uring, Linux 6.1 or later".to_owned(),
            Self::Missing(_) | Self::Denied(Hint::Filter | Hint::Unknown) => format!(
                "allow {CALLS} in the seccomp profile (docker and podman: --security-opt seccomp=FILE; systemd: \
                 SystemCallFilter=)"
            ),
            Self::Denied(Hint::NoFilter) => {
                "look for the denial in the log of the security module (SELinux, AppArmor), and allow it there".to_owned()
            }
            Self::Disabled(1) => "run with CAP_SYS_ADMIN, or join the group kernel.io_uring_group, or have the administrator set \
                                  it to 0 (sysctl -w kernel.io_uring_disabled=0)"
                .to_owned(),
            Self::Disabled(_) => {
                "have the administrator set it to 0 (sysctl -w kernel.io_uring_disabled=0)".to_owned()
            }
            Self::NoMemory => "raise RLIMIT_MEMLOCK (ulimit -l; systemd: LimitMEMLOCK=) or free some memory".to_owned(),
            Self::TooOld(_, since) => format!("run Linux {since} or later"),
            Self::Broken(..) => "run a newer kernel, and report this one".to_owned(),
            Self::Untried(_) => "have the loopback interface up (ip link set lo up) and some descriptors left".to_owned(),
            Self::SmallPipes(_) => "raise fs.pipe-max-size to 1048576 and fs.pipe-user-pages-soft, or run with CAP_SYS_RESOURCE"
                .to_owned(),
            Self::FatalSigpipe => "have the process ignore SIGPIPE".to_owned(),
            Self::NoSplice(_) => "allow splice in the seccomp profile".to_owned(),
            Self::Other(_) => "see what the kernel's log says".to_owned(),
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. To change it: {}", self.why(), self.change())
    }
}

impl std::error::Error for Unavailable {}

impl From<Unavailable> for io::Error {
    fn from(why: Unavailable) -> Self {
        io::Error::new(io::ErrorKind::Unsupported, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: i32, disabled: &str, status: &str) -> Unavailable {
        let surroundings = Surroundings::parse(disabled, status);
        Unavailable::from_setup_in(&io::Error::from_raw_os_error(error), surroundings)
    }

    const FREE: &str = "Name:\tringway\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";
    const FILTERED: &str = "Name:\tringway\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn a_refusal_says_what_to_do() {
        for (error, word) in
            [(libc::ENOSYS, "seccomp"), (libc::ENOMEM, "ulimit"), (libc::EINVAL, "Linux 6.1")]
        {
            let why = refused(error, "", "").to_string();
            assert!(why.contains(word), "{why}");
        }
    }

    /// The sysctl is never set for a test: what its file would say is given.
    #[test]
    fn the_sysctl_is_named_with_its_value_and_its_way_out() {
        let only_some = refused(libc::EPERM, "1\n", FREE);
        assert_eq!(only_some.why(), "kernel.io_uring_disabled is 1: io_uring is only for the privileged");
        assert!(only_some.change().contains("kernel.io_uring_group"), "{only_some}");
        let nobody = refused(libc::EPERM, "2\n", FREE);
        assert_eq!(
            nobody.to_string(),
            "kernel.io_uring_disabled is 2: io_uring is switched off. To change it: have the administrator set it to 0 (sysctl -w \
             kernel.io_uring_disabled=0)"
        );
        assert!(matches!(refused(libc::EPERM, "0\n", FREE), Unavailable::Denied(Hint::NoFilter)));
        assert!(matches!(refused(libc::ENOMEM, "2\n", FREE), Unavailable::NoMemory));
    }

    #[test]
    fn what_is_not_the_kernels_fault_is_not_put_on_it() {
        let trial =
            |error| Unavailable::from_trial(&io::Error::from_raw_os_error(error), "recv", "6.1").to_string();
        assert!(trial(libc::ENETUNREACH).contains("ip link set lo up"));
        assert!(trial(libc::EINVAL).contains("the kernel does not know recv"));
        assert!(trial(libc::EIO).contains("report this one"));
    }

    #[test]
    fn a_filter_is_told_from_a_kernel_without_io_uring() {
        assert!(matches!(refused(libc::EPERM, "0\n", FILTERED), Unavailable::Denied(Hint::Filter)));
        assert!(matches!(refused(libc::EPERM, "", ""), Unavailable::Denied(Hint::Unknown)));
        // A kernel with the sysctl has io_uring.
        assert!(matches!(refused(libc::ENOSYS, "0\n", ""), Unavailable::Missing(Hint::Filter)));
        assert!(matches!(refused(libc::ENOSYS, "", FREE), Unavailable::Missing(Hint::NoFilter)));
        assert!(matches!(refused(libc::ENOSYS, "", FILTERED), Unavailable::Missing(Hint::Unknown)));
    }
}
