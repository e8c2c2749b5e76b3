//! Tests that need more than the seam shows: a tiny pool, what is armed, and what the self-tests say.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::iter;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::*;
use crate::runtime::{Batch, DrainSignal, Listener, Stream, join};

const LIMIT: Duration = Duration::from_secs(20);

fn listening() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(1024).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

fn with_pool<Fut>(bufs: usize, test: impl Fn(Ring, RingListener, SocketAddr) -> Fut)
where
    Fut: Future<Output = ()> + 'static,
{
    let (socket, address) = listening();
    let options = Options { worker: 0, connections: 10, drain: DrainSignal::new().unwrap() };
    let pool = Pool::new(bufs);
    Ring::run_with(&options, pool.clone(), vec![socket], |ring, mut listeners| {
        test(ring, listeners.remove(0), address)
    })
    .unwrap();
    assert_eq!(pool.out(), 0, "bufs are left over");
}

/// A connection whose other end is an ordinary socket.
async fn meet(listener: &RingListener, address: SocketAddr) -> (RingStream, TcpStream) {
    let peer = thread::spawn(move || TcpStream::connect(address).unwrap());
    let (stream, _) = listener.accept().await.unwrap().unwrap();
    (stream, peer.join().unwrap())
}

/// Lets the kernel hold so many bytes of a connection that nobody has received.
fn let_receive(ring: &Ring, stream: &RingStream, bytes: usize) {
    let state = ring.0.state.borrow();
    let socket = state.conns[stream.id].socket().unwrap();
    SockRef::from(&socket).set_recv_buffer_size(bytes).unwrap();
}

async fn echo(ring: Ring, stream: RingStream) {
    while let Some(buf) = stream.recv(ring.now() + LIMIT).await.unwrap() {
        stream.send(Batch::from(buf), ring.now() + LIMIT).await.unwrap();
    }
}

/// Sends a lot and wants it back.
fn converse(address: SocketAddr, bytes: usize) {
    let mut near = TcpStream::connect(address).unwrap();
    near.set_read_timeout(Some(LIMIT)).unwrap();
    let mut writer = near.try_clone().unwrap();
    let writer = thread::spawn(move || {
        writer.write_all(&vec![b'x'; bytes]).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    near.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), bytes);
    writer.join().unwrap();
}

#[test]
fn this_kernel_can_do_what_is_needed() {
    check().unwrap();
    assert!(setup::accept_is_multishot());
    assert!(setup::can_splice());
}

#[test]
fn a_refusal_says_what_to_do() {
    for (error, word) in [(libc::ENOSYS, "seccomp"), (libc::ENOMEM, "ulimit"), (libc::EINVAL, "Linux 6.1")] {
        let why = Unavailable::from_setup(&io::Error::from_raw_os_error(error)).to_string();
        assert!(why.contains(word), "{why}");
    }
}

#[test]
fn a_hundred_connections_share_a_pool_of_four_bufs() {
    for bufs in [1, 2, 4] {
        with_pool(bufs, |ring, listener, address| async move {
            let peers: Vec<_> = (0..100).map(|_| thread::spawn(move || converse(address, 50_000))).collect();
            for _ in 0..100 {
                let (stream, _) = listener.accept().await.unwrap().unwrap();
                ring.spawn(echo(ring.clone(), stream));
            }
            let end = Instant::now() + LIMIT;
            while !peers.iter().all(thread::JoinHandle::is_finished) {
                assert!(ring.pool().out() <= bufs);
                assert!(Instant::now() < end, "somebody starves");
                ring.sleep(ring.now() + Duration::from_millis(1)).await;
            }
            peers.into_iter().for_each(|peer| peer.join().unwrap());
        });
    }
}

#[test]
fn with_no_buf_free_a_recv_waits_until_its_deadline_or_until_one_is_back() {
    with_pool(1, |ring, listener, address| async move {
        let (near, far) = join(ring.connect(address, ring.now() + LIMIT), listener.accept()).await;
        let (near, (far, _)) = (near.unwrap(), far.unwrap().unwrap());
        let soon = || ring.now() + Duration::from_millis(50);
        let say = |text: &[u8]| {
            let mut batch = Batch::new(ring.pool());
            batch.write(text);
            batch
        };
        near.send(say(b"one"), ring.now() + LIMIT).await.unwrap();
        let held = far.recv(ring.now() + LIMIT).await.unwrap().unwrap();
        near.send(say(b"two"), ring.now() + LIMIT).await.unwrap();
        let giving_back = async {
            ring.sleep(soon()).await;
            drop(held);
        };
        let (got, ()) = join(far.recv(ring.now() + LIMIT), giving_back).await;
        let held = got.unwrap().unwrap();
        assert_eq!(*held, *b"two");
        near.send(say(b"three"), ring.now() + LIMIT).await.unwrap();
        assert_eq!(far.recv(soon()).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn those_who_are_held_up_leave_bufs_to_the_others() {
    with_pool(128, |ring, listener, address| async move {
        let accept = async || listener.accept().await.unwrap().unwrap().0;
        let (mut stalled, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            let peer = thread::spawn(move || TcpStream::connect(address).unwrap());
            stalled.push(accept().await);
            let mut peer = peer.join().unwrap();
            peers.push(thread::spawn(move || while peer.write_all(&[b'x'; 100_000]).is_ok() {}));
        }
        for stream in &stalled {
            for _ in 0..3 {
                drop(stream.recv(ring.now() + LIMIT).await.unwrap().unwrap());
            }
        }
        let fine = thread::spawn(move || converse(address, 1_000_000));
        ring.spawn(echo(ring.clone(), accept().await));
        let end = Instant::now() + LIMIT;
        while !fine.is_finished() {
            assert!(Instant::now() < end, "somebody starves");
            ring.sleep(ring.now() + Duration::from_millis(1)).await;
        }
        fine.join().unwrap();
        drop(stalled);
        while !peers.iter().all(thread::JoinHandle::is_finished) {
            assert!(Instant::now() < end, "a peer is not told of the end");
            ring.sleep(ring.now() + Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn many_operations_in_one_turn_do_not_need_a_bigger_queue() {
    with_pool(8192, |ring, listener, address| async move {
        let done = Rc::new(Cell::new(0));
        let count = 1500;
        for _ in 0..count {
            let (ring, done) = (ring.clone(), done.clone());
            ring.clone().spawn(async move {
                let near = ring.connect(address, ring.now() + LIMIT).await.unwrap();
                let mut batch = Batch::new(ring.pool());
                batch.write(b"ping");
                near.send(batch, ring.now() + LIMIT).await.unwrap();
                assert_eq!(*near.recv(ring.now() + LIMIT).await.unwrap().unwrap(), *b"ping");
                done.set(done.get() + 1);
            });
        }
        for _ in 0..count {
            let (stream, _) = listener.accept().await.unwrap().unwrap();
            ring.spawn(echo(ring.clone(), stream));
        }
        let end = Instant::now() + LIMIT;
        while done.get() < count {
            assert!(Instant::now() < end);
            ring.sleep(ring.now() + Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_flood_into_a_loop_that_was_held_up_is_stopped() {
    with_pool(8192, |ring, listener, address| async move {
        let (stream, mut peer) = meet(&listener, address).await;
        let_receive(&ring, &stream, 4 << 20);
        // From the second time on the kernel receives by itself.
        for _ in 0..3 {
            peer.write_all(b"x").unwrap();
            drop(stream.recv(ring.now() + LIMIT).await.unwrap().unwrap());
        }
        peer.set_nonblocking(true).unwrap();
        let flood = async |turns: u64| {
            for _ in 0..turns {
                while (&peer).write(&[b'x'; 65536]).is_ok() {}
                ring.sleep(ring.now() + Duration::from_millis(1)).await;
                assert!(ring.pool().out() <= recv::READ_AHEAD + WINDOW, "{} bufs", ring.pool().out());
            }
        };
        while (&peer).write(&[b'x'; 65536]).is_ok() {
            // The loop is held up while bytes pile up.
            thread::sleep(Duration::from_millis(1));
        }
        flood(10).await;
        let stopped_at = ring.pool().out();
        flood(50).await;
        assert_eq!(ring.pool().out(), stopped_at, "the kernel still receives");
    });
}

#[test]
fn a_relay_that_splices_is_not_disturbed_by_bufs_that_come_back() {
    const SIZE: usize = 32 << 20;
    with_pool(4, |ring, listener, address| async move {
        let (hog, mut hogs_peer) = meet(&listener, address).await;
        let (from, mut source) = meet(&listener, address).await;
        let (to, mut sink) = meet(&listener, address).await;
        hogs_peer.write_all(&[b'x'; 1 << 16]).unwrap();
        let first = hog.recv(ring.now() + LIMIT).await.unwrap().unwrap();
        let held: Vec<_> = iter::once(first).chain(iter::from_fn(|| hog.recv_now())).collect();
        assert_eq!(held.len(), 4, "no buf is left");
        // Is parked, and then given up.
        let mut parking = Box::pin(from.recv(ring.now() + LIMIT));
        assert!(poll_fn(|cx| Poll::Ready(parking.as_mut().poll(cx).is_pending())).await);
        drop(parking);
        let parked = || ring.0.state.borrow().parked.len();
        ring.sleep(ring.now() + Duration::from_millis(20)).await;
        assert_eq!(parked(), 1);
        // Made in no time: the clock stands still meanwhile, and the deadline of the relay does not.
        let mut bytes =
            (0..65_521usize).map(|place| (place ^ (place >> 8)) as u8).collect::<Vec<_>>().repeat(600);
        bytes.truncate(SIZE);
        let sent = bytes.clone();
        let writing = thread::spawn(move || source.write_all(&sent).map(|()| source));
        let giving_back = async {
            let is_stuck = || !ring.0.state.borrow().conns[to.id].send.is_idle();
            let (mut times, end) = (0, Instant::now() + LIMIT);
            while times < 5 {
                assert!(Instant::now() < end, "the sink is never full");
                ring.sleep(ring.now() + Duration::from_millis(20)).await;
                times = if is_stuck() { times + 1 } else { 0 };
            }
            drop(held);
            ring.sleep(ring.now() + Duration::from_millis(20)).await;
            sink.set_read_timeout(Some(LIMIT)).unwrap();
            thread::spawn(move || {
                let mut got = vec![0; SIZE];
                sink.read_exact(&mut got).map(|()| got)
            })
        };
        let relaying = from.relay_to(&to, SIZE as u64, LIMIT);
        let (relayed, reading) = join(relaying, giving_back).await;
        assert_eq!(relayed.bytes, SIZE as u64, "{:?}", relayed.end);
        assert!(reading.join().unwrap().unwrap() == bytes, "bytes have changed places");
        writing.join().unwrap().unwrap();
    });
}

#[test]
fn a_relay_that_splices_lets_an_earlier_send_go_first() {
    const SIZE: usize = 16 << 20;
    with_pool(8192, |ring, listener, address| async move {
        let (from, mut source) = meet(&listener, address).await;
        let (to, mut sink) = meet(&listener, address).await;
        let mut batch = Batch::new(ring.pool());
        batch.write(&vec![b'1'; SIZE]);
        let mut sending = Box::pin(to.send(batch, ring.now() + LIMIT));
        assert!(poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_pending())).await);
        drop(sending);
        let writing = thread::spawn(move || source.write_all(&vec![b'2'; SIZE]).map(|()| source));
        let reading = async {
            ring.sleep(ring.now() + Duration::from_millis(100)).await;
            sink.set_read_timeout(Some(LIMIT)).unwrap();
            thread::spawn(move || {
                let mut got = vec![0; 2 * SIZE];
                sink.read_exact(&mut got).map(|()| got)
            })
        };
        let (relayed, reading) = join(from.relay_to(&to, SIZE as u64, LIMIT), reading).await;
        assert_eq!(relayed.bytes, SIZE as u64, "{:?}", relayed.end);
        let got = reading.join().unwrap().unwrap();
        assert!(got[..SIZE] == vec![b'1'; SIZE], "what came later was faster");
        writing.join().unwrap().unwrap();
    });
}
