//! What recording costs: one proxy that records by turns and does not, a tenth of a second each, under steady load.
//!
//! Two builds, or two runs of one, differ by more than what is looked for. Here it is the same process, the same
//! connections and the same memory, and what drifts more slowly than a second drifts away. See `bench/README.md`.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use core_affinity::CoreId;
use ringway::config::{Config, Environment};
use ringway::control::{self, Server};
use ringway::telemetry::{Log, switch_recording};
use ringway_bench::drive::backends::Backends;
use ringway_bench::drive::process::Program;
use ringway_bench::drive::threads::cpu_of_others;
use ringway_bench::stats::Estimate;

/// The proxy has this core to itself, and all else the other one.
const PROXY_CORE: usize = 0;
const OTHER_CORE: usize = 1;
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(3);

/// Measure what recording adds to the CPU time of a small request.
#[derive(Parser)]
struct Arguments {
    /// The runtime of the proxy.
    #[arg(long, default_value = "ring")]
    runtime: String,
    /// How long to measure.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// How long recording stays on or off.
    #[arg(long, default_value_t = 100)]
    slice_ms: u64,
    /// Connections of wrk.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Backends, each with histograms of its own.
    #[arg(long, default_value_t = 5)]
    backends: usize,
    /// The folder that gets the figures of every block and the summary, as RUNTIME-CONNECTIONS.csv and .txt.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Given by `cargo bench`, of no use here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The proxy under test.
struct Proxy(Server);

/// What it had done and used at some moment.
#[derive(Clone, Copy)]
struct Reading {
    requests: u64,
    cpu: Duration,
}

/// Nanoseconds of CPU time a request, over four slices: the first of each pair stands for recording, the second for none.
struct Block {
    /// As they are called.
    paired: [f64; 2],
    /// So called, while all recorded: how far two equal things lie apart.
    control: [f64; 2],
}

impl Proxy {
    /// Its threads take the cores of the thread that starts them.
    fn start(runtime: &str, backends: &[u16]) -> Result<Self, Box<dyn Error>> {
        pin(PROXY_CORE)?;
        let backends: Vec<String> = backends.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let text = format!(
            "[runtime]\nkind = \"{runtime}\"\nworkers = 1\n[log]\naccess = \"off\"\n[[listener]]\naddress = \
             \"127.0.0.1:0\"\n[[route]]\nupstream = \"origin\"\n[[upstream]]\nname = \"origin\"\nbackends = \
             [{}]\n",
            backends.join(", ")
        );
        let environment = Environment { cores: 1, descriptors: 4096 };
        let config = Config::parse(&text, "recording.toml", &environment);
        let (config, _) = config.map_err(|errors| format!("{errors:?}"))?;
        let server = control::start(config, Log::off())?;
        pin(OTHER_CORE)?;
        Ok(Self(server))
    }

    fn address(&self) -> SocketAddr {
        self.0.shared().config.listeners[0].address
    }

    /// The CPU time is that of the workers: the thread that reads is left out, and the others have nothing to do.
    fn read(&self) -> Reading {
        let before = cpu_of_others();
        let (_, backends) = self.0.shared().upstreams()[0].state(Instant::now());
        // Whoever reads may lose its core meanwhile.
        let cpu = (before + cpu_of_others()) / 2;
        Reading { requests: backends.iter().map(|backend| backend.picks).sum(), cpu }
    }

    /// Nanoseconds of CPU time, and requests, of one slice.
    fn slice(&self, is_recorded: bool, length: Duration) -> [f64; 2] {
        switch_recording(is_recorded);
        let before = self.read();
        std::thread::sleep(length);
        let after = self.read();
        [(after.cpu - before.cpu).as_nanos() as f64, (after.requests - before.requests) as f64]
    }

    /// Four slices of two kinds, which say whether they record: in the order 0, 1, 1, 0 or the other way round.
    fn pair(&self, is_recorded: [bool; 2], begins_with: usize, length: Duration) -> [f64; 2] {
        let mut sums = [[0.0; 2]; 2];
        for kind in [0, 1, 1, 0].map(|kind| kind ^ begins_with) {
            let [cpu, requests] = self.slice(is_recorded[kind], length);
            sums[kind] = [sums[kind][0] + cpu, sums[kind][1] + requests];
        }
        sums.map(|[cpu, requests]| cpu / requests)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let work = tempfile::tempdir()?;
    let ports = free_ports(arguments.backends)?;
    let _backends = Backends::start(&backends_program()?, &ports, &[], &[OTHER_CORE], work.path())?;
    let proxy = Proxy::start(&arguments.runtime, &ports)?;
    let _load =
        Program::start(&load(&arguments, proxy.address()), &[OTHER_CORE], &work.path().join("wrk.log"))?;
    std::thread::sleep(WARM_UP);
    let blocks = measure(&proxy, &arguments);
    let summary = summary(&arguments, &blocks, &placement()?)?;
    io::stdout().write_all(summary.as_bytes())?;
    if let Some(folder) = &arguments.out {
        let name = format!("{}-{}", arguments.runtime, arguments.connections);
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{name}.csv")), csv(&blocks))?;
        fs::write(folder.join(format!("{name}.txt")), summary)?;
    }
    proxy.0.drain();
    Ok(())
}

fn pin(core: usize) -> io::Result<()> {
    let is_pinned = core_affinity::set_for_current(CoreId { id: core });
    is_pinned
        .then_some(())
        .ok_or_else(|| io::Error::other(format!("core {core} is not to be had: two are needed")))
}

/// Which threads of this process run where, as the kernel has it.
fn placement() -> io::Result<String> {
    let mut threads = Vec::new();
    for entry in fs::read_dir("/proc/self/task")? {
        let status = fs::read_to_string(entry?.path().join("status"))?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        threads.push(format!("{} on {}", field("Name:"), field("Cpus_allowed_list:")));
    }
    threads.sort();
    threads.dedup();
    Ok(threads.join(", "))
}

/// Kept open together, so that they differ.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let bound = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let bound: Vec<TcpListener> = bound.collect::<io::Result<_>>()?;
    bound.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// It outlasts the measurement, and is ended then.
fn load(arguments: &Arguments, address: SocketAddr) -> Vec<String> {
    let connections = format!("-c{}", arguments.connections);
    let duration = format!("-d{:.0}s", arguments.minutes * 60.0 + 60.0);
    ["wrk", "-t1", &connections, &duration, &format!("http://{address}/")].map(str::to_owned).into()
}

/// The sample backends are built into the folder above that of this program.
fn backends_program() -> Result<String, Box<dyn Error>> {
    let program = std::env::current_exe()?.ancestors().nth(2).map(|folder| folder.join("ringway-backends"));
    let program = program.filter(|program| program.exists());
    Ok(program
        .ok_or("build the sample backends first: cargo build --release --workspace")?
        .display()
        .to_string())
}

fn measure(proxy: &Proxy, arguments: &Arguments) -> Vec<Block> {
    let (begun, length) = (Instant::now(), Duration::from_millis(arguments.slice_ms));
    let mut blocks = Vec::new();
    while begun.elapsed().as_secs_f64() < arguments.minutes * 60.0 {
        let first = blocks.len() % 2;
        blocks.push(Block {
            paired: proxy.pair([true, false], first, length),
            control: proxy.pair([true, true], first, length),
        });
    }
    blocks
}

fn summary(arguments: &Arguments, blocks: &[Block], placement: &str) -> Result<String, Box<dyn Error>> {
    let Arguments { runtime, connections, backends, slice_ms, .. } = arguments;
    let count = blocks.len();
    let paired =
        compare(blocks.iter().map(|block| block.paired)).ok_or("too short: measure ten blocks at least")?;
    let control = compare(blocks.iter().map(|block| block.control)).ok_or("too short")?;
    Ok(format!(
        "runtime {runtime}, {connections} kept connections, {backends} backends, {count} blocks of 8 slices of \
         {slice_ms} ms\n\
         threads: {placement}\n\
         recording against none:   {paired}\n\
         recording against itself: {control}\n"
    ))
}

/// How much more the first of each pair is, and the medians of both.
fn compare(pairs: impl Iterator<Item = [f64; 2]> + Clone) -> Option<String> {
    let more = Estimate::of(pairs.clone().map(|[a, b]| (a / b - 1.0) * 100.0))?;
    let [a, b] = [0, 1].map(|kind| Estimate::of(pairs.clone().map(|pair| pair[kind])));
    Some(format!(
        "{:+.2} % of CPU time (95 % interval {:+.2} to {:+.2}); medians {:.0} and {:.0} ns a request",
        more.median, more.low, more.high, a?.median, b?.median
    ))
}

fn csv(blocks: &[Block]) -> String {
    let head = "recorded_ns,unrecorded_ns,control_a_ns,control_b_ns\n".to_owned();
    blocks.iter().fold(head, |mut out, Block { paired: [with, without], control: [a, b] }| {
        let _ = writeln!(out, "{with:.1},{without:.1},{a:.1},{b:.1}");
        out
    })
}
