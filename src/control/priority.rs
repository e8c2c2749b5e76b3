//! The priority of the control plane's thread: whatever it is asked, it gives way to the workers.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};

/// How much nicer it is than the others: where all cores are busy it gets a tenth of what a worker gets (setpriority(2),
/// sched(7)).
const NICER: i32 = 10;
/// Nobody can be nicer.
const NICEST: i32 = 19;

/// Lowers the priority of the thread that calls it. On Linux each thread has its own, and one that it starts later inherits
/// it.
///
/// # Errors
/// A filter of system calls denies it.
pub(super) fn give_way() -> io::Result<()> {
    let nice = getpriority_process(None)?;
    setpriority_process(None, (nice + NICER).min(NICEST))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_way_alone() {
        let nice = || getpriority_process(None).unwrap();
        let before = nice();
        std::thread::spawn(move || {
            give_way().unwrap();
            assert_eq!(nice(), (before + NICER).min(NICEST));
        })
        .join()
        .unwrap();
        assert_eq!(nice(), before);
    }
}
