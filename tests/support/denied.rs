//! Programs that are started where io_uring is denied.

use std::collections::BTreeMap;
use std::thread;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Calls `start` on a thread that the three system calls of io_uring refuse with this error; what it starts inherits
/// that. The other threads of the test are free as before.
pub(crate) fn without_io_uring<T: Send>(errno: i32, start: impl FnOnce() -> T + Send) -> T {
    let calls = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
    let denied: BTreeMap<_, _> = calls.map(|call| (call, Vec::new())).into();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let refuse = SeccompAction::Errno(errno as u32);
    let filter = SeccompFilter::new(denied, SeccompAction::Allow, refuse, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    thread::scope(|scope| {
        let filtered = scope.spawn(move || {
            apply_filter(&program).unwrap();
            start()
        });
        filtered.join().unwrap()
    })
}
