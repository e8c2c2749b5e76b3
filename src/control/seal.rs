//! The seal: once every worker's loop exists, the process denies itself another ring.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};

/// Set in the number of a system call that is made in the way of x32, which kernels for x86-64 may also take.
const X32: i64 = 0x4000_0000;

/// Denies io_uring_setup to all threads of this process and to all that come after them: it fails with EPERM from now
/// on. Rings that exist go on. It cannot be taken back, and neither can what it asks for: the process and its children
/// gain no privileges by running a program (`no_new_privs`). See seccomp(2), SECCOMP_FILTER_FLAG_TSYNC.
///
/// # Errors
/// The kernel takes no filters, a thread has one of its own, or this processor is not known.
pub fn seal() -> Result<(), seccompiler::Error> {
    apply_filter_all_threads(&program()?)
}

fn program() -> Result<BpfProgram, seccompiler::Error> {
    let mut denied = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
    if cfg!(target_arch = "x86_64") {
        denied.insert(libc::SYS_io_uring_setup | X32, Vec::new());
    }
    let refusal = SeccompAction::Errno(libc::EPERM as u32);
    let arch = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(denied, SeccompAction::Allow, refusal, arch)?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_can_be_made_for_this_processor() {
        assert!(!program().unwrap().is_empty());
    }
}
