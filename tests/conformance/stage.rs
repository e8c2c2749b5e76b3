//! The stage of every case: a runtime on a thread of its own, and plain sockets of the test against it.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use ringway::runtime::{Batch, DrainSignal, Listener, Options, Peers, Runtime, Started, Stream};
use socket2::{SockRef, Socket};

/// No wait of a test is longer.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

static ALONE: Mutex<()> = Mutex::new(());

/// What the peers of a case are given.
pub(crate) struct Stage {
    /// Where the runtime listens.
    pub(crate) address: SocketAddr,
    pub(crate) drain: DrainSignal,
}

/// Every case is alone while it holds this: descriptors are counted, and they belong to the whole process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `body` as the `main` of a runtime, and `peer` against it on this thread; returns what both return. At the end
/// no buf is out, and the process has no descriptor more than before.
pub(crate) fn play<R, B, Fut, P>(body: B, peer: impl FnOnce(Stage) -> P) -> (Fut::Output, P)
where
    R: Runtime,
    B: Fn(R, R::Listener) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Send> + 'static,
{
    let before = descriptors();
    let outcome = run(body, peer);
    let end = Instant::now() + BOUND;
    while descriptors() > before && Instant::now() < end {
        thread::sleep(ms(5));
    }
    let after = descriptors();
    assert!(after <= before, "{before} descriptors before, {after} after");
    outcome
}

fn run<R, B, Fut, P>(body: B, peer: impl FnOnce(Stage) -> P) -> (Fut::Output, P)
where
    R: Runtime,
    B: Fn(R, R::Listener) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Send> + 'static,
{
    let (socket, address) = listening();
    let drain = DrainSignal::new().unwrap();
    let options = Options {
        worker: 0,
        connections: 64,
        drain: drain.clone(),
        started: Started::default(),
        peers: Peers::default(),
    };
    let (outcomes, outcome) = mpsc::channel();
    let (ends, end) = mpsc::channel();
    let runner = thread::spawn(move || {
        let main = |runtime: R, mut listeners: Vec<R::Listener>| {
            let (outcomes, pool) = (outcomes.clone(), runtime.pool().clone());
            let playing = body(runtime.clone(), listeners.pop().unwrap());
            async move {
                let outcome = playing.await;
                until(&runtime, || pool.out() == 0).await;
                let _ = outcomes.send(outcome);
            }
        };
        let ran = R::run(&options, vec![socket], main);
        ends.send(ran).unwrap();
    });
    let seen = peer(Stage { address, drain });
    let outcome = outcome.recv_timeout(BOUND).expect("main ends");
    end.recv_timeout(BOUND).expect("run ends").unwrap();
    runner.join().unwrap();
    (outcome, seen)
}

fn listening() -> (Socket, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = Socket::from(listener);
    // With room for more than any case lets wait.
    socket.listen(1024).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    (socket, address)
}

/// Descriptors that the process has open.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A moment that no operation is meant to miss.
pub(crate) fn late<R: Runtime>(runtime: &R) -> Instant {
    runtime.now() + BOUND
}

pub(crate) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Waits until something is so.
pub(crate) async fn until<R: Runtime>(runtime: &R, is_so: impl Fn() -> bool) {
    let end = runtime.now() + BOUND;
    while !is_so() {
        assert!(runtime.now() < end, "waited too long");
        runtime.sleep(runtime.now() + ms(2)).await;
    }
}

/// The next connection.
pub(crate) async fn accept<L: Listener>(listener: &L) -> L::Stream {
    listener.accept().await.unwrap().expect("a connection").0
}

/// Receives exactly so many bytes.
pub(crate) async fn take<R: Runtime>(runtime: &R, stream: &R::Stream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let mut buf = stream.recv(late(runtime)).await.unwrap().expect("more bytes");
        assert!(!buf.is_empty());
        stream.unrecv(buf.split_off(count - bytes.len()));
        bytes.extend_from_slice(&buf);
    }
    bytes
}

/// Sends bytes.
pub(crate) async fn give<R: Runtime>(runtime: &R, stream: &R::Stream, bytes: &[u8]) {
    stream.send(batch(runtime, bytes), late(runtime)).await.unwrap();
}

pub(crate) fn batch<R: Runtime>(runtime: &R, bytes: &[u8]) -> Batch {
    let mut batch = Batch::new(runtime.pool());
    batch.write(bytes);
    batch
}

/// Polls once and drops.
pub(crate) async fn try_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// A peer, whose every wait is bounded.
pub(crate) fn peer(address: SocketAddr) -> TcpStream {
    bounded(TcpStream::connect_timeout(&address, BOUND).unwrap())
}

/// A backend, which the body connects to.
pub(crate) fn backend() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(crate) fn bounded(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.set_write_timeout(Some(BOUND)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Reads to the orderly end.
pub(crate) fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn write(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

/// Closes with RST.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Bytes of which every piece tells its place.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|place| (place ^ (place >> 8) ^ (place >> 16)) as u8).collect()
}
