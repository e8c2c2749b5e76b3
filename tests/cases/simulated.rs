//! Drives a transcript in the simulation: virtual time, and a cut wherever one is wanted.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringway::proxy::{self, Shared};
use ringway::runtime::Runtime;
use ringway::runtime::sim::{Cut, Faults, Place, Sim, Socket, Way, World};
use ringway::telemetry::Log;

use super::language::{Case, Server};
use super::play::{self, Driver};
use super::setup::Addresses;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Bufs of the proxy: few, so that one that is lost is missed.
const BUFS: usize = 32;
/// How much later the bytes behind a cut arrive.
const PAUSE: Duration = Duration::from_millis(3);
/// A direction of up to so many bytes is cut at each place.
const SHORT: u64 = 4000;
/// A longer one at so many of the first and last places, and around the first multiples of a buf's size.
const EDGE: u64 = 200;
const BUF_SIZE: u64 = 4096;

/// A world in which the proxy runs.
struct Simulated {
    world: World,
    proxy: Sim,
    shared: Arc<Shared>,
    addresses: Addresses,
    has_ended: Rc<Cell<bool>>,
}

/// Plays a transcript, whole and then cut at each place in what the proxy reads.
///
/// # Errors
/// What did not go as written, and where it was cut.
pub(crate) fn run(case: &Case) -> Result<(), String> {
    let traffic = run_once(case, None)?;
    if !case.is_cut {
        return Ok(());
    }
    for end in traffic {
        let is_read_by_proxy = (end.way == Way::Forth) == (end.to == listener());
        let places = (0..=end.at).filter(|at| end.at <= SHORT || is_chosen(*at, end.at));
        for at in places.filter(|_| is_read_by_proxy) {
            let place = Place { at, ..end };
            run_once(case, Some(Cut { place, pause: PAUSE }))
                .map_err(|problem| format!("cut at {place:?}: {problem}"))?;
        }
    }
    Ok(())
}

/// Whether a direction of `length` bytes, a long one, is cut here.
fn is_chosen(at: u64, length: u64) -> bool {
    let is_around_buf = (at + 2) % BUF_SIZE < 4 && at < 3 * BUF_SIZE + 4;
    at < EDGE || length - at < EDGE / 4 || is_around_buf
}

fn listener() -> SocketAddr {
    SocketAddr::from((HERE, 8080))
}

/// Plays it once, and says how far each direction of each connection came.
fn run_once(case: &Case, cut: Option<Cut>) -> Result<Vec<Place>, String> {
    let driver = Simulated::start(case, Faults { cut, ..Faults::default() })?;
    play::play(case, &driver)?;
    let traffic = driver.world.traffic();
    driver.end().map_err(|problem| format!("{}: {problem}", case.name))?;
    Ok(traffic)
}

impl Simulated {
    fn start(case: &Case, faults: Faults) -> Result<Self, String> {
        let world = World::new(1, faults);
        let backends: Vec<_> =
            (9001..).take(case.servers.len()).map(|port| SocketAddr::from((HERE, port))).collect();
        for (address, server) in backends.iter().zip(&case.servers) {
            match server {
                Server::Listens => world.listen(*address).map_err(|error| error.to_string())?,
                Server::Refuses => {}
                Server::IsSilent => world.silence(*address),
            }
        }
        let addresses = Addresses { listener: listener(), backends };
        let shared = Shared::new(addresses.config(case, "auto")?, Log::memory());
        let proxy = world.host(HERE, BUFS);
        let listener = proxy.listen(addresses.listener).map_err(|error| error.to_string())?;
        let has_ended = Rc::new(Cell::new(false));
        let (flag, serving) =
            (Rc::clone(&has_ended), proxy::serve(proxy.clone(), vec![listener], Arc::clone(&shared)));
        proxy.spawn(async move {
            serving.await;
            flag.set(true);
        });
        Ok(Self { world, proxy, shared, addresses, has_ended })
    }

    /// Drains the proxy, and looks for what it has lost.
    fn end(self) -> Result<(), String> {
        self.proxy.drain();
        let ended = self.world.run_until(Duration::from_secs(3600), || self.has_ended.get());
        ended.map_err(|stuck| format!("the drain did not end: {stuck}"))?;
        let left = (self.proxy.pool().out(), self.shared.in_flight(), self.shared.connections());
        match left {
            (0, 0, 0) => Ok(()),
            (bufs, exchanges, connections) => Err(format!(
                "after the drain {bufs} bufs are out, {exchanges} exchanges in flight, {connections} connections open"
            )),
        }
    }
}

impl Driver for Simulated {
    type Transport = Socket;
    const PATIENCE: Duration = Duration::from_secs(300);

    fn connect(&self) -> std::io::Result<Socket> {
        self.world.dial(HERE.into(), self.addresses.listener)
    }

    fn accept(&self, server: usize) -> Option<Socket> {
        self.world.answer(*self.addresses.backends.get(server)?).map(|(socket, _)| socket)
    }

    fn wait(&self, patience: Duration, done: &mut dyn FnMut() -> bool) -> bool {
        let (by, mut is_done) = (self.world.now() + patience, false);
        let until = self.world.run_until(patience, || {
            is_done = done();
            is_done
        });
        if until.is_err() {
            // Nothing happens until then: let that time pass.
            self.world.run_for(by.saturating_duration_since(self.world.now()));
        }
        is_done
    }

    fn name(&self, placeholder: &str) -> Option<String> {
        self.addresses.name(placeholder)
    }

    fn log(&self) -> Vec<String> {
        self.shared.log.lines()
    }
}
