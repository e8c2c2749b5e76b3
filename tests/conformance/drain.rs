//! Line 8: after drain `accept` ends and so does every `readable`; nothing else is disturbed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use ringway::runtime::{Listener, Runtime, Stream, is_stopped, join};

use crate::stage::*;

pub(crate) fn ends_accept<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            assert!(!runtime.is_draining());
            assert!(listener.accept().await.unwrap().is_none(), "pending");
            assert!(runtime.is_draining());
            assert!(listener.accept().await.unwrap().is_none(), "later");
        },
        |stage| {
            std::thread::sleep(ms(50));
            stage.drain.raise();
        },
    );
}

pub(crate) fn called_on_the_runtime_ends_accept<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let drain = async {
                runtime.sleep(runtime.now() + ms(20)).await;
                runtime.drain();
            };
            let (accepted, ()) = join(listener.accept(), drain).await;
            assert!(accepted.unwrap().is_none());
            assert!(runtime.is_draining());
            runtime.drain();
        },
        |_stage| {},
    );
}

pub(crate) fn ends_readable_and_nothing_else<R: Runtime>() {
    let (listener, address) = backend();
    let (waits, is_waiting) = mpsc::channel();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let waits = waits.clone();
            async move {
                let idle = accept(&listener).await;
                let busy = runtime.connect(address, late(&runtime)).await.unwrap();
                let later = async {
                    runtime.sleep(runtime.now() + ms(20)).await;
                    waits.send(()).unwrap();
                };
                let pending = join(idle.readable(late(&runtime)), take(&runtime, &busy, 4));
                let ((ended, heard), ()) = join(pending, later).await;
                assert!(is_stopped(&ended.unwrap_err()));
                assert_eq!(heard, b"late");
                assert!(is_stopped(&idle.readable(late(&runtime)).await.unwrap_err()));
                assert!(busy.is_idle());
                give(&runtime, &idle, b"recv still works").await;
                assert_eq!(take(&runtime, &idle, 3).await, b"yes");
                drop(runtime.connect(address, late(&runtime)).await.unwrap());
            }
        },
        |stage| {
            let mut idle = peer(stage.address);
            let mut busy = bounded(listener.accept().unwrap().0);
            is_waiting.recv_timeout(BOUND).unwrap();
            stage.drain.raise();
            std::thread::sleep(ms(50));
            write(&mut busy, b"late");
            assert_eq!(read(&mut idle, 16), b"recv still works");
            write(&mut idle, b"yes");
            listener.accept().unwrap();
        },
    );
}

/// Connections that are being served when drain begins are served to their end, and their number is no matter.
pub(crate) fn finishes_what_runs<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let running = std::rc::Rc::new(());
            while let Some((stream, _)) = listener.accept().await.unwrap() {
                let (theirs, running) = (runtime.clone(), running.clone());
                runtime.spawn(async move {
                    give(&theirs, &stream, b"hello").await;
                    assert_eq!(take(&theirs, &stream, 3).await, b"bye");
                    give(&theirs, &stream, b"bye").await;
                    drop(running);
                });
            }
            until(&runtime, || std::rc::Rc::strong_count(&running) == 1).await;
        },
        |stage| {
            let mut peers: Vec<_> = (0..20).map(|_| peer(stage.address)).collect();
            for peer in &mut peers {
                assert_eq!(read(peer, 5), b"hello");
            }
            stage.drain.raise();
            std::thread::sleep(ms(50));
            for peer in &mut peers {
                write(peer, b"bye");
                assert_eq!(read_all(peer), b"bye");
            }
        },
    );
}

/// The kernel has told them that they are connected: all get their answers before the listener closes, though they are
/// more than are served at a time.
pub(crate) fn serves_what_waits_in_the_backlog<R: Runtime>() {
    const COUNT: usize = 300;
    let held_up = Arc::new(AtomicBool::new(true));
    let is_held_up = held_up.clone();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let is_held_up = is_held_up.clone();
            async move {
                until(&runtime, || !is_held_up.load(Ordering::SeqCst)).await;
                let running = std::rc::Rc::new(());
                while let Some((stream, _)) = listener.accept().await.unwrap() {
                    let (theirs, running) = (runtime.clone(), running.clone());
                    runtime.spawn(async move {
                        assert_eq!(take(&theirs, &stream, 3).await, b"ask");
                        give(&theirs, &stream, b"told").await;
                        drop((stream, running));
                    });
                }
                drop(listener);
                until(&runtime, || std::rc::Rc::strong_count(&running) == 1).await;
            }
        },
        |stage| {
            let mut peers: Vec<_> = (0..COUNT).map(|_| peer(stage.address)).collect();
            stage.drain.raise();
            std::thread::sleep(ms(50));
            held_up.store(false, Ordering::SeqCst);
            for peer in &mut peers {
                write(peer, b"ask");
            }
            for (place, peer) in peers.iter_mut().enumerate() {
                assert_eq!(read(peer, 4), b"told", "{place} of {COUNT}");
            }
        },
    );
}
