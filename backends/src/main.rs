//! The sample backends as a program of their own: they run until Ctrl-C.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use ringway_backends::{Addresses, Running, start};

const HELP: &str = "\
Sample backends for Ringway, on loopback unless told otherwise:

  127.0.0.1:8888          the default server
  127.0.0.1:8889          pictures
  127.0.0.1:8890          documents
  127.0.0.1:9000 to 9004  the cluster: each answer names its server

Usage: ringway-backends [--help] [--address IP]

  --address IP   listen on this address instead of 127.0.0.1: 0.0.0.0 in a container

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
        _ => misused(&format!("unknown arguments {arguments:?}; --help says what there is")),
    }
}

fn misused(what: &str) -> ExitCode {
    eprintln!("ringway-backends: {what}");
    ExitCode::FAILURE
}

fn run(address: IpAddr) -> ExitCode {
    match start(&Addresses::on(address)).and_then(|running| wait_for_ctrl_c(&running)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringway-backends: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_macros, reason = "this program has no access log")]
fn wait_for_ctrl_c(running: &Running) -> std::io::Result<()> {
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
