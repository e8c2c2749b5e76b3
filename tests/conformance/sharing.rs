//! Several workers: connections are shared among them, and none is lost on its way from one to another.

use std::any::TypeId;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ringway::runtime::{
    DrainSignal, Listener, Options, Peers, RUNTIMES, Runtime, Started, Stream, Visitor, with_runtime,
};
use socket2::{Domain, Socket, Type};

use crate::stage::*;

/// Trials of each shape: thirty shapes (2 to 16 connections on 2 and on 4 workers) make more than a thousand in all.
const TRIALS: usize = 34;

/// Workers of one process that echo what they hear.
struct Workers {
    addresses: Vec<SocketAddr>,
    peers: Peers,
    drain: DrainSignal,
    /// Connections that each serves.
    serving: Arc<Vec<AtomicUsize>>,
    runs: Vec<JoinHandle<io::Result<()>>>,
}

impl Workers {
    /// A worker for each of `sockets`, with its one listener.
    fn start<R: Runtime>(sockets: Vec<Socket>) -> Self {
        let addresses =
            sockets.iter().map(|socket| socket.local_addr().unwrap().as_socket().unwrap()).collect();
        let (peers, drain) = (Peers::new(sockets.len()).unwrap(), DrainSignal::new().unwrap());
        let serving: Arc<Vec<_>> = Arc::new(sockets.iter().map(|_| AtomicUsize::new(0)).collect());
        let ready = Arc::new(AtomicUsize::new(0));
        let count = sockets.len();
        let start = |(worker, socket)| {
            let (drain, peers, started) = (drain.clone(), peers.clone(), Started::default());
            let options = Options { worker, connections: 512, drain, started, peers };
            let (serving, ready) = (serving.clone(), ready.clone());
            thread::spawn(move || {
                R::run(&options, vec![socket], |runtime, mut listeners| {
                    ready.fetch_add(1, Ordering::SeqCst);
                    echo_all(runtime, listeners.remove(0), worker, serving.clone())
                })
            })
        };
        let runs = sockets.into_iter().enumerate().map(start).collect();
        let workers = Self { addresses, peers, drain, serving, runs };
        workers.until("every worker runs", |_| ready.load(Ordering::SeqCst) >= count);
        workers
    }

    /// So many workers that share one address; a single one where the runtime spreads by itself.
    fn sharing<R: Runtime>(count: usize) -> Self {
        let count = if is_per_core::<R>() { count } else { 1 };
        let first = listening_at(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = first.local_addr().unwrap().as_socket().unwrap();
        let others = (1..count).map(|_| listening_at(address));
        Self::start::<R>(std::iter::once(first).chain(others).collect())
    }

    fn serving(&self) -> Vec<usize> {
        self.serving.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + BOUND;
        while !is_so(self) {
            assert!(Instant::now() < end, "{what}: {:?}, {:?}", self.serving(), self.peers);
            thread::sleep(ms(1) / 10);
        }
    }

    fn until_none(&self) {
        let is_zero = |counts: Vec<usize>| counts.iter().all(|&count| count == 0);
        self.until("no connection is left", |now| is_zero(now.serving()) && is_zero(now.peers.loads()));
    }

    /// Waits until all have ended, which they do after a drain.
    fn end(self) {
        self.drain.raise();
        for run in self.runs {
            run.join().unwrap().unwrap();
        }
        assert!(self.peers.loads().iter().all(|&load| load == 0), "{:?}", self.peers);
    }
}

async fn echo_all<R: Runtime>(
    runtime: R,
    listener: R::Listener,
    worker: usize,
    serving: Arc<Vec<AtomicUsize>>,
) {
    let running = std::rc::Rc::new(());
    while let Some((stream, _)) = listener.accept().await.unwrap() {
        serving[worker].fetch_add(1, Ordering::SeqCst);
        let (theirs, serving, running) = (runtime.clone(), serving.clone(), running.clone());
        runtime.spawn(async move {
            while let Ok(Some(buf)) = stream.recv(late(&theirs)).await {
                stream.send(buf.into(), late(&theirs)).await.unwrap();
            }
            drop((stream, running));
            serving[worker].fetch_sub(1, Ordering::SeqCst);
        });
    }
    until(&runtime, || std::rc::Rc::strong_count(&running) == 1).await;
}

/// Whether a loop is run for each core.
fn is_per_core<R: Runtime>() -> bool {
    struct Is(TypeId);
    impl Visitor for Is {
        type Output = bool;
        fn visit<R: Runtime>(self) -> bool {
            self.0 == TypeId::of::<R>()
        }
    }
    let is_it = |name| with_runtime(name, Is(TypeId::of::<R>())) == Some(true);
    RUNTIMES.iter().any(|info| info.is_per_core && is_it(info.name))
}

fn listening_at(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(4096).unwrap();
    socket
}

fn is_echoed(peer: &mut TcpStream) -> io::Result<()> {
    use std::io::{Read, Write};
    let mut byte = [0];
    peer.write_all(b"x")?;
    peer.read_exact(&mut byte)?;
    assert_eq!(byte, *b"x");
    Ok(())
}

/// Few connections: no worker ever has more than one above the mean.
pub(crate) fn spreads_a_few_connections_evenly<R: Runtime>() {
    for count in [2, 4] {
        let workers = Workers::sharing::<R>(count);
        for connections in 2..=16 {
            for _ in 0..TRIALS {
                let peers: Vec<_> = (0..connections).map(|_| peer(workers.addresses[0])).collect();
                workers.until("all are served", |now| now.serving().iter().sum::<usize>() == connections);
                let serving = workers.serving();
                let mean = connections as f64 / serving.len() as f64;
                let most = serving.iter().max().copied().unwrap();
                assert!(most as f64 <= mean + 1.0, "{connections} connections: {serving:?}");
                if is_per_core::<R>() {
                    assert_eq!(workers.peers.loads(), serving);
                }
                peers.into_iter().for_each(reset);
                workers.until_none();
            }
        }
        workers.end();
    }
}

/// Whoever was connected when the drain began is served, wherever the connection was just then; and nobody who comes
/// later is left hanging.
pub(crate) fn loses_nobody_when_a_drain_begins<R: Runtime>() {
    let before = descriptors();
    let mut handed_over = 0;
    for round in 0..30 {
        let workers = Workers::sharing::<R>(2 + round % 3);
        let (address, drain) = (workers.addresses[0], workers.drain.clone());
        let connected = Arc::new(Barrier::new(5));
        let storm = (0..4).map(|_| {
            let connected = connected.clone();
            thread::spawn(move || {
                let mut early: Vec<_> = (0..25).map(|_| peer(address)).collect();
                connected.wait();
                let late: Vec<_> =
                    (0..25).map_while(|_| TcpStream::connect_timeout(&address, BOUND).ok()).collect();
                for peer in &mut early {
                    is_echoed(peer).expect("was connected before the drain began");
                }
                for peer in late {
                    if let Err(error) = is_echoed(&mut bounded(peer)) {
                        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "hangs");
                    }
                }
            })
        });
        let storm: Vec<_> = storm.collect();
        connected.wait();
        drain.raise();
        storm.into_iter().for_each(|peers| peers.join().unwrap());
        let peers = workers.peers.clone();
        workers.end();
        handed_over += peers.handed_over();
    }
    assert_eq!(handed_over > 0, is_per_core::<R>());
    assert_eq!(descriptors(), before);
}

/// Ten thousand connections that are accepted by one worker and served by the other.
pub(crate) fn leaks_no_descriptor_that_changes_hands<R: Runtime>() {
    if !is_per_core::<R>() {
        // It has no other worker, as `loses_nobody_when_a_drain_begins` asserts.
        return;
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let workers = Workers::start::<R>(vec![listening_at(any), listening_at(any)]);
    let mut stays = peer(workers.addresses[0]);
    is_echoed(&mut stays).unwrap();
    let before = descriptors();
    for round in 0..10_000 {
        if round % 100 == 0 {
            // So that it never misses its deadline.
            is_echoed(&mut stays).unwrap();
        }
        workers.until("one connection is left", |now| now.peers.loads() == [1, 0]);
        let mut peer = peer(workers.addresses[0]);
        is_echoed(&mut peer).unwrap();
        reset(peer);
    }
    workers.until("one connection is left", |now| now.peers.loads() == [1, 0]);
    assert_eq!(workers.peers.handed_over(), 10_000);
    workers.until("all are closed", |_| descriptors() <= before);
    is_echoed(&mut stays).unwrap();
    drop(stays);
    workers.end();
}
