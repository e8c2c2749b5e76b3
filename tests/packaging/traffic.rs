//! Traffic that takes Ringway through all that it does, on each of its runtimes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ringway_backends::{Addresses, Running, start};
use rustix::process::Signal;

use crate::support::curl::curl;
use crate::support::{OneUpstream, PATIENCE, Proxy, free_address, tool, wait_for};

/// The runtimes of the table that this machine allows.
pub(crate) fn runtimes() -> Vec<&'static str> {
    let (good, bad): (Vec<_>, Vec<_>) =
        ringway::runtime::RUNTIMES.iter().partition(|info| (info.check)(2).is_ok());
    for info in bad {
        crate::skipped(info.name, "this machine does not allow it");
    }
    good.into_iter().map(|info| info.name).collect()
}

/// A proxy's configuration on disk, and the backends behind it: a good one, and one that is not there.
pub(crate) struct Site {
    setup: OneUpstream,
    config: tempfile::NamedTempFile,
    /// For the admin API's socket.
    folder: tempfile::TempDir,
    _backends: Running,
}

impl Site {
    pub(crate) fn new() -> Self {
        let backends = start(&Addresses::ephemeral(0)).unwrap();
        let setup = OneUpstream::new(&[backends.addresses().default, free_address()]);
        let (config, folder) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap());
        let site = Self { setup, config, folder, _backends: backends };
        let admin = format!("[admin]\naddress = \"unix:{}\"\n", site.admin().display());
        std::fs::write(site.config.path(), site.setup.config().to_owned() + &admin).unwrap();
        site
    }

    /// The socket of the admin API.
    fn admin(&self) -> std::path::PathBuf {
        self.folder.path().join("admin.sock")
    }

    pub(crate) fn config(&self) -> &Path {
        self.config.path()
    }

    /// The command line that serves it.
    pub(crate) fn command_line<'a>(&'a self, runtime: &'a str) -> [&'a str; 6] {
        let config = self.config.path().to_str().unwrap();
        [env!("CARGO_BIN_EXE_ringway"), "run", "--config", config, "--runtime", runtime]
    }

    /// Starts it, sends it everything there is, drains it while an exchange runs: it has to end well. What it said.
    pub(crate) fn serve(&self, command: Command) -> Vec<String> {
        let mut proxy = Proxy::through(command, &[self.setup.listener]);
        let exchanges = self.send_everything();
        self.ask_the_admin_api();
        proxy.signal(Signal::HUP);
        proxy.signal(Signal::USR1);
        self.drain_while_an_exchange_runs(&mut proxy);
        assert!(!self.admin().exists(), "the socket is removed");
        let said = proxy.stderr();
        assert!(!said.iter().any(|line| line.contains("priority")), "it may give way: {said:?}");
        let lines = self.setup.log_lines(exchanges + 1);
        assert_eq!(lines.iter().filter(|line| line.contains("GET /slow?ms=800\"")).count(), 1);
        said
    }

    fn ask_the_admin_api(&self) {
        let mode = std::fs::metadata(self.admin()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o660, "{mode:o}");
        for page in ["metrics", "latency", "upstreams", "version"] {
            let socket = self.admin().display().to_string();
            let answer = curl(&["--unix-socket", &socket, &format!("http://admin/{page}")]);
            assert_eq!(answer.status, 200, "{page}: {}", answer.text());
        }
    }

    /// New and kept connections, long bodies both ways, a client that leaves: how many exchanges that were.
    fn send_everything(&self) -> usize {
        const EXCHANGES: usize = 30 + 10 + 1 + 1 + 1;
        let url = |path: &str| self.setup.url(path);
        tool("curl", &["-sS", "--fail", "-m", "60", "-o", "/dev/null", &url("/?[1-30]")]);
        for _ in 0..10 {
            assert_eq!(curl(&[&url("/")]).status, 200);
        }
        assert_eq!(curl(&[&url("/bytes/5000000")]).body.len(), 5_000_000);
        let upload = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(upload.path(), vec![b'x'; 2_000_000]).unwrap();
        let echoed = curl(&[
            "-H",
            "Expect:",
            "--data-binary",
            &format!("@{}", upload.path().display()),
            &url("/echo"),
        ]);
        assert_eq!((echoed.status, echoed.body.len()), (200, 2_000_000));
        let left = Command::new("curl").args(["-s", "-m", "0.3", &url("/slow?ms=1000")]).status().unwrap();
        assert!(!left.success(), "a client that does not wait gets nothing");
        EXCHANGES
    }

    fn drain_while_an_exchange_runs(&self, proxy: &mut Proxy) {
        let url = self.setup.url("/slow?ms=800");
        let slow = thread::spawn(move || curl(&[&url]));
        thread::sleep(Duration::from_millis(300));
        proxy.signal(Signal::TERM);
        wait_for("nothing is accepted any more", PATIENCE, || {
            std::net::TcpStream::connect(self.setup.listener).is_err().then_some(())
        });
        assert_eq!(slow.join().unwrap().status, 200);
        assert_eq!(proxy.ended(PATIENCE).code(), Some(0), "{:?}", proxy.stderr());
    }
}
