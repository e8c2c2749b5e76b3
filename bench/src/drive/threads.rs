//! CPU time of the threads of this process.

use std::fs;
use std::time::Duration;

use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;
use nix::unistd::gettid;

/// CPU time so far of every thread but the one that asks, to the moment. The clock of the whole process tells what other
/// threads used up to their cores' last tick only, some milliseconds ago.
#[must_use]
pub fn cpu_of_others() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads = threads.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    threads.filter(|thread| *thread != gettid().as_raw()).filter_map(cpu).sum()
}

/// The number of a thread's clock is made from that of the thread: the complement, the kind "of one thread" (4) and
/// "as scheduled" (2). See `include/linux/posix-timers_types.h` of Linux.
fn cpu(thread: i32) -> Option<Duration> {
    let time = ClockId::from_raw(!thread << 3 | 4 | 2).now().ok()?;
    u64::try_from(time.num_nanoseconds()).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn work_of_another_thread_counts_and_our_own_does_not() {
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let before = cpu_of_others();
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            while cpu_of_others() < before + Duration::from_millis(5) {}
            ends.store(true, Ordering::Relaxed);
        });
        assert!(cpu(gettid().as_raw()).is_some_and(|own| own > Duration::ZERO));
    }
}
