//! The checked configuration: what the file means, as types that cannot be wrong.
//!
//! `mend` leaves out what is not TOML, `walk` goes through the document with the table of `options` in hand, `file`
//! mirrors the TOML, `check` turns it into a [`Config`], `units` and `values` read what is written as a string, and
//! `show` writes a [`Config`] as TOML.

mod admin;
mod check;
mod file;
mod mend;
pub mod options;
mod problem;
mod show;
mod trusted;
pub mod units;
mod values;
mod walk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use crate::balance::Policy;
use crate::route::RouteTable;

pub use admin::AdminAddress;
use admin::DEFAULT_PORT as DEFAULT_ADMIN_PORT;
pub use options::RUNTIME_KINDS;
pub use problem::{Problem, Warning};
pub(crate) use problem::{nearest, quoted};
pub use trusted::{Prefix, Trusted};

/// Everything a process runs with. Ids are indices into its lists.
#[derive(Debug)]
pub struct Config {
    /// Which event loop, and how many of them.
    pub runtime: RuntimeConfig,
    /// Where the admin API listens, if there is one.
    pub admin: Option<AdminAddress>,
    /// The access log.
    pub log: LogConfig,
    /// What holds where a listener, an upstream or a route does not say otherwise.
    pub timeouts: Timeouts,
    /// At least one, no two on the same address.
    pub listeners: Vec<ListenerConfig>,
    /// At least one, no two with the same name.
    pub upstreams: Vec<UpstreamConfig>,
    /// Bounds that hold for the whole process.
    pub limits: Limits,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

/// What the defaults depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Environment {
    /// Cores that this process may use.
    pub cores: usize,
    /// File descriptors that this process may open: the soft limit of RLIMIT_NOFILE.
    pub descriptors: u64,
}

impl Config {
    /// Reads a configuration. `name` is what problems call the file.
    ///
    /// Of a text that is not TOML, the first fault of each statement that cannot be read is reported, and what is wrong
    /// with single values elsewhere, but not what seems to be missing, for that may stand in what could not be read.
    ///
    /// # Errors
    /// Every problem there is, in the order of the file; never none.
    pub fn parse(
        text: &str,
        name: &str,
        environment: &Environment,
    ) -> Result<(Self, Vec<Warning>), Vec<Problem>> {
        let report = problem::Report::new(name);
        let (text, is_mended_whole) = mend::mend(text, &report);
        let (document, errors) = DeTable::parse_recoverable(&text);
        let is_whole = is_mended_whole && errors.is_empty();
        let walk = walk::Walk::new(&text, &report, is_whole);
        let file = file::File::read(&walk.root(document.get_ref()));
        mend::report_rest(&text, &errors, &report);
        let config = if is_whole { check::check(&file, environment, &report) } else { None };
        match (report.into_lists(), config) {
            ((problems, warnings), Some(config)) if problems.is_empty() => Ok((config, warnings)),
            ((problems, _), _) => Err(problems),
        }
    }
}

/// `[runtime]`.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// A name from the table of runtimes, or `auto`.
    pub kind: String,
    /// Event loops, one a core; at least 1.
    pub workers: usize,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Where the access log goes.
    pub access: AccessLog,
    /// How a line looks.
    pub format: LogFormat,
    /// What happens to a line that finds the queue full.
    pub when_full: WhenFull,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// The end of a file.
    File(PathBuf),
}

/// How an access log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Words, for people.
    Text,
    /// One JSON object.
    Json,
}

/// What happens to an access log line that finds the queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is dropped and counted: the log never slows a worker.
    Drop,
    /// The worker waits: every exchange is logged.
    Wait,
}

/// Index of an upstream in [`Config::upstreams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub usize);

/// One `[[listener]]`, with the routes that hold for it.
#[derive(Debug)]
pub struct ListenerConfig {
    /// Its name, or its address where it has none.
    pub name: String,
    /// Where it accepts.
    pub address: SocketAddr,
    /// Clients whose `X-Forwarded-*` fields are believed.
    pub trusted: Trusted,
    /// Timeouts of the connection before a route is known.
    pub timeouts: Timeouts,
    /// The routes of this listener, their timeouts resolved.
    pub routes: RouteTable,
}

/// One `[[upstream]]`.
#[derive(Debug)]
pub struct UpstreamConfig {
    /// Its name.
    pub name: String,
    /// What picks a backend.
    pub policy: &'static Policy,
    /// How long a backend that no connection could be made to is left alone.
    pub fail_for: Duration,
    /// How long a pooled connection to one of its backends is kept.
    pub backend_idle: Duration,
    /// At least one, no two the same.
    pub backends: Vec<BackendConfig>,
}

/// One backend of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendConfig {
    /// Its address.
    pub address: SocketAddr,
    /// Its share, 1 to 256.
    pub weight: u32,
}

/// `[timeouts]`, with what a listener, an upstream and a route (the strongest) say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A whole request head, from its first byte.
    pub head: Duration,
    /// Between two reads or writes of a body.
    pub body: Duration,
    /// All attempts to connect to one backend.
    pub connect: Duration,
    /// From the end of the request to the first byte of the response.
    pub first_byte: Duration,
    /// A kept-alive client connection.
    pub client_idle: Duration,
    /// A pooled backend connection.
    pub backend_idle: Duration,
    /// Silence of one direction of an upgraded connection.
    pub tunnel: Duration,
}

/// `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request or response head: 431, or 502 for a response.
    pub head_size: usize,
    /// Bytes of a request target: 414.
    pub target_size: usize,
    /// Fields of a head: 431, or 502 for a response.
    pub fields: usize,
    /// Bytes of a request body; absent: no limit. 413.
    pub body_size: Option<u64>,
    /// Client connections of the process: 503 beyond.
    pub connections: usize,
}
