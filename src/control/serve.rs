//! The life of the process: starts everything, waits for a signal, drains.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::admin::{self, Admin};
use super::launch::{self, Server};
use super::log::{self, LogThread, Reopener};
use super::priority::give_way;
use super::seal::seal;
use crate::config::Config;
use crate::proxy::Shared;
use crate::runtime::NotStarted;
use crate::telemetry::notice;

/// How long the process waits for the access log to be taken when it ends, and when it is to end at once.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
const LOG_IMPATIENCE: Duration = Duration::from_millis(200);

/// How long the workers may take to cut what runs when they are to end at once.
const CUT_PATIENCE: Duration = Duration::from_millis(500);

/// How long the workers' loops may take to come into being before the process goes on without its seal.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the proxy until SIGINT or SIGTERM, then drains; a second signal ends it at once.
///
/// # Errors
/// What kept it from starting, or a worker from running.
pub fn serve(config: Config) -> io::Result<()> {
    serve_then(config, |_| {})
}

/// Runs the sample backends and the proxy in front of them, and says what it started and what to open.
///
/// # Errors
/// As [`serve`], or a backend's address is in use.
pub fn serve_demo(config: Config) -> io::Result<()> {
    let backends = ringway_backends::start(&ringway_backends::Addresses::default())?;
    let result = serve_then(config, |_| notice(format_args!("{DEMO}")));
    drop(backends);
    result
}

const DEMO: &str = "\
eight sample backends run on 127.0.0.1: 8888 (default), 8889 (pictures), 8890 (documents), 9000 to 9004 (cluster).
Open, or try with curl:
  http://127.0.0.1:8080/                 the default backend
  http://127.0.0.1:8080/images/          pictures, the prefix taken off
  http://127.0.0.1:8080/pdf/             documents, likewise
  http://127.0.0.1:8081/                 five backends in turn (curl -i shows X-Backend)
  http://docs.localhost:8080/            two names on one address
  http://pictures.localhost:8080/
What it measures: http://127.0.0.1:9901/, or ringway latency and ringway top in another terminal.
Every exchange is a line below. Ctrl-C finishes what runs and ends.";

fn serve_then(config: Config, announce: impl FnOnce(&Server)) -> io::Result<()> {
    let log = log::start(&config.log)?;
    let result = start_and_wait(config, &log, announce);
    log.end(if result.is_ok() { LOG_PATIENCE } else { LOG_IMPATIENCE });
    result
}

/// Signals are listened to before anything runs: whoever reads the announcement may send one at once.
fn start_and_wait(config: Config, log: &LogThread, announce: impl FnOnce(&Server)) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let signals = {
        let _entered = runtime.enter();
        Signals::new()?
    };
    let socket = admin::bind(config.admin.as_ref())?;
    let mut server = launch::start(config, log.log())?;
    let Ok(confinement) = confine(&mut server) else {
        server.drain();
        return server.join().and(Err(io::Error::other("a worker has ended before it began")));
    };
    introduce(&server);
    notice(format_args!("runtime {}: {}; {confinement}", server.runtime, server.why));
    if let Some(socket) = socket {
        notice(format_args!("admin API on {}", socket.address()));
        // The workers run already: they keep theirs.
        if let Err(error) = give_way() {
            notice(format_args!("the admin API has the priority of the workers: setpriority: {error}"));
        }
        runtime.spawn(admin::serve(socket, Admin::new(&server)));
    }
    announce(&server);
    let shared = Arc::clone(server.shared());
    let result = runtime.block_on(wait(server, signals, log.reopener()));
    if let Some(summary) = admin::summary(&shared) {
        notice(format_args!("what was served:\n{}", summary.trim_end()));
    }
    result
}

/// Waits for the workers' loops, and then lets no other ring come after theirs; says what holds from then on.
///
/// # Errors
/// A worker has ended before its loop existed.
fn confine(server: &mut Server) -> Result<String, NotStarted> {
    let mut confinement = match server.started(START_PATIENCE) {
        Ok(confinement) => confinement,
        Err(NotStarted::Late) => {
            return Ok(format!("not sealed: a worker has not begun within {START_PATIENCE:?}"));
        }
        Err(ended) => return Err(ended),
    };
    confinement.push(match seal() {
        Ok(()) => "sealed: this process can make no other ring".to_owned(),
        Err(error) => format!("not sealed: io_uring_setup cannot be denied: {error}"),
    });
    Ok(confinement.join("; "))
}

/// Says what runs, why not something better, and where it listens.
fn introduce(server: &Server) {
    for reason in &server.reasons {
        notice(format_args!("{reason}"));
    }
    let series = server.shared().meter.series();
    let (beyond, room) = (series.beyond(), series.room());
    if beyond > 0 {
        notice(format_args!(
            "{beyond} backends have no latency percentiles of their own: there is room for \
             {room}, and these are counted together, as (others)"
        ));
    }
    let listeners = &server.shared().config.listeners;
    let addresses: Vec<String> =
        listeners.iter().map(|listener| format!("http://{}", listener.address)).collect();
    notice(format_args!("runtime {}, listening on {}", server.runtime, addresses.join(", ")));
}

/// Waits for the end of the workers, and for signals meanwhile.
async fn wait(server: Server, mut signals: Signals, log: Reopener) -> io::Result<()> {
    let (drain, shared) = (server.drain_signal(), Arc::clone(server.shared()));
    let (sender, mut ended) = oneshot::channel();
    std::thread::Builder::new().name("join".to_owned()).spawn(move || {
        // Nobody waits any more when a second signal has come.
        let _ = sender.send(server.join());
    })?;
    loop {
        let signal = tokio::select! {
            result = &mut ended => return result.unwrap_or_else(|_| Err(io::Error::other("the workers were lost"))),
            signal = signals.next() => signal,
        };
        match signal {
            Wish::Reload => {
                notice(format_args!(
                    "SIGHUP: the configuration cannot be reloaded yet; restart to change it"
                ));
            }
            Wish::Reopen => log.reopen(),
            Wish::End if drain.is_raised() => {
                shared.cut_short();
                shared.log.hurry();
                // The workers cut what runs; what they have not cut by then is closed with the process.
                let _ = tokio::time::timeout(CUT_PATIENCE, ended).await;
                return Err(io::Error::other("ended at once by a second signal"));
            }
            Wish::End => {
                notice(format_args!(
                    "draining: what runs is finished, nothing new is accepted (again to end at once)"
                ));
                drain.raise();
                tokio::task::spawn(hurry_log(Arc::clone(&shared)));
            }
        }
    }
}

/// When a drain has run out of time, no worker may wait for the reader of the log any more.
async fn hurry_log(shared: Arc<Shared>) {
    tokio::time::sleep(shared.config.drain_timeout).await;
    shared.log.hurry();
}

/// What a signal asks for.
enum Wish {
    End,
    Reload,
    Reopen,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    reload: Signal,
    reopen: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
            _ = self.reload.recv() => Wish::Reload,
            _ = self.reopen.recv() => Wish::Reopen,
        }
    }
}
