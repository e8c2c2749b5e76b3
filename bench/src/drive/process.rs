//! A program with all its child processes: started on certain cores, its CPU time read from its clocks, stopped.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeValLike as _;
use nix::unistd::Pid;

use super::interrupt::{Interrupt, interrupted};
use super::processes::{self, Process};

const POLL: Duration = Duration::from_millis(10);
/// How long a program may take to listen, and to end when it is asked to.
const START: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(4);

/// A running program, in a process group of its own: Ctrl-C on the terminal does not reach it. Dropping it ends it, and
/// so does the end of this process, whatever ends it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

/// Goes on with its arguments if its parent is still the process that its name says.
const IF_NOT_ORPHANED: &str = r#"[ "$PPID" = "$0" ] && exec "$@""#;

/// The command on its cores: `setpriv`, `sh` and `taskset` replace themselves by the program.
fn on_cores(words: &[String], cores: &[usize]) -> Command {
    child_of(std::process::id(), words, cores)
}

/// When the thread that started it is gone, the kernel sends it SIGTERM: nothing is left over after a `kill -9`. The
/// signal lets nginx take its workers along. It tells nothing to a child whose parent was gone before the child could
/// ask for it: such a one sees that it has another parent, and ends.
fn child_of(parent: u32, words: &[String], cores: &[usize]) -> Command {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "sh", "-c", IF_NOT_ORPHANED, &parent.to_string()]);
    command.args(["taskset", "-c", &cores.join(",")]);
    command.args(words).stdin(Stdio::null()).process_group(0);
    command
}

/// Waits until nobody listens on these ports of loopback: what listens there would be measured instead.
///
/// # Errors
///
/// Somebody does not go away.
pub fn wait_until_free(ports: &[u16]) -> io::Result<()> {
    let end = Instant::now() + STOP;
    for port in ports {
        while listens(*port) {
            if Instant::now() > end {
                return Err(io::Error::other(format!("another program listens on port {port}")));
            }
            sleep(POLL);
        }
    }
    Ok(())
}

fn listens(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

impl Program {
    /// Starts it; what it prints goes to the file `log`.
    ///
    /// # Errors
    ///
    /// A program that cannot be started, a log that cannot be written.
    pub fn start(words: &[String], cores: &[usize], log: &Path) -> io::Result<Self> {
        let out = File::create(log)?;
        let mut command = on_cores(words, cores);
        let child = command.stdout(out.try_clone()?).stderr(out).spawn()?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until it accepts connections on this port of loopback.
    ///
    /// # Errors
    ///
    /// It ended, or took too long: with the end of its log.
    pub fn wait_for(&mut self, port: u16) -> io::Result<()> {
        let end = Instant::now() + START;
        while Instant::now() < end {
            if listens(port) {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() {
                break;
            }
            sleep(POLL);
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let tail = log.trim().chars().rev().take(500).collect::<Vec<_>>();
        let tail: String = tail.into_iter().rev().collect();
        Err(io::Error::other(format!("nothing listens on port {port}: {tail}")))
    }

    /// CPU time so far, user and system, of all its processes and of all their threads, those that ended too.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        members(self.group()).into_iter().filter_map(processes::cpu).sum()
    }

    /// Its process group.
    #[must_use]
    pub fn group(&self) -> i32 {
        self.child.id().cast_signed()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = self.group();
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // It may be gone already.
            let _ = killpg(Pid::from_raw(group), signal);
            let end = Instant::now() + STOP;
            while Instant::now() < end {
                let _ = self.child.try_wait();
                if members(group).is_empty() {
                    return;
                }
                sleep(POLL);
            }
        }
    }
}

/// The living processes of a group.
fn members(group: i32) -> Vec<i32> {
    let is_member = |process: &Process| process.group == group && !process.is_zombie;
    processes::all().into_iter().filter(is_member).map(|process| process.pid).collect()
}

/// What a client printed, and the CPU time that it took.
#[derive(Debug)]
pub struct Ran {
    /// Standard output.
    pub text: String,
    /// User and system, with that of its start.
    pub cpu: Duration,
    /// What this program used meanwhile: starting it and waiting for it.
    pub own_cpu: Duration,
    /// From start to end.
    pub elapsed: Duration,
}

/// Runs a client to its end, or until it is interrupted.
///
/// # Errors
///
/// It cannot be started, failed, took longer than `limit`, or was interrupted.
pub fn run_client(words: &[String], cores: &[usize], limit: Duration, stop: &Interrupt) -> io::Result<Ran> {
    let (before, own, start) = (children_cpu()?, own_cpu(), Instant::now());
    let child = on_cores(words, cores).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = wait(child, limit, stop)?;
    let (elapsed, own_cpu) = (start.elapsed(), own_cpu().saturating_sub(own));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{}: {}: {}{text}", words[0], output.status, said.trim())));
    }
    Ok(Ran { text, cpu: children_cpu()?.saturating_sub(before), own_cpu, elapsed })
}

/// CPU time of starting a program on these cores, and of its end, whatever that says.
///
/// # Errors
///
/// Nothing can be started.
pub fn cpu_of_start(words: &[String], cores: &[usize]) -> io::Result<Duration> {
    let before = children_cpu()?;
    on_cores(words, cores).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?.wait()?;
    Ok(children_cpu()?.saturating_sub(before))
}

/// Keeps this thread, and those that it starts, on these cores: the sweep must not meet the proxy on its own. What is
/// started on certain cores is not bound by that.
///
/// # Errors
///
/// Cores that are not there.
pub fn stay_on(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).map_err(io::Error::from)
}

/// What the clients print fits into a pipe, so it can be read at the end.
fn wait(mut child: Child, limit: Duration, stop: &Interrupt) -> io::Result<Output> {
    let end = Instant::now() + limit;
    while child.try_wait()?.is_none() {
        let is_late = Instant::now() > end;
        if is_late || stop.is_raised() {
            child.kill()?;
            child.wait()?;
            let late = || io::Error::other(format!("the client did not end within {limit:?}"));
            return Err(if is_late { late() } else { interrupted() });
        }
        sleep(POLL);
    }
    child.wait_with_output()
}

/// CPU time of this program.
fn own_cpu() -> Duration {
    processes::cpu(std::process::id().cast_signed()).unwrap_or_default()
}

/// CPU time of all children that have ended and been waited for.
fn children_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_parent_is_gone_is_not_started() {
        let says =
            |parent| child_of(parent, &["echo".to_owned(), "started".to_owned()], &[0]).output().unwrap();
        let own = std::process::id();
        assert_eq!(says(own).stdout, b"started\n");
        let orphan = says(own + 1);
        assert!(orphan.stdout.is_empty() && !orphan.status.success());
    }
}
