//! Drives a transcript against a running proxy: kernel sockets on loopback, real time.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ringway::control::{self, Server as Proxy};
use ringway::telemetry::Log;

use super::language::{Case, Server};
use super::play::{self, Driver};
use super::setup::Addresses;

/// How long a wait sleeps before it looks again.
const NAP: Duration = Duration::from_micros(500);

/// A proxy on a real runtime.
struct Real {
    log: Log,
    addresses: Addresses,
    listeners: Vec<Option<TcpListener>>,
}

/// Plays a transcript once on a runtime.
///
/// # Errors
/// What did not go as written.
pub(crate) fn run(case: &Case, runtime: &str) -> Result<(), String> {
    let (driver, proxy) = start(case, runtime)?;
    let played = play::play(case, &driver).map_err(|problem| format!("{runtime}: {problem}"));
    proxy.drain();
    proxy.join().map_err(|error| format!("{runtime}: {}: {error}", case.name))?;
    played
}

fn start(case: &Case, runtime: &str) -> Result<(Real, Proxy), String> {
    let (mut listeners, mut backends) = (Vec::new(), Vec::new());
    for server in &case.servers {
        let (listener, address) = bind().map_err(|error| error.to_string())?;
        backends.push(address);
        // A port that was just let go refuses connections.
        listeners.push((*server == Server::Listens).then_some(listener));
    }
    let (probe, listener) = bind().map_err(|error| error.to_string())?;
    drop(probe);
    let addresses = Addresses { listener, backends };
    let log = Log::memory();
    let proxy =
        control::start(addresses.config(case, runtime)?, log.clone()).map_err(|error| error.to_string())?;
    Ok((Real { log, addresses, listeners }, proxy))
}

fn bind() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Driver for Real {
    type Transport = TcpStream;
    const PATIENCE: Duration = Duration::from_secs(10);

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.addresses.listener, Self::PATIENCE)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn accept(&self, server: usize) -> Option<TcpStream> {
        let (stream, _) = self.listeners.get(server)?.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(stream)
    }

    fn wait(&self, patience: Duration, done: &mut dyn FnMut() -> bool) -> bool {
        let by = Instant::now() + patience;
        while !done() {
            if Instant::now() >= by {
                return false;
            }
            std::thread::sleep(NAP);
        }
        true
    }

    fn name(&self, placeholder: &str) -> Option<String> {
        self.addresses.name(placeholder)
    }

    fn log(&self) -> Vec<String> {
        self.log.lines()
    }
}
