//! Tests that need more than the seam shows: a tiny pool, what is armed, and what the self-tests say.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::iter;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use socket2::{Domain, SockRef, Socket, Type};

use super::ops::{Kind, Ticket};
use super::*;
use crate::runtime::{Batch, DrainSignal, Listener, Outcome, Peers, Started, Starts, Stream, join};

const LIMIT: Duration = Duration::from_secs(20);

fn listening() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(1024).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Whether there can be a ring here; says so where there cannot.
fn available() -> bool {
    // The harness would keep what `eprintln` says.
    let say = |why: &Unavailable| writeln!(io::stderr(), "skipped: runtime ring: {why}").unwrap();
    check(1).inspect_err(say).is_ok()
}

fn with_pool<Fut>(bufs: usize, test: impl Fn(Ring, RingListener, SocketAddr) -> Fut)
where
    Fut: Future<Output = ()> + 'static,
{
    if available() {
        with_abilities(Abilities::found(), bufs, test);
    }
}

fn with_abilities<Fut>(
    abilities: Abilities,
    bufs: usize,
    test: impl Fn(Ring, RingListener, SocketAddr) -> Fut,
) where
    Fut: Future<Output = ()> + 'static,
{
    let (socket, address) = listening();
    let drain = DrainSignal::new().unwrap();
    let options =
        Options { worker: 0, connections: 10, drain, started: Started::default(), peers: Peers::default() };
    let pool = Pool::new(bufs);
    let ring = Ring::new(pool.clone(), abilities, options.peers.member(0)).unwrap();
    Ring::run_with(&options, ring, vec![socket], |ring, mut listeners| {
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

/// From Linux 6.10 on every self-test passes, and what is not active is off for a reason of ours.
#[test]
fn every_feature_is_examined() {
    if !available() {
        return;
    }
    let examined = examine::examine();
    assert_eq!(examined.features.len(), 9);
    for feature in &examined.features {
        let is_unused = feature.name == "direct-descriptors";
        let is_right = if is_unused {
            matches!(feature.outcome, Outcome::Off(_))
        } else {
            feature.outcome == Outcome::Active
        };
        assert!(is_right, "{feature:?}");
    }
    assert!(examined.permits.iter().any(|permit| permit.name == "IORING_OP_ACCEPT"));
}

/// An older kernel is imitated by a loop that is told that it may not use what that kernel lacks.
#[test]
fn a_loop_does_without_what_a_kernel_lacks() {
    if !available() {
        return;
    }
    let none = Abilities {
        multishot_accept: false,
        multishot_recv: false,
        bundles: false,
        messages: false,
        restrictions: false,
    };
    for abilities in
        [none, Abilities { restrictions: true, ..none }, Abilities { multishot_recv: true, ..none }]
    {
        with_abilities(abilities, 64, |ring, listener, address| async move {
            let peers: Vec<_> = (0..20).map(|_| thread::spawn(move || converse(address, 500_000))).collect();
            for _ in 0..20 {
                let (stream, _) = listener.accept().await.unwrap().unwrap();
                ring.spawn(echo(ring.clone(), stream));
            }
            let end = Instant::now() + LIMIT;
            while !peers.iter().all(thread::JoinHandle::is_finished) {
                assert!(Instant::now() < end, "somebody waits for ever");
                ring.sleep(ring.now() + Duration::from_millis(1)).await;
            }
            peers.into_iter().for_each(|peer| peer.join().unwrap());
        });
    }
}

#[test]
fn a_loops_ring_refuses_what_is_not_on_its_list() {
    with_pool(8, |ring, listener, _| async move {
        let refused = [
            opcode::Nop::new().build(),
            opcode::OpenAt::new(Fd(libc::AT_FDCWD), c"/etc/passwd".as_ptr()).build(),
            opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build(),
            opcode::Splice::new(Fd(0), -1, Fd(1), -1, 1).build(),
            opcode::Read::new(Fd(0), std::ptr::null_mut(), 0).build(),
            // On the list, but with a flag that is not.
            opcode::PollAdd::new(Fd(0), libc::POLLIN as u32).build().flags(squeue::Flags::ASYNC),
        ];
        for entry in refused {
            let mut state = ring.0.state.borrow_mut();
            #[expect(unsafe_code, reason = "see Kernel::push")]
            // SAFETY: what the entries point to is static, and no operation is done.
            unsafe {
                state.kernel.push(entry, Ticket::alone(Kind::Nothing));
            }
            state.kernel.enter(true).unwrap();
            let mut completions = Vec::new();
            state.kernel.reap(&mut completions);
            assert_eq!(completions.iter().map(|c| c.result).collect::<Vec<_>>(), [-libc::EACCES]);
        }
        drop(listener);
    });
}

#[test]
fn a_ring_that_exists_is_told_of() {
    if !available() {
        return;
    }
    let (mut started, starts) = Starts::of(1);
    let options = Options {
        worker: 0,
        connections: 1,
        drain: DrainSignal::new().unwrap(),
        started: started.remove(0),
        peers: Peers::default(),
    };
    Ring::run(&options, Vec::new(), |_, _| async {}).unwrap();
    let said = starts.wait(LIMIT).unwrap();
    assert_eq!(
        said,
        [format!(
            "each ring is restricted to {} operations (ringway doctor lists them)",
            permits::operations()
        )]
    );
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

/// Two workers, of which only the first is connected to; `damage` is done to the second before anybody connects. How
/// many connections each serves of ten that are open at once.
fn with_two_workers(damage: impl Fn(&Ring) + Sync) -> (Vec<usize>, u64) {
    let (peers, drain) = (Peers::new(2).unwrap(), DrainSignal::new().unwrap());
    let ((first, address), (second, _)) = (listening(), listening());
    let ready = std::sync::Barrier::new(3);
    let outcome = thread::scope(|scope| {
        let workers = [first, second].into_iter().enumerate().map(|(worker, socket)| {
            let (drain, peers, started) = (drain.clone(), peers.clone(), Started::default());
            let options = Options { worker, connections: 64, drain, started, peers };
            let (ready, damage) = (&ready, &damage);
            scope.spawn(move || {
                Ring::run(&options, vec![socket], |ring, mut listeners| {
                    if worker == 1 {
                        damage(&ring);
                    }
                    ready.wait();
                    let listener = listeners.remove(0);
                    async move {
                        while let Some((stream, _)) = listener.accept().await.unwrap() {
                            ring.spawn(echo(ring.clone(), stream));
                        }
                    }
                })
            })
        });
        let workers: Vec<_> = workers.collect();
        ready.wait();
        let mut clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
        for client in &mut clients {
            client.set_read_timeout(Some(LIMIT)).unwrap();
            client.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        let outcome = (peers.loads(), peers.handed_over());
        drop(clients);
        drain.raise();
        workers.into_iter().for_each(|worker| worker.join().unwrap().unwrap());
        outcome
    });
    assert_eq!(peers.loads(), [0, 0]);
    outcome
}

#[test]
fn connections_change_hands_through_the_kernel_or_else_through_the_inbox() {
    if !available() {
        return;
    }
    assert!(Abilities::found().messages);
    assert_eq!(with_two_workers(|_| {}), (vec![5, 5], 5));
    let without_ring = |ring: &Ring| ring.0.state.borrow().member.set_ring(None);
    assert_eq!(with_two_workers(without_ring), (vec![5, 5], 5));
}

#[test]
fn a_connection_that_the_kernel_does_not_send_stays_where_it_was_accepted() {
    if !available() {
        return;
    }
    let null = std::fs::File::open("/dev/null").unwrap();
    let with_something_else = |ring: &Ring| ring.0.state.borrow().member.set_ring(Some(null.as_raw_fd()));
    assert_eq!(with_two_workers(with_something_else), (vec![10, 0], 0));
}
