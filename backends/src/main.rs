//! The sample backends as a program of their own: they run until Ctrl-C.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use ringway_backends::{Addresses, Running, serve_lean, start};

const HELP: &str = "\
Sample backends for Ringway, on loopback unless told otherwise:

  127.0.0.1:8888          the default server
  127.0.0.1:8889          pictures
  127.0.0.1:8890          documents
  127.0.0.1:9000 to 9004  the cluster: each answer names its server

Usage: ringway-backends [--help] [--address IP]
       ringway-backends --lean PORT [PORT...] [--delays MS,MS,...]

  --address IP   listen on this address instead of 127.0.0.1: 0.0.0.0 in a container
  --lean         a server for measurements on each of these ports of 127.0.0.1 instead:
                 cheap, with answers of equal length, each after the next of the delays,
                 in turn; GET /answered says how many requests each port has answered

They run until Ctrl-C. `ringway demo` starts them itself; start them alone to try a configuration of your own.
";

#[expect(clippy::disallowed_macros, reason = "this program has no access log")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => run(Ipv4Addr::LOCALHOST.into()),
        ["--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        ["--address", address] => match address.parse() {
            Ok(address) => run(address),
            Err(_) => misused(&format!("{address:?} is not an IP address")),
        },
        ["--lean", ref rest @ ..] => ended(lean(rest).and_then(|(ports, delays)| serve_lean(&ports, delays))),
        _ => misused(&format!("unknown arguments {arguments:?}; --help says what there is")),
    }
}

fn misused(what: &str) -> ExitCode {
    eprintln!("ringway-backends: {what}");
    ExitCode::FAILURE
}

/// What stands behind `--lean`: where to listen, and the delays.
fn lean(words: &[&str]) -> io::Result<(Vec<SocketAddr>, Vec<Duration>)> {
    let (ports, delays) = match words {
        [ports @ .., "--delays", delays] => (ports, delays.split(',').collect()),
        ports => (ports, Vec::new()),
    };
    let unknown =
        |word: &str| io::Error::other(format!("{word:?} is not a number; --help says what there is"));
    let port = |word: &&str| word.parse().map_err(|_| unknown(word));
    let ports = ports.iter().map(port).collect::<io::Result<Vec<u16>>>()?;
    if ports.is_empty() {
        return Err(io::Error::other("--lean needs at least one port"));
    }
    let delay = |word: &&str| word.parse().map(Duration::from_millis).map_err(|_| unknown(word));
    let delays = delays.iter().map(delay).collect::<io::Result<Vec<Duration>>>()?;
    Ok((ports.into_iter().map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect(), delays))
}

fn run(address: IpAddr) -> ExitCode {
    ended(start(&Addresses::on(address)).and_then(|running| wait_for_ctrl_c(&running)))
}

fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringway-backends: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_macros, reason = "this program has no access log")]
fn wait_for_ctrl_c(running: &Running) -> io::Result<()> {
    let addresses = running.addresses();
    println!("default server  http://{}/", addresses.default);
    println!("pictures        http://{}/", addresses.images);
    println!("documents       http://{}/", addresses.pdf);
    for address in &addresses.cluster {
        println!("cluster         http://{address}/");
    }
    println!("Ctrl-C ends them.");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(tokio::signal::ctrl_c())
}
