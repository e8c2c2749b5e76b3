//! How much memory a process holds while something goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Resident memory of a process in bytes: `VmRSS` of proc(5). None when it has ended.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

/// Samples the resident memory of a process until it is asked for the largest.
pub(crate) struct Sampler {
    first: u64,
    largest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sampler {
    pub(crate) fn start(pid: u32) -> Self {
        let (largest, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let first = resident(pid).expect("the process runs");
        let thread = thread::spawn({
            let (largest, stop) = (Arc::clone(&largest), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    largest.fetch_max(resident(pid).unwrap_or(0), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(10));
                }
            }
        });
        Self { first, largest, stop, thread }
    }

    /// By how many bytes the process was ever larger than at the start.
    pub(crate) fn growth(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.largest.load(Ordering::Relaxed).saturating_sub(self.first)
    }
}
