//! The whole proxy in a simulated world, many seeds long: random clients, backends and faults. See `docs/testing.md`.
//!
//! `SEED=n` runs one seed; a seed that fails says so.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "simulation/actors.rs"]
mod actors;
#[path = "simulation/message.rs"]
mod message;

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actors::{Answer, Ask, Ledger, Manner};
use message::Framing;
use ringway::config::{Config, Environment};
use ringway::proxy::{self, Shared};
use ringway::runtime::Runtime;
use ringway::runtime::sim::{EndAt, Ending, Faults, Place, Random, Sim, Way, World};
use ringway::telemetry::Log;

const SEEDS: u64 = 256;
/// Bufs of a proxy that never has to wait for one.
const PLENTY: usize = 200;
const PROXY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const BACKENDS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const CONFIG: &str = r#"
[log]
access = "off"
[[listener]]
address = "10.0.0.1:80"
[[route]]
upstream = "main"
[[upstream]]
name = "main"
backends = ["10.0.0.3:9001", "10.0.0.3:9002", "10.0.0.3:9003"]
[timeouts]
head = "5s"
body = "5s"
connect = "1s"
first-byte = "5s"
client-idle = "10s"
backend-idle = "2s"
drain = "60s"
"#;

/// A world with the proxy, its backends and nobody who asks yet.
struct Scene {
    world: World,
    proxy: Sim,
    clients: Sim,
    shared: Arc<Shared>,
    ledger: Rc<Ledger>,
    has_ended: Rc<Cell<bool>>,
}

fn listener() -> SocketAddr {
    SocketAddr::from((PROXY, 80))
}

fn backend(number: u16) -> SocketAddr {
    SocketAddr::from((BACKENDS, 9000 + number))
}

impl Scene {
    fn new(seed: u64, faults: Faults, bufs: usize) -> Self {
        let world = World::new(seed, faults);
        let (proxy, clients, backends) =
            (world.host(PROXY, bufs), world.host(CLIENTS, 10_000), world.host(BACKENDS, 10_000));
        let environment = Environment { cores: 1, descriptors: 1024 };
        let (config, _) =
            Config::parse(CONFIG, "simulation", &environment).expect("the configuration is good");
        let shared = Shared::new(config, Log::memory());
        let ledger = Rc::new(Ledger::default());
        for number in 1..=3 {
            let listener = backends.listen(backend(number)).unwrap();
            backends.spawn(actors::backend(backends.clone(), listener, Rc::clone(&ledger)));
        }
        let has_ended = Rc::new(Cell::new(false));
        let listeners = vec![proxy.listen(listener()).unwrap()];
        let (flag, serving) =
            (Rc::clone(&has_ended), proxy::serve(proxy.clone(), listeners, Arc::clone(&shared)));
        proxy.spawn(async move {
            serving.await;
            flag.set(true);
        });
        let state = Arc::clone(&shared);
        world.after_each_step(move || {
            let (exchanges, connections) = (state.in_flight(), state.connections());
            assert!(exchanges <= connections, "{exchanges} exchanges in flight for {connections} clients");
        });
        Self { world, proxy, clients, shared, ledger, has_ended }
    }

    /// Lets it run until all clients have finished, drains the proxy, and looks at what is left.
    fn finish(&self) {
        let run = |until: &Cell<bool>| self.world.run_until(Duration::from_secs(7200), || until.get());
        let ledger = Rc::clone(&self.ledger);
        let result = self.world.run_until(Duration::from_secs(36_000), || ledger.clients.get() == 0);
        result.unwrap_or_else(|stuck| panic!("the clients did not finish: {stuck}"));
        self.proxy.drain();
        run(&self.has_ended).unwrap_or_else(|stuck| panic!("the drain did not end: {stuck}"));
        assert_eq!(self.proxy.pool().out(), 0, "bufs are lost");
        assert_eq!((self.shared.in_flight(), self.shared.connections()), (0, 0), "in flight, open");
        self.check_records();
    }

    /// Where nothing goes wrong everything succeeds, but for a POST over a connection that the backend has just closed.
    fn check_success(&self) {
        let answered = self.ledger.answered.borrow();
        let failed = answered
            .iter()
            .find(|(_, answer)| answer.status != 200 && !(answer.status == 502 && answer.to_post));
        assert_eq!(failed, None, "nothing went wrong, and yet an exchange failed");
        assert!(!answered.is_empty(), "nobody was answered");
    }

    /// Each exchange has at most one record, and exactly one if its client was answered. No POST was sent twice.
    fn check_records(&self) {
        let lines = self.shared.log.lines();
        lines.iter().for_each(|line| check_phases(line));
        for (id, Answer { status, .. }) in &*self.ledger.answered.borrow() {
            let records = lines.iter().filter(|line| line.contains(&format!(" /{id}/"))).count();
            assert!(
                records == 1 || (records == 0 && *status >= 400),
                "{records} records of exchange {id}: {status}"
            );
        }
        let twice = self.ledger.posts.borrow().iter().find(|(_, times)| **times > 1).map(|(id, _)| *id);
        assert_eq!(twice, None, "a POST was sent twice");
    }
}

/// The phases of a record sum to its total, to the microsecond.
fn check_phases(line: &str) {
    let word = |name: &str| {
        let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    let us = |name| word(name).strip_suffix("us").unwrap().parse::<u64>().unwrap();
    let phases = ["head", "queue", "connect", "request", "first-byte", "response"].map(us);
    let total: u64 = word("time").trim_end_matches("ms").replace('.', "").parse().unwrap();
    assert_eq!(phases.iter().sum::<u64>(), total, "{line}");
    assert!(us("added") <= total, "{line}");
}

/// Runs one seed, and says how many responses arrived whole.
fn run_seed(seed: u64) -> usize {
    let draws = Random::new(seed ^ 0x5eed);
    let is_calm = draws.chance(150);
    let faults = if is_calm { Faults::default() } else { draw_faults(&draws) };
    let well_behaved = draws.chance(300);
    let bufs = if draws.chance(300) { 3 + draws.below(10) } else { PLENTY };
    let scene = Scene::new(seed, faults, bufs);
    let count = 1 + draws.below(8);
    scene.ledger.clients.set(count);
    for _ in 0..count {
        let client =
            actors::client(scene.clients.clone(), listener(), Rc::clone(&scene.ledger), well_behaved);
        scene.clients.spawn(client);
    }
    scene.finish();
    if is_calm && well_behaved && bufs == PLENTY {
        scene.check_success();
    }
    scene.ledger.whole.get()
}

/// Each fault is on in some seeds.
fn draw_faults(draws: &Random) -> Faults {
    let sometimes = |per_mille| if draws.chance(300) { per_mille } else { 0 };
    Faults {
        short_read: sometimes(600),
        delay: Duration::from_millis(u64::from(sometimes(20))),
        socket_buf: if draws.chance(300) { 1 + draws.below(3000) } else { 64 * 1024 },
        reset: sometimes(10),
        early_end: sometimes(10),
        reset_erases: sometimes(500),
        refusal: sometimes(100),
        silence: sometimes(30),
        accept_failure: sometimes(200),
        cut: None,
        end: None,
    }
}

#[test]
fn whatever_goes_wrong_no_exchange_gets_what_is_not_its_own() {
    if let Ok(seed) = std::env::var("SEED") {
        run_seed(seed.parse().expect("SEED is a number"));
        return;
    }
    let run = |seed| {
        std::panic::catch_unwind(|| run_seed(seed)).unwrap_or_else(|_| {
            panic!("seed {seed} failed; again with: SEED={seed} cargo test --test simulation whatever")
        })
    };
    let whole: usize = (0..SEEDS).map(run).sum();
    assert!(whole > 1000, "only {whole} responses arrived whole: the faults leave nothing to be tested");
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| {
        let scene = Scene::new(
            seed,
            Faults { short_read: 500, delay: Duration::from_millis(5), ..Faults::default() },
            50,
        );
        scene.ledger.clients.set(2);
        for _ in 0..2 {
            scene.clients.spawn(actors::client(
                scene.clients.clone(),
                listener(),
                Rc::clone(&scene.ledger),
                false,
            ));
        }
        scene.finish();
        (scene.world.steps(), scene.world.elapsed(), scene.world.traffic())
    };
    assert_eq!(run(11), run(11));
}

/// One exchange, with one direction of one connection ending after so many bytes. How long that direction was, and
/// whether the client has seen a whole response of the backend.
fn run_with_end(ask: Ask, end: Option<EndAt>, of: (SocketAddr, Way)) -> (u64, bool) {
    let scene = Scene::new(1, Faults { end, ..Faults::default() }, 50);
    scene.ledger.clients.set(1);
    let (sim, ledger) = (scene.clients.clone(), Rc::clone(&scene.ledger));
    scene.clients.spawn(async move {
        let stream = sim.connect(listener(), sim.now() + message::PATIENCE).await.unwrap();
        actors::converse(&sim, &stream, &[ask], &ledger).await;
        ledger.clients.set(0);
    });
    scene.finish();
    let length =
        scene.world.traffic().iter().find(|place| (place.to, place.way) == of).map_or(0, |place| place.at);
    (length, scene.ledger.whole.get() == 1)
}

#[test]
fn a_message_that_ends_early_anywhere_is_never_taken_for_a_whole_one() {
    let small = |manner, upload| Ask { id: 7, manner, length: 40, upload };
    let asks = [
        small(Manner::Length, Some((30, Framing::Length(30)))),
        small(Manner::Chunked, Some((30, Framing::Chunked))),
        small(Manner::Hints, None),
    ];
    for ask in asks {
        for of in [(backend(1), Way::Back), (listener(), Way::Forth)] {
            let (length, is_whole) = run_with_end(ask, None, of);
            assert!(is_whole && length > 30, "{ask:?}");
            for (at, ending) in (0..length).flat_map(|at| [(at, Ending::Fin), (at, Ending::Rst)]) {
                let place = Place { to: of.0, nth: 0, way: of.1, at };
                let (_, is_whole) = run_with_end(ask, Some(EndAt { place, ending }), of);
                assert!(!is_whole, "{ask:?} ended by {ending:?} at {place:?}");
            }
        }
    }
}
