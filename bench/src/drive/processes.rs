//! The machine's processes as /proc tells them, with their CPU clocks.

use std::fs;
use std::time::Duration;

use nix::sys::time::TimeValLike as _;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// A clock tick of /proc: the kernel's USER_HZ is 100 on every architecture that we build for.
pub const TICK: Duration = Duration::from_millis(10);

/// One process, from /proc/PID/stat (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its program's name, as short as the kernel keeps it.
    pub name: String,
    /// The process group that it belongs to.
    pub group: i32,
    /// Whether it has ended and waits to be asked for how.
    pub is_zombie: bool,
    /// CPU time of its own so far, in whole ticks; [`cpu`] is more exact.
    pub used: Duration,
    /// CPU time of its children that have ended, and of theirs; in whole ticks.
    pub reaped: Duration,
}

/// Everything that runs now and that this user may see.
#[must_use]
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// The name stands in parentheses and may have some itself, so the last one ends it.
fn parse(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some(Process {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        group: fields.get(2)?.parse().ok()?,
        is_zombie: *fields.first()? == "Z",
        used: TICK * (ticks(11)? + ticks(12)?),
        reaped: TICK * (ticks(13)? + ticks(14)?),
    })
}

/// CPU time of a process so far, user and system, of all its threads, those that ended too.
///
/// To the nanosecond for a process at rest, such as a proxy whose client has ended. A thread that runs on another core
/// has an account that is as old as that core's last timer tick: some milliseconds at the most.
#[must_use]
pub fn cpu(pid: i32) -> Option<Duration> {
    let time = clock_getcpuclockid(Pid::from_raw(pid)).and_then(|clock| clock.now()).ok()?;
    Some(Duration::from_nanos(u64::try_from(time.num_nanoseconds()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b (c) S 1 5 5 0 -1 4194304 10 20 0 0 3 4 50 60 20 0 2 0 1 2 3";
        let process = parse(stat).unwrap();
        assert_eq!((process.pid, process.name.as_str(), process.group), (7, "a) b (c", 5));
        assert!(!process.is_zombie);
        assert_eq!(process.used, Duration::from_millis(70));
        assert_eq!(process.reaped, Duration::from_millis(1100));
        assert_eq!(parse("nothing of the kind"), None);
    }

    #[test]
    fn this_process_is_among_all_and_its_clock_runs() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|process| process.pid == own));
        let before = cpu(own).unwrap();
        assert!(all().len() > 1 && cpu(own).unwrap() > before);
    }
}
