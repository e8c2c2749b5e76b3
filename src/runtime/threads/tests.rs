//! What is special about the crew; what it shares with the other runtimes is in the conformance suite.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::*;
use crate::runtime::{DrainSignal, Listener as _, Peers, Started, Stream as _};

const BOUND: Duration = Duration::from_secs(10);

/// A crew that echoes one byte at a time, and tells which thread serves each connection.
struct Echo {
    addresses: Vec<SocketAddr>,
    drain: DrainSignal,
    served_by: Receiver<ThreadId>,
    runs: thread::JoinHandle<io::Result<()>>,
}

impl Echo {
    fn new(connections: usize, addresses: usize) -> Self {
        let drain = DrainSignal::new().unwrap();
        let sockets: Vec<_> = (0..addresses).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let sockets = sockets.into_iter().map(Socket::from).collect();
        let options = Options {
            worker: 0,
            connections,
            drain: drain.clone(),
            started: Started::default(),
            peers: Peers::default(),
        };
        let (serves, served_by) = mpsc::channel();
        let runs = thread::spawn(move || {
            Threads::run(&options, sockets, |runtime, listeners| {
                for listener in listeners {
                    runtime.spawn(accept_all(runtime.clone(), listener, serves.clone()));
                }
                async move {
                    while !runtime.is_draining() {
                        runtime.sleep(runtime.now() + Duration::from_millis(5)).await;
                    }
                }
            })
        });
        Self { addresses, drain, served_by, runs }
    }

    fn connect(&self, listener: usize) -> TcpStream {
        let stream = TcpStream::connect(self.addresses[listener]).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream
    }

    /// A connection that is being served.
    fn served(&self, listener: usize) -> TcpStream {
        let mut stream = self.connect(listener);
        echo(&mut stream).unwrap();
        stream
    }

    fn end(self) {
        self.drain.raise();
        self.runs.join().unwrap().unwrap();
    }
}

async fn accept_all(runtime: Threads, listener: Listener, serves: mpsc::Sender<ThreadId>) {
    while let Some((stream, _)) = listener.accept().await.unwrap() {
        serves.send(thread::current().id()).unwrap();
        let theirs = runtime.clone();
        runtime.spawn(async move {
            while let Some(buf) = stream.recv(theirs.now() + BOUND).await.unwrap() {
                stream.send(buf.into(), theirs.now() + BOUND).await.unwrap();
            }
        });
    }
}

fn echo(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0; 1])
}

#[test]
fn a_thread_serves_one_connection_at_a_time_whatever_the_listener() {
    let crew = Echo::new(8, 2);
    let streams: Vec<_> = (0..6).map(|place| crew.served(place % 2)).collect();
    let mut threads: Vec<_> = crew.served_by.try_iter().collect();
    assert_eq!(threads.len(), 6);
    threads.sort_by_key(|id| format!("{id:?}"));
    threads.dedup();
    assert_eq!(threads.len(), 6);
    drop(streams);
    crew.end();
}

#[test]
fn the_thread_that_became_idle_last_serves_the_next_connection() {
    let crew = Echo::new(8, 1);
    let mut streams: Vec<_> = (0..3).map(|_| crew.served(0)).collect();
    let threads: Vec<_> = crew.served_by.try_iter().collect();
    for place in [2, 0, 0] {
        drop(streams.remove(place));
        thread::sleep(Duration::from_millis(50));
    }
    for _ in 0..5 {
        drop(crew.served(0));
        assert_eq!(crew.served_by.recv_timeout(BOUND).unwrap(), threads[1]);
        thread::sleep(Duration::from_millis(50));
    }
    crew.end();
}

#[test]
fn beyond_the_limit_connections_wait_for_a_thread() {
    let crew = Echo::new(2, 1);
    let streams = [crew.served(0), crew.served(0)];
    let mut third = crew.connect(0);
    third.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(echo(&mut third).is_err(), "both threads are busy");
    third.set_read_timeout(Some(BOUND)).unwrap();
    drop(streams);
    third.read_exact(&mut [0; 1]).unwrap();
    echo(&mut third).unwrap();
    drop(third);
    crew.end();
}

#[test]
fn those_who_wait_are_let_go_when_the_drain_is_out_of_time() {
    let crew = Echo::new(1, 1);
    let _busy = crew.served(0);
    let mut waiting = crew.connect(0);
    // Its `main` waits for nothing once the drain has begun.
    crew.end();
    assert!(echo(&mut waiting).is_err());
}
