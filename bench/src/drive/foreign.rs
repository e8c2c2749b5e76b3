//! What does not take part: CPU time of other programs by their own clocks, and what the host took.
//!
//! The kernel's totals in /proc/stat are sampled at its timer ticks and told in hundredths of a second: over a run of
//! 50 ms they are wrong by more than such a run could be disturbed. The clocks of processes are exact at rest, and behind
//! by one tick at the most while they run.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::processes::{self, Process, TICK};

/// Every process that does not take part, at one moment.
#[derive(Debug)]
pub struct Census {
    taken: Instant,
    others: BTreeMap<i32, Other>,
    stolen_ticks: u32,
}

#[derive(Debug)]
struct Other {
    name: String,
    cpu: Duration,
    reaped: Duration,
}

/// What they did between two moments, in per cent of one core.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Foreign {
    /// All other programs, the kernel's own threads among them.
    pub pct: f64,
    /// Which one took the most of it; none where that was less than a thousandth of a core.
    pub most: Option<String>,
    /// What the host of a virtual machine certainly took.
    pub stolen_pct: f64,
}

/// A program that took less is not worth its name.
const WORTH_A_NAME_PCT: f64 = 0.1;

impl Census {
    /// Counts everybody but those in these process groups and this process, which is busy with counting itself: what it
    /// uses while a client runs is known otherwise.
    #[must_use]
    pub fn take(ours: &[i32]) -> Self {
        let own = std::process::id().cast_signed();
        let is_other = |process: &Process| process.pid != own && !ours.contains(&process.group);
        let other = |process: Process| {
            // It may have ended since it was listed. Its parent was listed before that, so it must not be forgotten.
            let cpu = processes::cpu(process.pid).unwrap_or(process.used);
            (process.pid, Other { name: process.name, cpu, reaped: process.reaped })
        };
        let others = processes::all().into_iter().filter(is_other).map(other).collect();
        Self { taken: Instant::now(), others, stolen_ticks: stolen_ticks() }
    }

    /// What happened since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Foreign {
        let elapsed = self.taken.duration_since(before.taken);
        let pct = |time: Duration| 100.0 * time.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
        let (used, most) = used(&before.others, &self.others);
        // Somebody who ended while the others were listed may be counted with all of its life.
        let used = used.min(elapsed * all_cores());
        // A tick is told when it is full, whenever it began: only those after the first are certain.
        let stolen = TICK * self.stolen_ticks.saturating_sub(before.stolen_ticks).saturating_sub(1);
        let most = most.filter(|(_, time)| pct(*time) >= WORTH_A_NAME_PCT).map(|(name, _)| name);
        Foreign { pct: pct(used), most, stolen_pct: pct(stolen) }
    }
}

/// CPU time of all together, and the one with the largest part.
///
/// Whoever ended meanwhile has left its time to the parent that waited for it. What it had used before must not count.
fn used(
    before: &BTreeMap<i32, Other>,
    after: &BTreeMap<i32, Other>,
) -> (Duration, Option<(String, Duration)>) {
    let (mut clocks, mut reaped, mut most) = (Duration::ZERO, Duration::ZERO, None::<(String, Duration)>);
    for (pid, now) in after {
        let then = before.get(pid).map_or((Duration::ZERO, Duration::ZERO), |then| (then.cpu, then.reaped));
        let (own, of_children) = (now.cpu.saturating_sub(then.0), now.reaped.saturating_sub(then.1));
        clocks += own;
        reaped += of_children;
        let time = own + of_children;
        if most.as_ref().is_none_or(|(_, highest)| time > *highest) {
            most = Some((now.name.clone(), time));
        }
    }
    let ended = before.iter().filter(|(pid, _)| !after.contains_key(*pid));
    let of_ended: Duration = ended.map(|(_, then)| then.cpu + then.reaped).sum();
    (clocks + reaped.saturating_sub(of_ended), most)
}

/// Of this machine, whoever may use them.
fn all_cores() -> u32 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let cores = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    u32::try_from(cores).unwrap_or(1).max(1)
}

/// Time that the host of this virtual machine gave to others, of all cores (proc_stat(5)); 0 where it does not tell.
fn stolen_ticks() -> u32 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let steal = stat.lines().next().and_then(|line| line.split_whitespace().nth(8));
    steal.and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn other(name: &str, cpu_ms: u64, reaped_ms: u64) -> Other {
        let (cpu, reaped) = (Duration::from_millis(cpu_ms), Duration::from_millis(reaped_ms));
        Other { name: name.to_owned(), cpu, reaped }
    }

    #[test]
    fn what_ended_is_counted_once_and_only_from_the_first_moment_on() {
        let before = BTreeMap::from([(1, other("cargo", 5, 100)), (2, other("rustc", 700, 0))]);
        // rustc used 50 ms more and ended: cargo has its 750 ms. A new program used 30 ms.
        let after = BTreeMap::from([(1, other("cargo", 5, 850)), (3, other("vim", 30, 0))]);
        let (time, most) = used(&before, &after);
        assert_eq!(time, Duration::from_millis(80));
        assert_eq!(most.unwrap().0, "cargo");
    }

    #[test]
    fn somebody_who_ended_unseen_takes_nothing_away() {
        let before = BTreeMap::from([(1, other("a", 5, 0)), (2, other("b", 700, 0))]);
        let after = BTreeMap::from([(1, other("a", 25, 0))]);
        assert_eq!(used(&before, &after).0, Duration::from_millis(20));
    }

    #[test]
    fn nobody_takes_more_than_the_machine_has() {
        let before = Census { taken: Instant::now(), others: BTreeMap::new(), stolen_ticks: 7 };
        let others = BTreeMap::from([(1, other("cargo", 0, 3_600_000))]);
        let taken = before.taken + Duration::from_millis(100);
        let found = Census { taken, others, stolen_ticks: 10 }.since(&before);
        assert!((found.pct - 100.0 * f64::from(all_cores())).abs() < 1e-6, "{found:?}");
        assert_eq!(found.most.as_deref(), Some("cargo"));
        // Two of the three ticks are certain.
        assert!((found.stolen_pct - 20.0).abs() < 1e-6, "{found:?}");
    }

    /// A program that burns time is seen, in a window far shorter than what a tick could tell of.
    #[test]
    fn a_busy_program_is_seen_by_name_unless_it_takes_part() {
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let pid = i32::try_from(busy.id()).unwrap();
        let used_of = |census: &Census| census.others.get(&pid).map(|other| other.cpu);
        let before = Census::take(&[]);
        let end = Instant::now() + Duration::from_secs(20);
        let after = loop {
            let after = Census::take(&[]);
            if used_of(&after) > used_of(&before).map(|cpu| cpu + Duration::from_millis(2)) {
                break after;
            }
            assert!(Instant::now() < end, "it never ran");
        };
        assert!(after.since(&before).pct > 0.0);
        let group = processes::all().into_iter().find(|process| process.pid == pid).unwrap().group;
        assert!(used_of(&Census::take(&[group])).is_none());
        busy.kill().unwrap();
        busy.wait().unwrap();
    }
}
