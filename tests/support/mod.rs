//! Ringway as its users run it: the program itself, started with a configuration, and what curl says of it.
//!
//! Every wait in here is bounded, and every program that is started is ended with the value that stands for it.

#![allow(dead_code, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

pub(crate) mod curl;
pub(crate) mod denied;
pub(crate) mod resident;
pub(crate) mod runtimes;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything here may take that is not told otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until `probe` has an answer.
pub(crate) fn wait_for<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited {within:?} in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// An address on loopback on which nothing listens. It lies below the ports that the system gives to clients, so
/// that no connection of a load test takes it meanwhile.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() * 61 % 12_000;
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 18_000 + ((start + step) % 12_000) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Held by a test that uses the demo's ports: no other test does at the same time, in no process.
pub(crate) struct DemoPorts {
    _lock: File,
}

impl DemoPorts {
    pub(crate) fn lock() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo-ports.lock");
        let file = File::create(path).unwrap();
        wait_for("the demo's ports are used by another test", Duration::from_secs(300), || {
            file.try_lock().ok()
        });
        Self { _lock: file }
    }
}

/// A running `ringway`, killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    _config: Option<tempfile::TempDir>,
}

impl Proxy {
    /// `ringway demo`, once it accepts on both of its listeners.
    pub(crate) fn demo(runtime: &str) -> Self {
        wait_until_free(&[web(), cluster()]);
        let mut proxy = Self::spawn(&["demo", "--runtime", runtime], None);
        proxy.wait_until_it_accepts(&[web(), cluster()]);
        proxy
    }

    /// `ringway run` with this configuration, once it accepts on these listeners.
    pub(crate) fn run(runtime: &str, config: &str, listeners: &[SocketAddr]) -> Self {
        wait_until_free(listeners);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ringway.toml");
        std::fs::write(&path, config).unwrap();
        let path = path.to_str().unwrap();
        let mut proxy = Self::spawn(&["run", "--config", path, "--runtime", runtime], Some(directory));
        proxy.wait_until_it_accepts(listeners);
        proxy
    }

    /// The program by way of another one, its outputs piped, once it accepts on these listeners.
    pub(crate) fn through(command: Command, listeners: &[SocketAddr]) -> Self {
        wait_until_free(listeners);
        let mut proxy = Self::started(command, None);
        proxy.wait_until_it_accepts(listeners);
        proxy
    }

    fn spawn(arguments: &[&str], config: Option<tempfile::TempDir>) -> Self {
        Self::started(ringway(arguments), config)
    }

    fn started(mut command: Command, config: Option<tempfile::TempDir>) -> Self {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr, _config: config }
    }

    fn wait_until_it_accepts(&mut self, listeners: &[SocketAddr]) {
        for listener in listeners {
            wait_for("the proxy accepts", PATIENCE, || {
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none(), "the proxy ended, {ended:?}: {:?}", self.stderr.all());
                TcpStream::connect_timeout(listener, Duration::from_secs(1)).ok()
            });
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All lines that it has written to its standard output so far.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// All lines that it has written to its standard error so far.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.stderr.all()
    }

    /// What Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its own end.
    pub(crate) fn ended(&mut self, within: Duration) -> ExitStatus {
        wait_for("the proxy ends", within, || self.child.try_wait().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself, which is what both errors would say.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the proxy's standard error: {:#?}", self.stderr.all());
        }
    }
}

/// The kernel takes a ring apart some milliseconds after its process has ended, and its listeners live that long: a
/// connection would reach the last test's.
fn wait_until_free(listeners: &[SocketAddr]) {
    for listener in listeners {
        wait_for(&format!("{listener} is in use"), PATIENCE, || TcpListener::bind(listener).ok());
    }
}

/// Where the demo's file servers are found.
pub(crate) fn web() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))
}

/// Where the demo's cluster is found.
pub(crate) fn cluster() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))
}

/// The program under test, its outputs piped.
pub(crate) fn ringway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program where it should end by itself: exit code, standard output, standard error.
pub(crate) fn ringway_ends(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut proxy = Proxy::spawn(arguments, None);
    let status = proxy.ended(PATIENCE);
    (status.code(), proxy.stdout.finished(), proxy.stderr.finished())
}

/// One listener and one upstream with these backends; the access log goes to the file.
pub(crate) struct OneUpstream {
    pub(crate) listener: SocketAddr,
    log: tempfile::NamedTempFile,
    config: String,
}

impl OneUpstream {
    pub(crate) fn new(backends: &[SocketAddr]) -> Self {
        let listener = free_address();
        let log = tempfile::NamedTempFile::new().unwrap();
        let backends: Vec<String> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
        let config = format!(
            "[runtime]\nworkers = 2\n[log]\naccess = {:?}\nwhen-full = \"wait\"\n\
             [[listener]]\naddress = \"{listener}\"\n[[route]]\nupstream = \"all\"\n\
             [[upstream]]\nname = \"all\"\nfail-for = \"1s\"\nbackends = [{}]\n",
            log.path(),
            backends.join(", ")
        );
        Self { listener, log, config }
    }

    pub(crate) fn run(&self, runtime: &str) -> Proxy {
        Proxy::run(runtime, &self.config, &[self.listener])
    }

    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listener)
    }

    /// The lines of the access log, once there are as many; none may follow soon after.
    pub(crate) fn log_lines(&self, expected: usize) -> Vec<String> {
        let lines = || std::fs::read_to_string(self.log.path()).unwrap();
        wait_for(&format!("{expected} lines in the access log"), PATIENCE, || {
            (lines().lines().count() >= expected).then_some(())
        });
        thread::sleep(Duration::from_millis(100));
        lines().lines().map(str::to_owned).collect()
    }
}

/// The lines of a pipe, read by a thread so that the writer never waits.
struct Lines {
    so_far: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let so_far = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&so_far);
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self { so_far, reader: Some(reader) }
    }

    fn all(&self) -> Vec<String> {
        self.so_far.lock().unwrap().clone()
    }

    fn finished(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.all().join("\n")
    }
}

/// Runs a tool that `scripts/test` installs, and gives its standard output.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> String {
    let output =
        Command::new("timeout").args(["120", name]).args(arguments).stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_ne!(output.status.code(), Some(127), "{name} is not installed: scripts/test installs it");
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

/// A directory for what a test leaves behind for people to look at.
pub(crate) fn leave_behind(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}
