//! The ring runtime on real sockets: each promise of the seam, and what only this runtime could get wrong.
#![cfg(feature = "ring")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/runtimes.rs"]
mod runtimes;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ringway::runtime::ring::{Ring, RingListener, RingStream};
use ringway::runtime::{
    Batch, DrainSignal, Listener, Options, Peers, RelayEnd, Runtime, Started, Stream, is_stopped, join,
};
use socket2::{Domain, SockRef, Socket, Type};

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(100);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Descriptors are counted for the whole process, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn listening(backlog: i32) -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.listen(backlog).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A test's handles: the loop, its one listener, and that listener's address.
#[derive(Clone)]
struct Stage {
    ring: Ring,
    listener: Rc<RingListener>,
    address: SocketAddr,
}

impl Stage {
    fn soon(&self) -> Instant {
        self.ring.now() + SOON
    }

    fn limit(&self) -> Instant {
        Instant::now() + LIMIT
    }

    async fn accept(&self) -> RingStream {
        self.listener.accept().await.unwrap().unwrap().0
    }

    /// A connection of which both ends are on the ring.
    async fn pair(&self) -> (RingStream, RingStream) {
        let (near, far) = join(self.ring.connect(self.address, self.limit()), self.accept()).await;
        (near.unwrap(), far)
    }

    /// A connection whose other end is an ordinary socket.
    async fn peer(&self) -> (RingStream, TcpStream) {
        let address = self.address;
        let peer = thread::spawn(move || TcpStream::connect(address).unwrap());
        let stream = self.accept().await;
        let peer = peer.join().unwrap();
        peer.set_read_timeout(Some(LIMIT)).unwrap();
        peer.set_write_timeout(Some(LIMIT)).unwrap();
        (stream, peer)
    }

    async fn send(&self, stream: &RingStream, bytes: &[u8]) {
        stream.send(self.batch(bytes), self.limit()).await.unwrap();
    }

    fn batch(&self, bytes: &[u8]) -> Batch {
        let mut batch = Batch::new(self.ring.pool());
        batch.write(bytes);
        batch
    }

    async fn recv(&self, stream: &RingStream) -> Option<Vec<u8>> {
        let buf = stream.recv(self.limit()).await.unwrap();
        buf.map(|buf| {
            assert!(!buf.is_empty(), "recv lent nothing");
            buf.to_vec()
        })
    }

    async fn recv_exactly(&self, stream: &RingStream, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let mut buf = stream.recv(self.limit()).await.unwrap().expect("more bytes");
            let rest = buf.split_off(count - bytes.len());
            stream.unrecv(rest);
            bytes.extend_from_slice(&buf);
        }
        bytes
    }
}

/// Runs a test on a ring; afterwards no descriptor and no buf may be left over.
fn on_ring<F, Fut>(test: F)
where
    F: Fn(Stage) -> Fut + Sync,
    Fut: Future<Output = ()> + 'static,
{
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !runtimes::is_allowed("ring") {
        return;
    }
    let before = descriptors();
    {
        let (socket, address) = listening(1024);
        let options = Options {
            worker: 0,
            connections: 1000,
            drain: DrainSignal::new().unwrap(),
            started: Started::default(),
            peers: Peers::default(),
        };
        run(&options, socket, address, test);
    }
    assert_eq!(descriptors(), before, "descriptors are left over");
}

fn run<F, Fut>(options: &Options, socket: Socket, address: SocketAddr, test: F)
where
    F: Fn(Stage) -> Fut + Sync,
    Fut: Future<Output = ()> + 'static,
{
    Ring::run(options, vec![socket], |ring, mut listeners| {
        let listener = Rc::new(listeners.remove(0));
        let done = test(Stage { ring: ring.clone(), listener, address });
        async move {
            done.await;
            let end = Instant::now() + LIMIT;
            while ring.pool().out() > 0 {
                assert!(Instant::now() < end, "{} bufs are left over", ring.pool().out());
                ring.sleep(ring.now() + Duration::from_millis(1)).await;
            }
        }
    })
    .unwrap();
}

/// Bytes of which each says where it is.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// What an ordinary socket gets until the end, or the error that ended it.
fn read_all(mut peer: TcpStream) -> thread::JoinHandle<std::io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).map(|_| bytes)
    })
}

/// Waits for a thread without keeping the loop from its turns.
async fn joined<T>(ring: &Ring, thread: thread::JoinHandle<T>) -> T {
    let end = Instant::now() + LIMIT;
    while !thread.is_finished() {
        assert!(Instant::now() < end, "a peer does not come to an end");
        ring.sleep(ring.now() + Duration::from_millis(1)).await;
    }
    thread.join().unwrap()
}

#[test]
fn bytes_go_both_ways_and_the_end_is_told_again_and_again() {
    on_ring(|stage| async move {
        let (near, far) = stage.pair().await;
        for round in 0..5u8 {
            stage.send(&near, &[round; 10]).await;
            assert_eq!(stage.recv(&far).await.unwrap(), [round; 10]);
            stage.send(&far, &[round + 100; 20]).await;
            assert_eq!(stage.recv(&near).await.unwrap(), [round + 100; 20]);
        }
        assert!(near.is_idle() && far.is_idle());
        near.shutdown_send().await.unwrap();
        assert_eq!(stage.recv(&far).await, None);
        assert_eq!(stage.recv(&far).await, None);
        assert!(!far.is_idle());
        stage.send(&far, b"still").await;
        assert_eq!(stage.recv(&near).await.unwrap(), b"still");
    });
}

#[test]
fn the_peer_is_named_and_ipv4_is_not_in_disguise() {
    on_ring(|stage| async move {
        let address = stage.address;
        let peer = thread::spawn(move || TcpStream::connect(address).unwrap());
        let (_stream, from) = stage.listener.accept().await.unwrap().unwrap();
        assert_eq!(from, peer.join().unwrap().local_addr().unwrap());
    });
}

#[test]
fn a_batch_of_many_bufs_arrives_whole_and_in_order() {
    on_ring(|stage| async move {
        let (near, far) = stage.pair().await;
        for len in [1, 4096, 4097, 100 * KIB, 3 * MIB] {
            let bytes = pattern(len);
            let (batch, expected) = (stage.batch(&bytes), bytes.clone());
            let (sent, got) = join(near.send(batch, stage.limit()), stage.recv_exactly(&far, len)).await;
            sent.unwrap();
            assert!(got == expected, "{len} bytes came out different");
        }
    });
}

#[test]
fn what_is_given_back_comes_first() {
    on_ring(|stage| async move {
        let (near, far) = stage.pair().await;
        stage.send(&near, b"abcdef").await;
        let mut buf = far.recv(stage.limit()).await.unwrap().unwrap();
        let rest = buf.split_off(2);
        far.unrecv(rest);
        assert!(!far.is_idle());
        far.readable(stage.limit()).await.unwrap();
        assert_eq!(stage.recv(&far).await.unwrap(), b"cdef");
        assert!(far.is_idle());
    });
}

#[test]
fn a_missed_deadline_ends_receiving_and_leaves_sending() {
    on_ring(|stage| async move {
        let (near, mut peer) = stage.peer().await;
        let start = Instant::now();
        let error = near.recv(stage.soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SOON && start.elapsed() < LIMIT / 4);
        stage.send(&near, b"408").await;
        let mut bytes = [0; 3];
        peer.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"408");
        peer.write_all(b"late").unwrap();
        assert_eq!(near.recv(stage.limit()).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(!near.is_idle());
    });
}

#[test]
fn a_peer_that_does_not_read_ends_sending_and_leaves_receiving() {
    on_ring(|stage| async move {
        let (near, mut peer) = stage.peer().await;
        let bytes = pattern(MIB);
        let error = loop {
            match near.send(stage.batch(&bytes), stage.soon()).await {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        peer.write_all(b"hello").unwrap();
        assert_eq!(stage.recv(&near).await.unwrap(), b"hello");
        assert_eq!(
            near.send(stage.batch(b"x"), stage.limit()).await.unwrap_err().kind(),
            ErrorKind::TimedOut
        );
    });
}

#[test]
fn a_writer_is_held_back_by_a_reader_that_sleeps() {
    on_ring(|stage| async move {
        let (near, mut peer) = stage.peer().await;
        let writer = thread::spawn(move || {
            let piece = pattern(251 * 1024);
            (0..64 * MIB / piece.len()).for_each(|_| peer.write_all(&piece).unwrap());
        });
        let (mut got, mut most) = (0, 0);
        while let Some(buf) = near.recv(stage.limit()).await.unwrap() {
            assert!(buf.iter().enumerate().all(|(i, byte)| *byte == ((got + i) % 251) as u8));
            got += buf.len();
            drop(buf);
            if got % (512 * KIB) < 4096 {
                stage.ring.sleep(stage.ring.now() + Duration::from_millis(2)).await;
            }
            most = most.max(stage.ring.pool().out());
        }
        joined(&stage.ring, writer).await;
        assert_eq!(got, 64 * MIB / (251 * 1024) * (251 * 1024));
        assert!(most <= 300, "{most} bufs were out for one stream");
    });
}

#[test]
fn readable_waits_without_a_buf_and_ends_with_the_drain_alone() {
    on_ring(|stage| async move {
        let (near, far) = stage.pair().await;
        let waiting = async {
            let error = far.readable(stage.limit()).await.unwrap_err();
            assert!(is_stopped(&error));
            assert_eq!(stage.recv(&far).await.unwrap(), b"after");
        };
        let draining = async {
            stage.ring.sleep(stage.soon()).await;
            assert_eq!(stage.ring.pool().out(), 0);
            stage.ring.drain();
            stage.ring.sleep(stage.soon()).await;
            stage.send(&near, b"after").await;
        };
        join(waiting, draining).await;
        assert!(is_stopped(&far.readable(stage.limit()).await.unwrap_err()));
        assert!(stage.ring.is_draining());
        assert!(stage.listener.accept().await.unwrap().is_none());
    });
}

#[test]
fn a_drain_from_another_thread_ends_accept_after_those_who_are_connected() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !runtimes::is_allowed("ring") {
        return;
    }
    let (socket, address) = listening(1024);
    let options = Options {
        worker: 0,
        connections: 10,
        drain: DrainSignal::new().unwrap(),
        started: Started::default(),
        peers: Peers::default(),
    };
    let signal = options.drain.clone();
    let peers: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    let raiser = thread::spawn(move || {
        thread::sleep(SOON);
        signal.raise();
    });
    run(&options, socket, address, |stage| async move {
        stage.ring.sleep(stage.ring.now() + 2 * SOON).await;
        let mut accepted = 0;
        while stage.listener.accept().await.unwrap().is_some() {
            accepted += 1;
        }
        assert_eq!(accepted, 5);
    });
    raiser.join().unwrap();
    drop(peers);
}

#[test]
fn stopping_ends_a_wait_and_all_later_ones() {
    on_ring(|stage| async move {
        let (near, far) = stage.pair().await;
        let stopping = async {
            stage.ring.sleep(stage.soon()).await;
            far.stop_recv();
        };
        let (outcome, ()) = join(far.recv(stage.limit()), stopping).await;
        assert!(is_stopped(&outcome.unwrap_err()));
        stage.send(&near, b"late").await;
        assert!(is_stopped(&far.recv(stage.limit()).await.unwrap_err()));
        stage.send(&far, b"works").await;
        assert_eq!(stage.recv(&near).await.unwrap(), b"works");
    });
}

#[test]
fn an_abort_ends_everything_and_the_peer_sees_a_reset() {
    on_ring(|stage| async move {
        let (near, peer) = stage.peer().await;
        let reader = read_all(peer);
        stage.send(&near, b"some").await;
        let aborting = async {
            stage.ring.sleep(stage.soon()).await;
            near.abort();
            near.abort();
        };
        let (outcome, ()) = join(near.recv(stage.limit()), aborting).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert!(near.send(stage.batch(b"x"), stage.limit()).await.is_err());
        assert!(near.shutdown_send().await.is_err());
        assert!(!near.is_idle());
        let error = joined(&stage.ring, reader).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_abort_ends_a_send_that_is_stuck() {
    on_ring(|stage| async move {
        let (near, peer) = stage.peer().await;
        let aborting = async {
            stage.ring.sleep(stage.soon()).await;
            near.abort();
        };
        let (outcome, ()) = join(near.send(stage.batch(&pattern(16 * MIB)), stage.limit()), aborting).await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        let reader = read_all(peer);
        assert!(joined(&stage.ring, reader).await.is_err());
    });
}

#[test]
fn a_connection_dropped_after_its_send_ends_in_order() {
    on_ring(|stage| async move {
        for armed in [false, true] {
            let (near, peer) = stage.peer().await;
            if armed {
                assert!(near.recv(stage.soon()).await.is_err());
            }
            let reader = read_all(peer);
            stage.send(&near, &pattern(100 * KIB)).await;
            drop(near);
            assert_eq!(joined(&stage.ring, reader).await.unwrap(), pattern(100 * KIB));
        }
    });
}

#[test]
fn futures_dropped_in_the_middle_leave_nothing_behind() {
    on_ring(|stage| async move {
        for _ in 0..50 {
            let (near, peer) = stage.peer().await;
            {
                let mut recv = Box::pin(near.recv(stage.limit()));
                let mut send = Box::pin(near.send(stage.batch(&pattern(8 * MIB)), stage.limit()));
                std::future::poll_fn(|cx| {
                    assert!(recv.as_mut().poll(cx).is_pending());
                    assert!(send.as_mut().poll(cx).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
                stage.ring.sleep(stage.ring.now() + Duration::from_millis(1)).await;
            }
            drop((near, peer));
        }
    });
}

#[test]
fn a_recv_dropped_in_the_middle_loses_no_bytes() {
    on_ring(|stage| async move {
        let (near, far) = stage.pair().await;
        {
            let mut recv = Box::pin(far.recv(stage.soon()));
            std::future::poll_fn(|cx| {
                assert!(recv.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        stage.ring.sleep(stage.ring.now() + 2 * SOON).await;
        stage.send(&near, b"kept").await;
        assert_eq!(stage.recv(&far).await.unwrap(), b"kept");
    });
}

#[test]
fn ten_thousand_short_connections() {
    on_ring(|stage| async move {
        let address = stage.address;
        let peers = thread::spawn(move || {
            for i in 0..10_000u32 {
                let mut peer = TcpStream::connect(address).unwrap();
                peer.write_all(&i.to_le_bytes()).unwrap();
                let mut bytes = Vec::new();
                peer.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes, i.to_le_bytes());
            }
        });
        for _ in 0..10_000 {
            let stream = stage.accept().await;
            let stage = stage.clone();
            stage.ring.clone().spawn(async move {
                let bytes = stage.recv_exactly(&stream, 4).await;
                stage.send(&stream, &bytes).await;
            });
        }
        joined(&stage.ring, peers).await;
    });
}

#[test]
fn a_burst_of_small_messages_keeps_its_order() {
    on_ring(|stage| async move {
        let (near, mut peer) = stage.peer().await;
        let writer = thread::spawn(move || {
            (0..50_000u32).for_each(|i| peer.write_all(&i.to_le_bytes()).unwrap());
            peer
        });
        let bytes = stage.recv_exactly(&near, 200_000).await;
        assert!(bytes.chunks(4).zip(0u32..).all(|(chunk, i)| chunk == i.to_le_bytes()));
        joined(&stage.ring, writer).await;
    });
}

#[test]
fn a_refused_connect_is_refused_and_one_that_hangs_is_timed_out() {
    on_ring(|stage| async move {
        let (gone, nobody) = listening(1);
        drop(gone);
        let refused = stage.ring.connect(nobody, stage.limit()).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let (_full, address) = listening(0);
        let _waiting: Vec<_> = (0..2)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let _ = socket.connect(&address.into());
                socket
            })
            .collect();
        let late = stage.ring.connect(address, stage.soon()).await.err().unwrap();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_relay_moves_exactly_its_limit_and_leaves_the_rest() {
    on_ring(|stage| async move {
        for limit in [0, 1, 4096, 64 * KIB - 1, 64 * KIB, MIB, MIB + 1, 64 * MIB] {
            relay_exactly(&stage, limit).await;
        }
    });
}

async fn relay_exactly(stage: &Stage, limit: usize) {
    let ((from, mut writer), (to, reader)) = (stage.peer().await, stage.peer().await);
    let writer = thread::spawn(move || {
        writer.write_all(&pattern(limit)).unwrap();
        writer.write_all(b"rest").unwrap();
        writer
    });
    let reader = read_all(reader);
    let relayed = from.relay_to(&to, limit as u64, LIMIT).await;
    assert!(matches!(relayed.end, RelayEnd::Limit), "{:?}", relayed.end);
    assert_eq!(relayed.bytes, limit as u64);
    assert_eq!(stage.recv_exactly(&from, 4).await, b"rest");
    drop(to);
    assert!(joined(&stage.ring, reader).await.unwrap() == pattern(limit), "{limit} bytes came out different");
    drop(joined(&stage.ring, writer).await);
}

#[test]
fn a_relay_without_limit_ends_with_its_source() {
    on_ring(|stage| async move {
        for len in [0, 10, 20 * MIB] {
            let ((from, mut writer), (to, reader)) = (stage.peer().await, stage.peer().await);
            let writer = thread::spawn(move || writer.write_all(&pattern(len)).unwrap());
            let reader = read_all(reader);
            let relayed = from.relay_to(&to, u64::MAX, LIMIT).await;
            assert!(matches!(relayed.end, RelayEnd::Eof), "{:?}", relayed.end);
            assert_eq!(relayed.bytes, len as u64);
            drop(to);
            assert!(joined(&stage.ring, reader).await.unwrap() == pattern(len));
            joined(&stage.ring, writer).await;
        }
    });
}

#[test]
fn a_relay_ends_when_stopped_or_idle_for_too_long() {
    on_ring(|stage| async move {
        for limit in [10, MIB as u64, u64::MAX] {
            let ((from, mut writer), (to, mut reader)) = (stage.peer().await, stage.peer().await);
            writer.write_all(b"few").unwrap();
            let stopping = async {
                stage.ring.sleep(stage.soon()).await;
                from.stop_recv();
            };
            let (relayed, ()) = join(from.relay_to(&to, limit, LIMIT), stopping).await;
            assert_eq!(relayed.bytes, 3);
            assert!(
                matches!(&relayed.end, RelayEnd::RecvFailed(error) if is_stopped(error)),
                "{:?}",
                relayed.end
            );
            reader.read_exact(&mut [0; 3]).unwrap();
            let (from, _writer) = stage.peer().await;
            let relayed = from.relay_to(&to, limit, SOON).await;
            assert!(
                matches!(&relayed.end, RelayEnd::RecvFailed(error) if error.kind() == ErrorKind::TimedOut),
                "{:?}",
                relayed.end
            );
        }
    });
}

#[test]
fn a_relay_says_which_side_has_failed() {
    on_ring(|stage| async move {
        for limit in [4096, 64 * MIB as u64, u64::MAX] {
            let ((from, mut writer), (to, _reader)) = (stage.peer().await, stage.peer().await);
            writer.write_all(b"cut").unwrap();
            let cutting = async {
                stage.ring.sleep(stage.soon()).await;
                SockRef::from(&writer).set_linger(Some(Duration::ZERO)).unwrap();
                drop(writer);
            };
            let (relayed, ()) = join(from.relay_to(&to, limit, LIMIT), cutting).await;
            assert!(
                matches!(&relayed.end, RelayEnd::RecvFailed(error) if error.kind() == ErrorKind::ConnectionReset),
                "{:?}",
                relayed.end
            );
            assert_eq!(relayed.bytes, 3);
        }
        for limit in [64 * MIB as u64, u64::MAX] {
            let ((from, mut writer), (to, mut reader)) = (stage.peer().await, stage.peer().await);
            let writer = thread::spawn(move || while writer.write_all(&[b'x'; 64 * KIB]).is_ok() {});
            let cutter = thread::spawn(move || {
                reader.read_exact(&mut [0; MIB]).unwrap();
                SockRef::from(&reader).set_linger(Some(Duration::ZERO)).unwrap();
            });
            let relayed = from.relay_to(&to, limit, LIMIT).await;
            assert!(matches!(&relayed.end, RelayEnd::SendFailed(_)), "{:?}", relayed.end);
            assert!(relayed.bytes >= MIB as u64);
            drop(from);
            joined(&stage.ring, cutter).await;
            joined(&stage.ring, writer).await;
        }
    });
}

#[test]
fn a_reset_that_sending_has_met_is_no_orderly_end() {
    on_ring(|stage| async move {
        for len in [1, 8 * MIB] {
            for is_armed in [false, true] {
                let (near, mut peer) = stage.peer().await;
                peer.write_all(b"half").unwrap();
                if is_armed {
                    assert_eq!(stage.recv(&near).await.unwrap(), b"half");
                    peer.write_all(b"half").unwrap();
                    assert_eq!(stage.recv(&near).await.unwrap(), b"half");
                }
                let resetting = async {
                    stage.ring.sleep(stage.soon()).await;
                    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
                    drop(peer);
                };
                let sending = async {
                    while near.send(stage.batch(&pattern(len)), stage.limit()).await.is_ok() {
                        stage.ring.sleep(stage.ring.now() + Duration::from_millis(10)).await;
                    }
                };
                join(sending, resetting).await;
                let end = loop {
                    match near.recv(stage.limit()).await {
                        Ok(Some(_)) => {}
                        Ok(None) => panic!("an orderly end after {len} bytes, armed: {is_armed}"),
                        Err(error) => break error,
                    }
                };
                assert_eq!(end.kind(), ErrorKind::ConnectionReset);
            }
        }
    });
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_in_order() {
    on_ring(|stage| async move {
        let (near, mut peer) = stage.peer().await;
        peer.write_all(b"413").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stage.recv(&near).await.unwrap(), b"413");
        assert_eq!(stage.recv(&near).await, None);
        drop(peer);
        while near.send(stage.batch(b"more"), stage.limit()).await.is_ok() {
            stage.ring.sleep(stage.ring.now() + Duration::from_millis(5)).await;
        }
        assert_eq!(stage.recv(&near).await, None);
    });
}

#[test]
fn a_relay_waits_for_a_slow_sink_and_then_gives_up() {
    on_ring(|stage| async move {
        let bytes = std::sync::Arc::new(pattern(32 * MIB));
        for limit in [32 * MIB as u64, u64::MAX] {
            let bytes = bytes.clone();
            let ((from, mut writer), (to, reader)) = (stage.peer().await, stage.peer().await);
            let writer = thread::spawn(move || writer.write_all(&bytes).is_ok());
            let relayed = from.relay_to(&to, limit, SOON).await;
            assert!(
                matches!(&relayed.end, RelayEnd::SendFailed(error) if error.kind() == ErrorKind::TimedOut),
                "{:?}",
                relayed.end
            );
            drop((from, to));
            let got = joined(&stage.ring, read_all(reader)).await.map_or(0, |bytes| bytes.len());
            assert!(
                got == 0 || got as u64 == relayed.bytes,
                "{got} bytes came, {} were counted",
                relayed.bytes
            );
            joined(&stage.ring, writer).await;
        }
    });
}

#[test]
fn both_directions_of_a_tunnel_run_at_once() {
    on_ring(|stage| async move {
        let ((a, mut left), (b, mut right)) = (stage.peer().await, stage.peer().await);
        let start = |peer: &mut TcpStream| {
            let (mut writer, reader) = (peer.try_clone().unwrap(), peer.try_clone().unwrap());
            let writer = thread::spawn(move || {
                writer.write_all(&pattern(8 * MIB)).unwrap();
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            });
            (writer, read_all(reader))
        };
        let threads = [start(&mut left), start(&mut right)];
        let there = async {
            assert_eq!(a.relay_to(&b, u64::MAX, LIMIT).await.bytes, 8 * MIB as u64);
            b.shutdown_send().await.unwrap();
        };
        let back = async {
            assert_eq!(b.relay_to(&a, u64::MAX, LIMIT).await.bytes, 8 * MIB as u64);
            a.shutdown_send().await.unwrap();
        };
        join(there, back).await;
        for (writer, reader) in threads {
            joined(&stage.ring, writer).await;
            assert!(joined(&stage.ring, reader).await.unwrap() == pattern(8 * MIB));
        }
    });
}

#[test]
fn an_idle_connection_is_known_to_be_fit_or_not() {
    on_ring(|stage| async move {
        for rounds in [0, 1, 2, 3] {
            let (near, mut peer) = stage.peer().await;
            for _ in 0..rounds {
                peer.write_all(b"x").unwrap();
                stage.recv(&near).await.unwrap();
            }
            assert!(near.is_idle());
            peer.write_all(b"stray").unwrap();
            stage.ring.sleep(stage.soon()).await;
            assert!(!near.is_idle(), "stray bytes after {rounds} rounds");
            let (near, peer) = stage.peer().await;
            drop(peer);
            stage.ring.sleep(stage.soon()).await;
            assert!(!near.is_idle(), "an end after {rounds} rounds");
        }
    });
}
