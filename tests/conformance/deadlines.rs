//! Line 1: a missed deadline fails with `TimedOut` and ends that direction; the other still works.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Instant;

use ringway::runtime::{Runtime, Stream};
use socket2::{Domain, Socket, Type};

use crate::stage::*;

pub(crate) fn a_missed_recv_ends_only_that_direction<R: Runtime>() {
    let (lasted, said) = play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let start = Instant::now();
            let missed = stream.recv(runtime.now() + ms(60)).await;
            assert_eq!(missed.unwrap_err().kind(), ErrorKind::TimedOut);
            let lasted = start.elapsed();
            give(&runtime, &stream, b"too late").await;
            assert_eq!(stream.recv(late(&runtime)).await.unwrap_err().kind(), ErrorKind::TimedOut);
            lasted
        },
        |stage| read_all(&mut peer(stage.address)),
    );
    assert!(lasted > ms(50) && lasted < BOUND, "{lasted:?}");
    assert_eq!(said, b"too late");
}

pub(crate) fn a_missed_readable_ends_only_that_direction<R: Runtime>() {
    let ((), said) = play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let missed = stream.readable(runtime.now() + ms(30)).await;
            assert_eq!(missed.unwrap_err().kind(), ErrorKind::TimedOut);
            give(&runtime, &stream, b"bye").await;
        },
        |stage| read_all(&mut peer(stage.address)),
    );
    assert_eq!(said, b"bye");
}

pub(crate) fn a_missed_send_ends_only_that_direction<R: Runtime>() {
    let (done, is_done) = mpsc::channel();
    play::<R, _, _, _>(
        move |runtime, listener| {
            let done = done.clone();
            async move {
                let stream = accept(&listener).await;
                let piece = pattern(256 * 1024);
                let missed = loop {
                    if let Err(error) = stream.send(batch(&runtime, &piece), runtime.now() + ms(100)).await {
                        break error;
                    }
                };
                assert_eq!(missed.kind(), ErrorKind::TimedOut);
                assert_eq!(take(&runtime, &stream, 5).await, b"still");
                let later = stream.send(batch(&runtime, b"x"), late(&runtime)).await;
                assert!(later.is_err(), "nothing may follow half a batch");
                done.send(()).unwrap();
            }
        },
        |stage| {
            let mut peer = peer(stage.address);
            write(&mut peer, b"still");
            is_done.recv_timeout(BOUND).unwrap();
        },
    );
}

pub(crate) fn a_deadline_that_was_kept_is_forgotten<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            stream.readable(runtime.now() + ms(1000)).await.unwrap();
            let first = stream.recv(runtime.now() + ms(100)).await.unwrap().unwrap();
            assert_eq!(&*first, b"1");
            stream.send(batch(&runtime, b"go on"), runtime.now() + ms(100)).await.unwrap();
            assert_eq!(take(&runtime, &stream, 1).await, b"2");
            give(&runtime, &stream, b"!").await;
        },
        |stage| {
            let mut peer = peer(stage.address);
            write(&mut peer, b"1");
            assert_eq!(read(&mut peer, 5), b"go on");
            std::thread::sleep(ms(300));
            write(&mut peer, b"2");
            assert_eq!(read_all(&mut peer), b"!");
        },
    );
}

pub(crate) fn sleep_lasts<R: Runtime>() {
    let (lasted, ()) = play::<R, _, _, _>(
        |runtime, _listener| async move {
            let start = runtime.now();
            runtime.sleep(start + ms(40)).await;
            runtime.now() - start
        },
        |_stage| {},
    );
    assert!(lasted >= ms(40) && lasted < BOUND, "{lasted:?}");
}

pub(crate) fn connect_is_refused<R: Runtime>() {
    let (_, address) = backend();
    play::<R, _, _, _>(
        move |runtime, _listener| async move {
            let refused = runtime.connect(address, late(&runtime)).await.err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        },
        |_stage| {},
    );
}

/// A listener whose backlog is full does not answer.
pub(crate) fn connect_misses_its_deadline<R: Runtime>() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let filler: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&address, ms(100))).collect();
    let (lasted, ()) = play::<R, _, _, _>(
        move |runtime, _listener| async move {
            let start = Instant::now();
            let missed = runtime.connect(address, runtime.now() + ms(100)).await.err().unwrap();
            assert_eq!(missed.kind(), ErrorKind::TimedOut);
            start.elapsed()
        },
        |_stage| {},
    );
    assert!(lasted > ms(90) && lasted < BOUND, "{lasted:?}");
    drop((filler, listener));
}
