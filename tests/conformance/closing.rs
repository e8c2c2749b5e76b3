//! Lines 2 and 6: how connections end, and that nothing is left of them.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use ringway::runtime::{Listener, Runtime, Stream, is_stopped, join};

use crate::stage::*;

pub(crate) fn abort_is_seen_as_a_reset<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            give(&runtime, &stream, b"half of").await;
            assert_eq!(take(&runtime, &stream, 2).await, b"ok");
            stream.abort();
            assert!(stream.send(batch(&runtime, b"x"), late(&runtime)).await.is_err());
            assert!(stream.recv(late(&runtime)).await.is_err());
            assert!(stream.readable(late(&runtime)).await.is_err());
            stream.abort();
        },
        |stage| {
            let mut peer = peer(stage.address);
            assert_eq!(read(&mut peer, 7), b"half of");
            write(&mut peer, b"ok");
            let end = peer.read(&mut [0; 1]).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::ConnectionReset);
        },
    );
}

pub(crate) fn abort_ends_what_is_pending<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let cut = async {
                runtime.sleep(runtime.now() + ms(60)).await;
                stream.abort();
            };
            let big = batch(&runtime, &pattern(32 << 20));
            let pending = join(stream.recv(late(&runtime)), stream.send(big, late(&runtime)));
            let ((received, sent), ()) = join(pending, cut).await;
            assert!(received.is_err_and(|error| error.kind() != ErrorKind::TimedOut));
            assert!(sent.is_err_and(|error| error.kind() != ErrorKind::TimedOut));
        },
        |stage| {
            let mut peer = peer(stage.address);
            std::thread::sleep(ms(150));
            let end = peer.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::ConnectionReset);
        },
    );
}

pub(crate) fn drop_is_seen_as_the_end<R: Runtime>() {
    let ((), said) = play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            assert_eq!(take(&runtime, &stream, 3).await, b"all");
            // Something may be armed for more.
            assert!(try_once(stream.recv(late(&runtime))).await.is_none());
            give(&runtime, &stream, &pattern(100_000)).await;
        },
        |stage| {
            let mut peer = peer(stage.address);
            write(&mut peer, b"all");
            read_all(&mut peer)
        },
    );
    assert!(said == pattern(100_000));
}

pub(crate) fn shutdown_send_ends_one_direction<R: Runtime>() {
    let (heard, said) = play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            give(&runtime, &stream, b"question").await;
            stream.shutdown_send().await.unwrap();
            let heard = take(&runtime, &stream, 6).await;
            assert!(stream.recv(late(&runtime)).await.unwrap().is_none());
            heard
        },
        |stage| {
            let mut peer = peer(stage.address);
            let said = read_all(&mut peer);
            write(&mut peer, b"answer");
            said
        },
    );
    assert_eq!((&heard[..], &said[..]), (&b"answer"[..], &b"question"[..]));
}

pub(crate) fn stop_recv_ends_pending_and_later_waits<R: Runtime>() {
    let ((), said) = play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let stop = async {
                runtime.sleep(runtime.now() + ms(30)).await;
                stream.stop_recv();
            };
            let (received, ()) = join(stream.recv(late(&runtime)), stop).await;
            assert!(is_stopped(&received.unwrap_err()));
            assert!(is_stopped(&stream.recv(late(&runtime)).await.unwrap_err()));
            assert!(is_stopped(&stream.readable(late(&runtime)).await.unwrap_err()));
            give(&runtime, &stream, b"enough").await;
        },
        |stage| read(&mut peer(stage.address), 6),
    );
    assert_eq!(said, b"enough");
}

/// The kernel tells of a reset once: when sending learns of it, receiving must not take what follows for the end.
pub(crate) fn a_reset_is_never_an_orderly_end<R: Runtime>() {
    let is_reset = Arc::new(AtomicBool::new(false));
    let resets = is_reset.clone();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let is_reset = is_reset.clone();
            async move {
                let stream = accept(&listener).await;
                give(&runtime, &stream, b"go").await;
                until(&runtime, || is_reset.load(Ordering::Acquire)).await;
                runtime.sleep(runtime.now() + ms(20)).await;
                // The first may still go out, in the runtimes that know nothing of the reset yet.
                for _ in 0..2 {
                    let _ = stream.send(batch(&runtime, b"x"), late(&runtime)).await;
                    runtime.sleep(runtime.now() + ms(10)).await;
                }
                let mut heard = Vec::new();
                let end = loop {
                    match stream.recv(late(&runtime)).await {
                        Ok(Some(buf)) => heard.extend_from_slice(&buf),
                        Ok(None) => panic!("an orderly end after {} bytes", heard.len()),
                        Err(error) => break error,
                    }
                };
                assert!(b"the first hal".starts_with(&heard));
                assert_ne!(end.kind(), ErrorKind::TimedOut);
                assert!(stream.recv(late(&runtime)).await.is_err(), "and it stays so");
            }
        },
        |stage| {
            let mut peer = peer(stage.address);
            assert_eq!(read(&mut peer, 2), b"go");
            write(&mut peer, b"the first hal");
            reset(peer);
            resets.store(true, Ordering::Release);
        },
    );
}

pub(crate) fn is_idle_tells_what_is_fit_for_reuse<R: Runtime>() {
    let (listener, address) = backend();
    play::<R, _, _, _>(
        move |runtime, _listener| async move {
            let connect = async || runtime.connect(address, late(&runtime)).await.unwrap();
            let fresh = connect().await;
            assert!(fresh.is_idle());
            give(&runtime, &fresh, b"say hello").await;
            until(&runtime, || !fresh.is_idle()).await;
            let mut hello = fresh.recv(late(&runtime)).await.unwrap().unwrap();
            assert_eq!(&*hello, b"hello");
            assert!(fresh.is_idle());
            fresh.unrecv(hello.split_off(4));
            assert!(!fresh.is_idle());
            assert_eq!(take(&runtime, &fresh, 1).await, b"o");
            assert!(fresh.is_idle());
            give(&runtime, &fresh, b"say  good").await;
            until(&runtime, || !fresh.is_idle()).await;
            assert!(fresh.recv(late(&runtime)).await.unwrap().is_none());
            assert!(!fresh.is_idle());
            let (stopped, cut, reset) = (connect().await, connect().await, connect().await);
            stopped.stop_recv();
            cut.abort();
            assert!(!stopped.is_idle() && !cut.is_idle());
            give(&runtime, &reset, b"be reset.").await;
            until(&runtime, || !reset.is_idle()).await;
        },
        |_stage| {
            let accept = || bounded(listener.accept().unwrap().0);
            let mut first = accept();
            assert_eq!(read(&mut first, 9), b"say hello");
            write(&mut first, b"hello");
            read(&mut first, 9);
            first.shutdown(Shutdown::Write).unwrap();
            let (_stopped, _cut, mut last) = (accept(), accept(), accept());
            read(&mut last, 9);
            reset(last);
        },
    );
}

pub(crate) fn what_is_left_when_main_ends_is_closed<R: Runtime>() {
    let (listener, address) = backend();
    play::<R, _, _, _>(
        move |runtime, listener| async move {
            let stream = accept(&listener).await;
            let theirs = runtime.clone();
            runtime.spawn(async move {
                let backend = theirs.connect(address, late(&theirs)).await.unwrap();
                let reads = join(stream.recv(late(&theirs)), backend.readable(late(&theirs)));
                let _ = join(reads, theirs.sleep(late(&theirs))).await;
            });
            runtime.sleep(runtime.now() + ms(60)).await;
        },
        |stage| {
            let mut peer = peer(stage.address);
            let mut backend = bounded(listener.accept().unwrap().0);
            assert!(read_all(&mut peer).is_empty() && read_all(&mut backend).is_empty());
        },
    );
}

/// How many short connections are opened: `SHORT_CONNECTIONS=100000` is for whoever has a minute.
fn short_connections() -> u32 {
    std::env::var("SHORT_CONNECTIONS").map_or(2000, |count| count.parse().unwrap())
}

pub(crate) fn short_connections_leak_nothing<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            while let Some((stream, from)) = listener.accept().await.unwrap() {
                assert!(from.ip().is_loopback());
                let theirs = runtime.clone();
                runtime.spawn(async move {
                    let heard = take(&theirs, &stream, 4).await;
                    give(&theirs, &stream, &heard).await;
                });
            }
        },
        |stage| {
            for count in 0..short_connections() {
                let mut peer = peer(stage.address);
                write(&mut peer, &count.to_le_bytes());
                assert_eq!(read_all(&mut peer), count.to_le_bytes());
            }
            stage.drain.raise();
        },
    );
}

pub(crate) fn rouse_ends_a_pending_readable_and_nothing_else<R: Runtime>() {
    let (roused, is_roused) = mpsc::channel();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let roused = roused.clone();
            async move {
                let stream = accept(&listener).await;
                stream.rouse();
                let soon = runtime.now() + ms(20);
                let wake = async {
                    runtime.sleep(soon).await;
                    stream.rouse();
                };
                let (ended, ()) = join(stream.readable(runtime.now() + ms(100)), wake).await;
                ended.unwrap();
                assert!(runtime.now() >= soon, "only a pending one is roused");
                runtime.sleep(runtime.now() + ms(150)).await;
                assert!(stream.is_idle() && stream.recv_now().is_none(), "its deadline is forgotten");
                let wake = async {
                    runtime.sleep(runtime.now() + ms(20)).await;
                    stream.rouse();
                    roused.send(()).unwrap();
                };
                let (heard, ()) = join(take(&runtime, &stream, 5), wake).await;
                assert_eq!(heard, b"hello", "a recv goes on");
                stream.readable(late(&runtime)).await.unwrap();
                assert_eq!(take(&runtime, &stream, 5).await, b"again");
            }
        },
        |stage| {
            let mut peer = peer(stage.address);
            is_roused.recv_timeout(BOUND).unwrap();
            std::thread::sleep(ms(20));
            write(&mut peer, b"hello");
            std::thread::sleep(ms(20));
            write(&mut peer, b"again");
        },
    );
}

pub(crate) fn readable_tells_a_reset<R: Runtime>() {
    let (waits, is_waiting) = mpsc::channel();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let waits = waits.clone();
            async move {
                let stream = accept(&listener).await;
                let tell = async {
                    runtime.sleep(runtime.now() + ms(20)).await;
                    waits.send(()).unwrap();
                };
                let (ended, ()) = join(stream.readable(late(&runtime)), tell).await;
                assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
                let later = stream.recv(late(&runtime)).await.unwrap_err();
                assert_eq!(later.kind(), ErrorKind::ConnectionReset);
            }
        },
        |stage| {
            let peer = peer(stage.address);
            is_waiting.recv_timeout(BOUND).unwrap();
            reset(peer);
        },
    );
}
