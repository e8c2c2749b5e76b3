//! Lines 2, 3 and 7: whose a buf is, that `recv` never lends an empty one, and that none is ever lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use ringway::runtime::{Runtime, Stream, join};

use crate::stage::*;

pub(crate) fn recv_is_never_empty_and_the_end_repeats<R: Runtime>() {
    let (heard, ()) = play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let mut heard = Vec::new();
            while let Some(buf) = stream.recv(late(&runtime)).await.unwrap() {
                assert!(!buf.is_empty());
                heard.extend_from_slice(&buf);
            }
            stream.readable(late(&runtime)).await.unwrap();
            for _ in 0..3 {
                assert!(stream.recv(late(&runtime)).await.unwrap().is_none());
            }
            heard
        },
        |stage| {
            let mut peer = peer(stage.address);
            for byte in b"one by one" {
                write(&mut peer, &[*byte]);
                std::thread::sleep(ms(3));
            }
        },
    );
    assert_eq!(heard, b"one by one");
}

pub(crate) fn recv_waits_for_a_buf<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let pool = runtime.pool().clone();
            let held: Vec<_> = std::iter::from_fn(|| pool.take_for_recv()).collect();
            let release = async {
                runtime.sleep(runtime.now() + ms(60)).await;
                drop(held);
            };
            let (heard, ()) = join(take(&runtime, &stream, 3), release).await;
            assert_eq!(heard, b"abc");
        },
        |stage| write(&mut peer(stage.address), b"abc"),
    );
}

/// Waits that were given up use up no buf: the one that comes home goes to who still waits.
pub(crate) fn a_buf_goes_to_one_that_still_waits<R: Runtime>() {
    const GIVE_UP: usize = 20;
    let (listener, address) = backend();
    play::<R, _, _, _>(
        move |runtime, listener| async move {
            let waits = accept(&listener).await;
            let mut give_up = Vec::new();
            for _ in 0..GIVE_UP {
                give_up.push(runtime.connect(address, late(&runtime)).await.unwrap());
            }
            let pool = runtime.pool().clone();
            let mut held: Vec<_> = std::iter::from_fn(|| pool.take_for_recv()).collect();
            for stream in &give_up {
                assert!(try_once(stream.recv(late(&runtime))).await.is_none());
            }
            let release = async {
                runtime.sleep(runtime.now() + ms(60)).await;
                held.pop();
            };
            let (heard, ()) = join(take(&runtime, &waits, 3), release).await;
            assert_eq!(heard, b"abc");
        },
        |stage| {
            write(&mut peer(stage.address), b"abc");
            let _idle: Vec<_> = (0..GIVE_UP).map(|_| listener.accept().unwrap()).collect();
        },
    );
}

/// No buf comes home, and yet a stream that waited for one is closed.
pub(crate) fn a_stream_that_waited_for_a_buf_closes<R: Runtime>() {
    let is_closed = Arc::new(AtomicBool::new(false));
    let seen = is_closed.clone();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let is_closed = is_closed.clone();
            async move {
                let stream = accept(&listener).await;
                let pool = runtime.pool().clone();
                let held: Vec<_> = std::iter::from_fn(|| pool.take_for_recv()).collect();
                assert!(try_once(stream.recv(late(&runtime))).await.is_none());
                drop(stream);
                until(&runtime, || is_closed.load(Ordering::Relaxed)).await;
                drop(held);
            }
        },
        |stage| {
            assert!(read_all(&mut peer(stage.address)).is_empty());
            seen.store(true, Ordering::Relaxed);
        },
    );
}

pub(crate) fn a_flood_leaves_bufs_to_others<R: Runtime>() {
    let (listener, address) = backend();
    play::<R, _, _, _>(
        move |runtime, listener| async move {
            let flooded = accept(&listener).await;
            // From the second time on a runtime may read ahead by itself.
            for _ in 0..3 {
                assert!(flooded.recv(late(&runtime)).await.unwrap().is_some());
            }
            runtime.sleep(runtime.now() + ms(100)).await;
            assert!(runtime.pool().out() <= 64, "{} bufs are out", runtime.pool().out());
            let other = runtime.connect(address, late(&runtime)).await.unwrap();
            assert_eq!(take(&runtime, &other, 4).await, b"here");
            flooded.abort();
        },
        |stage| {
            let mut flood = peer(stage.address);
            let (mut other, _) = {
                let flooding = std::thread::spawn(move || {
                    use std::io::Write;
                    let piece = pattern(64 * 1024);
                    while flood.write_all(&piece).is_ok() {}
                });
                (bounded(listener.accept().unwrap().0), flooding)
            };
            write(&mut other, b"here");
        },
    );
}

pub(crate) fn bytes_given_back_come_first<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let mut first = stream.recv(late(&runtime)).await.unwrap().unwrap();
            let empty = first.split_off(first.len());
            let end = first.split_off(2);
            stream.unrecv(end);
            stream.unrecv(first);
            stream.unrecv(empty);
            stream.readable(late(&runtime)).await.unwrap();
            assert_eq!(&*stream.recv(late(&runtime)).await.unwrap().unwrap(), b"ab");
            assert_eq!(take(&runtime, &stream, 2).await, b"cd");
            give(&runtime, &stream, b"next").await;
            assert_eq!(take(&runtime, &stream, 4).await, b"next");
        },
        |stage| {
            let mut peer = peer(stage.address);
            write(&mut peer, b"abcd");
            let next = read(&mut peer, 4);
            write(&mut peer, &next);
            read_all(&mut peer);
        },
    );
}

pub(crate) fn a_buf_is_the_pools<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            assert_eq!(runtime.pool().out(), 0);
            let buf = stream.recv(late(&runtime)).await.unwrap().unwrap();
            assert_eq!(runtime.pool().out(), 1);
            drop(stream);
            assert_eq!(&*buf, b"mine", "a buf outlives its stream");
            drop(buf);
            assert_eq!(runtime.pool().out(), 0);
        },
        |stage| write(&mut peer(stage.address), b"mine"),
    );
}

pub(crate) fn a_dropped_recv_loses_nothing<R: Runtime>() {
    let (dropped, is_dropped) = mpsc::channel();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let dropped = dropped.clone();
            async move {
                let stream = accept(&listener).await;
                assert!(try_once(stream.recv(late(&runtime))).await.is_none());
                assert!(try_once(stream.readable(late(&runtime))).await.is_none());
                dropped.send(()).unwrap();
                runtime.sleep(runtime.now() + ms(50)).await;
                assert_eq!(take(&runtime, &stream, 6).await, b"abcdef");
            }
        },
        |stage| {
            let mut peer = peer(stage.address);
            is_dropped.recv_timeout(BOUND).unwrap();
            write(&mut peer, b"abcdef");
        },
    );
}

/// Half of a batch may have left, so the connection is good only for closing.
pub(crate) fn a_dropped_send_loses_no_buf<R: Runtime>() {
    let sent = pattern(16 << 20);
    let expected = sent.clone();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let sent = sent.clone();
            async move {
                let stream = accept(&listener).await;
                assert!(try_once(stream.send(batch(&runtime, &sent), late(&runtime))).await.is_none());
                runtime.sleep(runtime.now() + ms(20)).await;
            }
        },
        |stage| {
            use std::io::Read;
            let mut peer = peer(stage.address);
            let mut heard = Vec::new();
            // It may end in order or by a reset, at any place.
            let _ = peer.read_to_end(&mut heard);
            assert!(expected.starts_with(&heard), "{} bytes", heard.len());
        },
    );
}
