//! Tests of the sharing itself, with threads for workers and pipes for connections.

use std::io::PipeReader;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

fn connection() -> OwnedFd {
    let (reader, _): (PipeReader, _) = io::pipe().unwrap();
    reader.into()
}

fn open(peers: &Peers, worker: usize) -> Member {
    let member = peers.member(worker);
    member.open();
    member
}

fn is_rung(member: &Member) -> bool {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&member.bell().unwrap(), PollFlags::IN)], Some(&zero)).unwrap() == 1
}

#[test]
fn a_worker_without_peers_keeps_everything() {
    let peers = Peers::default();
    let member = open(&peers, 0);
    let counted: Vec<_> = (0..10).map(|_| member.share(0, connection()).unwrap()).collect();
    assert_eq!((peers.loads(), peers.handed_over()), (vec![10], 0));
    assert!(member.bell().is_none());
    drop(counted);
    assert_eq!(peers.loads(), [0]);
}

#[test]
fn a_connection_goes_to_whoever_has_less_to_do() {
    let peers = Peers::new(2).unwrap();
    let (near, far) = (open(&peers, 0), open(&peers, 1));
    let kept = near.share(3, connection());
    assert!(kept.is_some() && !is_rung(&far));
    assert!(near.share(3, connection()).is_none());
    assert!(is_rung(&far) && far.expects());
    far.hush();
    assert_eq!((peers.loads(), peers.handed_over()), (vec![1, 1], 1), "counted while it is under way");
    let (arrival, counted) = far.take().unwrap();
    assert!(arrival.listener == 3 && !far.expects() && !is_rung(&far) && far.take().is_none());
    assert_eq!(peers.loads(), [1, 1]);
    drop(counted);
    assert_eq!(peers.loads(), [1, 0]);
    assert_eq!(peers.skew().to_bits(), 0.5_f64.to_bits());
}

#[test]
fn a_worker_that_is_not_there_gets_nothing_and_one_that_leaves_gives_nothing() {
    let peers = Peers::new(3).unwrap();
    let (first, second) = (open(&peers, 0), open(&peers, 1));
    let _first = first.keep();
    let Placed::There(passage) = first.place() else { panic!("the second worker is idle") };
    second.close();
    assert!(second.expects(), "what is under way still comes");
    assert!(matches!(first.place(), Placed::Here(_)), "one is closed, the other is not open yet");
    passage.deliver(Arrival { listener: 0, socket: connection() });
    assert!(second.take().is_some() && !second.expects());
    let third = open(&peers, 2);
    let _second = second.keep();
    assert!(matches!(second.place(), Placed::Here(_)), "a closed worker keeps what it accepts");
    assert!(matches!(first.place(), Placed::There(_)));
    assert!(is_rung(&third), "the passage was called off");
    assert_eq!(peers.loads(), [1, 1, 0]);
}

#[test]
fn what_cannot_be_sent_stays_where_it_was_accepted() {
    let peers = Peers::new(2).unwrap();
    let (near, far) = (open(&peers, 0), open(&peers, 1));
    let _first = near.keep();
    let Placed::There(passage) = near.place() else { panic!("the other worker is idle") };
    assert_eq!((passage.ring(), peers.loads()), (None, vec![1, 1]));
    far.set_ring(Some(7));
    assert_eq!(passage.ring(), Some(7));
    far.close();
    let counted = passage.turn_back();
    assert_eq!((peers.loads(), far.expects(), is_rung(&far)), (vec![2, 0], false, true));
    drop(counted);
    assert_eq!((peers.loads(), peers.handed_over()), (vec![1, 0], 0));
}

#[test]
fn workers_that_accept_at_the_same_time_never_overfill_one() {
    for workers in [2, 4] {
        for connections in 2..=16 {
            for _ in 0..20 {
                let peers = Peers::new(workers).unwrap();
                let (ready, placed) = (Barrier::new(workers), Barrier::new(workers));
                thread::scope(|scope| {
                    for worker in 0..workers {
                        let (peers, ready, placed) = (&peers, &ready, &placed);
                        scope.spawn(move || {
                            let member = open(peers, worker);
                            ready.wait();
                            // One half is accepted by the first worker, the other by all in turn.
                            let mine = (0..connections).filter(|n| (n % 2) * (n / 2 % workers) == worker);
                            let kept: Vec<_> = mine.map(|_| member.share(0, connection())).collect();
                            placed.wait();
                            let loads = peers.loads();
                            assert_eq!(loads.iter().sum::<usize>(), connections);
                            assert!(peers.skew() <= 1.0, "{loads:?}");
                            placed.wait();
                            while member.take().is_some() {}
                            drop(kept);
                        });
                    }
                });
                assert!(peers.loads().iter().all(|&load| load == 0));
            }
        }
    }
}

#[test]
fn nothing_is_lost_when_a_worker_closes_while_others_send() {
    for _ in 0..200 {
        let (peers, ready, sent) = (Peers::new(3).unwrap(), Barrier::new(3), 100);
        let end = Instant::now() + Duration::from_secs(20);
        let kept_or_taken: usize = thread::scope(|scope| {
            let closing = scope.spawn(|| {
                let member = open(&peers, 2);
                let mut taken = Vec::new();
                ready.wait();
                thread::yield_now();
                member.close();
                while member.expects() {
                    assert!(Instant::now() < end);
                    taken.extend(member.take());
                }
                assert!(member.take().is_none(), "nothing comes any more");
                taken.len()
            });
            let sending = [0, 1].map(|worker| {
                let (peers, ready) = (&peers, &ready);
                scope.spawn(move || {
                    let member = open(peers, worker);
                    ready.wait();
                    let kept: Vec<_> = (0..sent).filter_map(|_| member.share(0, connection())).collect();
                    member.close();
                    let mut taken = Vec::new();
                    while member.expects() {
                        assert!(Instant::now() < end);
                        taken.extend(member.take());
                    }
                    kept.len() + taken.len()
                })
            });
            let sending = sending.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>();
            sending + closing.join().unwrap()
        });
        assert_eq!(kept_or_taken, 2 * sent);
    }
}
