//! The contract of the seam, as the simulation keeps it.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::runtime::{Batch, Peers, RelayEnd, Started, Stream, is_stopped, join};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

fn address() -> SocketAddr {
    SocketAddr::from((HERE, 80))
}

fn batch(sim: &Sim, bytes: &[u8]) -> Batch {
    let mut batch = Batch::new(sim.pool());
    batch.write(bytes);
    batch
}

/// Runs both ends of one connection to their ends, and looks for what was lost.
fn run_pair<A, B>(
    faults: Faults,
    bufs: usize,
    near: fn(Sim, SimStream) -> A,
    far: fn(Sim, SimStream) -> B,
) -> Duration
where
    A: Future<Output = ()> + 'static,
    B: Future<Output = ()> + 'static,
{
    let world = World::new(1, faults);
    let (client, server) = (world.host(HERE, bufs), world.host(HERE, bufs));
    let listener = server.listen(address()).unwrap();
    let sim = server.clone();
    server.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap().unwrap();
        far(sim, stream).await;
    });
    let sim = client.clone();
    client.spawn(async move {
        let stream = sim.connect(address(), sim.now() + MINUTE).await.unwrap();
        near(sim.clone(), stream).await;
    });
    let result = world.run_until(24 * 60 * MINUTE, || world.tasks() == 0);
    result.unwrap_or_else(|stuck| panic!("{stuck}"));
    assert_eq!((client.pool().out(), server.pool().out(), world.open_ends()), (0, 0, 0));
    world.elapsed()
}

async fn read_to_end(sim: &Sim, stream: &SimStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(buf) = stream.recv(sim.now() + MINUTE).await? {
        assert!(!buf.is_empty());
        all.extend_from_slice(&buf);
    }
    Ok(all)
}

#[test]
fn a_missed_deadline_ends_one_direction_and_takes_no_real_time() {
    let elapsed = run_pair(
        Faults::default(),
        4,
        |sim, stream| async move {
            for _ in 0..2 {
                let error = stream.recv(sim.now() + MINUTE / 2).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            }
            assert!(!stream.is_idle());
            stream.send(batch(&sim, b"too late"), sim.now() + MS).await.unwrap();
        },
        |sim, stream| async move {
            assert_eq!(read_to_end(&sim, &stream).await.unwrap(), b"too late");
        },
    );
    assert_eq!(elapsed, MINUTE / 2);
}

#[test]
fn a_pending_deadline_can_be_moved() {
    let elapsed = run_pair(
        Faults::default(),
        4,
        |sim, stream| async move {
            let wait = async { stream.recv(sim.now() + 60 * MINUTE).await.unwrap_err() };
            let moved = async {
                sim.sleep(sim.now() + MS).await;
                stream.recv_by(sim.now() + MS);
            };
            assert_eq!(join(wait, moved).await.0.kind(), io::ErrorKind::TimedOut);
        },
        |sim, stream| async move { assert_eq!(read_to_end(&sim, &stream).await.unwrap(), b"") },
    );
    assert_eq!(elapsed, 2 * MS);
}

#[test]
fn with_no_buf_free_a_recv_waits() {
    run_pair(
        Faults::default(),
        1,
        |sim, stream| async move {
            let held = sim.pool().take();
            let release = async {
                sim.sleep(sim.now() + 5 * MS).await;
                drop(held);
            };
            let (received, ()) = join(stream.recv(sim.now() + MINUTE), release).await;
            assert_eq!(&*received.unwrap().unwrap(), b"x");
        },
        |sim, stream| async move { stream.send(batch(&sim, b"x"), sim.now() + MS).await.unwrap() },
    );
}

#[test]
fn a_slow_reader_stops_a_fast_writer() {
    run_pair(
        Faults { socket_buf: 1000, ..Faults::default() },
        4,
        |sim, stream| async move {
            let error = stream.send(batch(&sim, &[7; 5000]), sim.now() + MS).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            stream.abort();
        },
        |sim, stream| async move {
            sim.sleep(sim.now() + 5 * MS).await;
            let buf = stream.recv(sim.now()).await.unwrap().unwrap();
            assert_eq!(buf.len(), 1000);
            assert_eq!(stream.recv(sim.now()).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        },
    );
}

#[test]
fn a_relay_moves_its_limit_and_leaves_the_rest_unread() {
    run_pair(
        Faults { short_read: 300, delay: 3 * MS, ..Faults::default() },
        4,
        |sim, stream| async move {
            stream.send(batch(&sim, &[b'a'; 10_000]), sim.now() + MINUTE).await.unwrap();
            stream.send(batch(&sim, b"beyond"), sim.now() + MINUTE).await.unwrap();
            assert_eq!(read_to_end(&sim, &stream).await.unwrap(), [b'a'; 10_000]);
        },
        |sim, stream| async move {
            let relayed = stream.relay_to(&stream, 10_000, MINUTE).await;
            assert!(matches!(relayed.end, RelayEnd::Limit), "{relayed:?}");
            assert_eq!(relayed.bytes, 10_000);
            stream.shutdown_send().await.unwrap();
            assert_eq!(read_to_end(&sim, &stream).await.unwrap(), b"beyond");
        },
    );
}

#[test]
fn bytes_given_back_are_lent_first_and_the_end_is_repeated() {
    run_pair(
        Faults::default(),
        4,
        |sim, stream| async move { stream.send(batch(&sim, b"abc"), sim.now() + MS).await.unwrap() },
        |sim, stream| async move {
            stream.readable(sim.now() + MINUTE).await.unwrap();
            assert!(!stream.is_idle());
            let mut buf = stream.recv(sim.now()).await.unwrap().unwrap();
            stream.unrecv(buf.split_off(1));
            assert_eq!(&*stream.recv(sim.now()).await.unwrap().unwrap(), b"bc");
            for _ in 0..2 {
                assert!(stream.recv(sim.now() + MS).await.unwrap().is_none());
            }
            assert!(!stream.is_idle());
        },
    );
}

#[test]
fn one_direction_ends_the_other_by_stop_recv_or_abort() {
    run_pair(
        Faults::default(),
        4,
        |sim, stream| async move {
            let (received, ()) = join(stream.recv(sim.now() + MINUTE), async { stream.stop_recv() }).await;
            assert!(is_stopped(&received.unwrap_err()));
            stream.send(batch(&sim, b"still open"), sim.now() + MS).await.unwrap();
            let (received, ()) = join(stream.recv(sim.now() + MINUTE), async { stream.abort() }).await;
            assert!(received.is_err());
            assert!(stream.send(batch(&sim, b"x"), sim.now() + MS).await.is_err());
        },
        |sim, stream| async move {
            let error = read_to_end(&sim, &stream).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        },
    );
}

#[test]
fn closing_with_bytes_unread_resets_and_sending_to_a_closed_end_too() {
    run_pair(
        Faults::default(),
        4,
        |sim, stream| async move {
            stream.send(batch(&sim, b"never read"), sim.now() + MS).await.unwrap();
            assert_eq!(read_to_end(&sim, &stream).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        },
        |sim, stream| async move { stream.readable(sim.now() + MINUTE).await.unwrap() },
    );
    run_pair(
        Faults::default(),
        4,
        |sim, stream| async move {
            assert_eq!(read_to_end(&sim, &stream).await.unwrap(), b"");
            stream.send(batch(&sim, b"taken by the kernel"), sim.now() + MS).await.unwrap();
            let error = stream.send(batch(&sim, b"refused"), sim.now() + MS).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        },
        |_, _| async {},
    );
}

#[test]
fn a_drain_ends_accept_and_readable_and_nothing_else() {
    run_pair(
        Faults::default(),
        4,
        |sim, stream| async move {
            let listener = sim.listen(SocketAddr::from((HERE, 81))).unwrap();
            let drain = async {
                sim.sleep(sim.now() + MS).await;
                sim.drain();
            };
            let waits = join(listener.accept(), stream.readable(sim.now() + MINUTE));
            let ((accepted, readable), ()) = join(waits, drain).await;
            assert!(accepted.unwrap().is_none() && is_stopped(&readable.unwrap_err()));
            assert_eq!(read_to_end(&sim, &stream).await.unwrap(), b"undisturbed");
            let refused = sim.connect(SocketAddr::from((HERE, 81)), sim.now() + MS).await;
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        },
        |sim, stream| async move {
            sim.sleep(sim.now() + 5 * MS).await;
            stream.send(batch(&sim, b"undisturbed"), sim.now() + MS).await.unwrap();
        },
    );
}

#[test]
fn connects_are_refused_or_time_out_and_accept_may_fail() {
    let world = World::new(3, Faults { accept_failure: 500, ..Faults::default() });
    let sim = world.host(HERE, 4);
    world.silence(SocketAddr::from((HERE, 82)));
    let listener = sim.listen(address()).unwrap();
    let failures = Rc::new(Cell::new(0));
    let (inner, count) = (sim.clone(), Rc::clone(&failures));
    sim.spawn(async move {
        let sim = inner;
        let refused = sim.connect(SocketAddr::from((HERE, 81)), sim.now() + MS).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let silent = sim.connect(SocketAddr::from((HERE, 82)), sim.now() + MS).await;
        assert_eq!(silent.unwrap_err().kind(), io::ErrorKind::TimedOut);
        for _ in 0..20 {
            let _stream = sim.connect(address(), sim.now() + MS).await.unwrap();
            while listener.accept().await.is_err() {
                count.set(count.get() + 1);
            }
        }
    });
    world.run_until(MINUTE, || world.tasks() == 0).unwrap();
    assert!(failures.get() > 3, "accept never failed");
}

#[test]
fn a_deadlock_is_reported_with_what_everybody_waits_for() {
    let world = World::new(1, Faults::default());
    let sim = world.host(HERE, 4);
    let listener = sim.listen(address()).unwrap();
    sim.spawn(async move { drop(listener.accept().await) });
    let stuck = world.run_until(MINUTE, || false).unwrap_err();
    assert_eq!(stuck.why, Why::Deadlock);
    assert!(stuck.to_string().contains("1 tasks are left"), "{stuck}");
}

#[test]
fn a_seed_gives_one_run() {
    let run = |seed| {
        let faults = Faults { short_read: 500, delay: 9 * MS, reset: 20, early_end: 20, ..Faults::default() };
        let world = World::new(seed, faults);
        let (client, server) = (world.host(HERE, 9), world.host(HERE, 9));
        let listener = server.listen(address()).unwrap();
        server.clone().spawn(async move {
            while let Ok(Some((stream, _))) = listener.accept().await {
                stream.relay_to(&stream, u64::MAX, MINUTE).await;
            }
        });
        let log = Rc::new(RefCell::new(Vec::new()));
        let (sim, lines) = (client.clone(), Rc::clone(&log));
        client.spawn(async move {
            for _ in 0..20 {
                let stream = sim.connect(address(), sim.now() + MS).await.unwrap();
                let sent = stream.send(batch(&sim, &[1; 300]), sim.now() + MS).await;
                let got = stream.recv(sim.now() + MINUTE).await;
                let line = format!("{sent:?} {:?}", got.map(|buf| buf.map(|buf| buf.len())));
                lines.borrow_mut().push(line);
            }
        });
        world.run_until(60 * MINUTE, || world.tasks() == 1).unwrap();
        (world.elapsed(), world.steps(), log.take())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).2, run(6).2);
}

#[test]
fn a_connection_worked_by_hand_reads_what_a_task_sends() {
    let world = World::new(1, Faults::default());
    let sim = world.host(HERE, 4);
    world.listen(address()).unwrap();
    let hand = sim.clone();
    sim.spawn(async move {
        let stream = hand.connect(address(), hand.now() + MS).await.unwrap();
        stream.relay_to(&stream, 4, MINUTE).await;
    });
    let accepted = Cell::new(None);
    let is_accepted = || {
        accepted.set(accepted.take().or_else(|| world.answer(address())));
        let answered = accepted.take();
        let found = answered.is_some();
        accepted.set(answered);
        found
    };
    world.run_until(MINUTE, is_accepted).unwrap();
    let (socket, _) = accepted.take().unwrap();
    assert_eq!(socket.write(b"ping").unwrap(), 4);
    world.run_until(MINUTE, || world.tasks() == 0).unwrap();
    let mut bytes = Vec::new();
    assert_eq!(socket.read_all(&mut bytes).unwrap(), State::Ended(Ending::Fin));
    assert_eq!(bytes, b"ping");
    assert!(world.traffic().iter().all(|place| place.at == 4));
}

#[test]
fn run_takes_the_addresses_of_sockets_and_ends_with_main() {
    let socket = KernelSocket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((HERE, 0)).into()).unwrap();
    let drain = crate::runtime::DrainSignal::new().unwrap();
    let options = Options {
        worker: 0,
        connections: 1,
        drain: drain.clone(),
        started: Started::default(),
        peers: Peers::default(),
    };
    let main = |sim: Sim, listeners: Vec<SimListener>| {
        let drain = drain.clone();
        async move {
            assert_eq!(listeners.len(), 1);
            sim.sleep(sim.now() + MINUTE).await;
            drain.raise();
            assert!(listeners[0].accept().await.unwrap().is_none());
        }
    };
    Sim::run(&options, vec![socket], main).unwrap();
}

#[test]
fn rouse_ends_a_pending_readable_and_nothing_else() {
    run_pair(
        Faults::default(),
        4,
        |sim, stream| async move {
            stream.rouse();
            let start = sim.now();
            let wake = async {
                sim.sleep(start + 20 * MS).await;
                stream.rouse();
            };
            let (ended, ()) = join(stream.readable(start + 30 * MS), wake).await;
            ended.unwrap();
            assert!(sim.now() >= start + 20 * MS, "only a pending one is roused");
            sim.sleep(start + 40 * MS).await;
            assert!(stream.is_idle(), "its deadline is forgotten");
            assert_eq!(read_to_end(&sim, &stream).await.unwrap(), b"hello");
        },
        |sim, stream| async move {
            sim.sleep(sim.now() + 60 * MS).await;
            stream.send(batch(&sim, b"hello"), sim.now() + MS).await.unwrap();
        },
    );
}
