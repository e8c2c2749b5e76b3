//! Line 5: `relay_to` counts exactly what reached the other socket, and says which of the two sides failed.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ringway::runtime::{RelayEnd, Relayed, Runtime, Stream, is_stopped, join};

use crate::stage::*;

/// Relays from a source that connects to a sink that is connected to; `after` may look at both streams then.
fn relay<R: Runtime>(
    (limit, idle): (u64, Duration),
    after: impl AsyncFn(&R, &R::Stream, &R::Stream) + Clone + Send + Sync + 'static,
    peers: impl FnOnce(TcpStream, TcpStream),
) -> Relayed {
    let (listener, address) = backend();
    let body = move |runtime: R, listener: R::Listener| {
        let after = after.clone();
        async move {
            let source = accept(&listener).await;
            let sink = runtime.connect(address, late(&runtime)).await.unwrap();
            let relayed = source.relay_to(&sink, limit, idle).await;
            after(&runtime, &source, &sink).await;
            relayed
        }
    };
    let play_peers = |stage: Stage| {
        let source = peer(stage.address);
        peers(source, bounded(listener.accept().unwrap().0));
    };
    play::<R, _, _, _>(body, play_peers).0
}

pub(crate) fn stops_at_the_limit<R: Runtime>() {
    for size in [0, 1, 4095, 4096, 4097, 65_536, 1 << 20, (8 << 20) + 17] {
        let relayed = relay::<R>(
            (size as u64, BOUND),
            async |runtime: &R, source: &R::Stream, _: &R::Stream| {
                assert_eq!(take(runtime, source, 8).await, b"trailing");
                give(runtime, source, b"got it").await;
            },
            |mut source, mut sink| {
                let writing = thread::spawn(move || {
                    let mut bytes = pattern(size);
                    bytes.extend_from_slice(b"trailing");
                    write(&mut source, &bytes);
                    assert_eq!(read(&mut source, 6), b"got it");
                });
                assert!(read_all(&mut sink) == pattern(size), "{size}");
                writing.join().unwrap();
            },
        );
        assert_eq!(relayed.bytes, size as u64);
        assert!(matches!(relayed.end, RelayEnd::Limit), "{relayed:?}");
    }
}

/// What was relayed is not there any more, even where the relay had to wait for some of it: or else a proxy would take
/// a client that is idle for one that has begun a request.
pub(crate) fn leaves_nothing_to_be_told_of<R: Runtime>() {
    let relayed = relay_in_pieces::<R>(async |runtime: &R, source: &R::Stream, _: &R::Stream| {
        let missed = source.readable(runtime.now() + ms(100)).await;
        assert_eq!(missed.expect_err("nothing is there").kind(), ErrorKind::TimedOut);
        assert_eq!(source.recv(late(runtime)).await.unwrap_err().kind(), ErrorKind::TimedOut);
    });
    assert!(matches!(relayed.end, RelayEnd::Limit), "{relayed:?}");
    let relayed = relay_in_pieces::<R>(async |runtime: &R, source: &R::Stream, _: &R::Stream| {
        assert!(source.is_idle());
        runtime.drain();
        assert!(is_stopped(&source.readable(late(runtime)).await.expect_err("nothing is there")));
    });
    assert!(matches!(relayed.end, RelayEnd::Limit), "{relayed:?}");
}

/// Relays what is long enough to be spliced, and comes so slowly that the source has to be waited for.
fn relay_in_pieces<R: Runtime>(
    after: impl AsyncFn(&R, &R::Stream, &R::Stream) + Clone + Send + Sync + 'static,
) -> Relayed {
    const SIZE: usize = 1 << 20;
    relay::<R>((SIZE as u64, BOUND), after, |mut source, mut sink| {
        let writing = thread::spawn(move || {
            for piece in pattern(SIZE).chunks(SIZE / 8) {
                write(&mut source, piece);
                thread::sleep(ms(15));
            }
            // It stays open, idle, until the other side has closed.
            assert!(read_all(&mut source).is_empty());
        });
        assert!(read_all(&mut sink) == pattern(SIZE));
        writing.join().unwrap();
    })
}

pub(crate) fn counts_to_the_end<R: Runtime>() {
    for size in [0, 5, 300_000, 8 << 20] {
        let relayed = relay::<R>(
            (u64::MAX, BOUND),
            async |_: &R, _: &R::Stream, _: &R::Stream| {},
            |mut source, mut sink| {
                let writing = thread::spawn(move || write(&mut source, &pattern(size)));
                assert!(read_all(&mut sink) == pattern(size), "{size}");
                writing.join().unwrap();
            },
        );
        assert_eq!(relayed.bytes, size as u64);
        assert!(matches!(relayed.end, RelayEnd::Eof), "{relayed:?}");
    }
}

pub(crate) fn tells_a_reset_source<R: Runtime>() {
    for size in [10, 1 << 20] {
        let relayed = relay::<R>(
            (u64::MAX, BOUND),
            async |_: &R, _: &R::Stream, _: &R::Stream| {},
            |mut source, mut sink| {
                let mut writer = source.try_clone().unwrap();
                let writing = thread::spawn(move || write(&mut writer, &pattern(size)));
                assert!(read(&mut sink, size) == pattern(size));
                writing.join().unwrap();
                source.flush().unwrap();
                reset(source);
                assert!(read_all(&mut sink).is_empty());
            },
        );
        assert_eq!(relayed.bytes, size as u64);
        assert!(
            matches!(&relayed.end, RelayEnd::RecvFailed(error) if error.kind() == ErrorKind::ConnectionReset),
            "{relayed:?}"
        );
    }
}

pub(crate) fn tells_a_reset_sink<R: Runtime>() {
    for limit in [u64::MAX, 3_000_000_000] {
        let relayed = relay::<R>(
            (limit, BOUND),
            async |runtime: &R, source: &R::Stream, _: &R::Stream| give(runtime, source, b"sorry").await,
            |mut source, mut sink| {
                let mut writer = source.try_clone().unwrap();
                let writing = thread::spawn(move || {
                    let piece = pattern(64 * 1024);
                    while writer.write_all(&piece).is_ok() {}
                });
                assert!(read(&mut sink, 1_000_000) == pattern_of_pieces(1_000_000));
                reset(sink);
                assert_eq!(read(&mut source, 5), b"sorry");
                reset(source);
                writing.join().unwrap();
            },
        );
        assert!(relayed.bytes >= 1_000_000, "{relayed:?}");
        assert!(matches!(relayed.end, RelayEnd::SendFailed(_)), "{relayed:?}");
    }
}

fn pattern_of_pieces(count: usize) -> Vec<u8> {
    pattern(64 * 1024).into_iter().cycle().take(count).collect()
}

pub(crate) fn tells_a_silent_source<R: Runtime>() {
    let relayed = relay::<R>(
        (u64::MAX, ms(80)),
        async |runtime: &R, source: &R::Stream, _: &R::Stream| give(runtime, source, b"too slow").await,
        |mut source, mut sink| {
            write(&mut source, b"half");
            assert_eq!(read_all(&mut sink), b"half");
            assert_eq!(read_all(&mut source), b"too slow");
        },
    );
    assert_eq!(relayed.bytes, 4);
    assert!(
        matches!(&relayed.end, RelayEnd::RecvFailed(error) if error.kind() == ErrorKind::TimedOut),
        "{relayed:?}"
    );
}

pub(crate) fn tells_a_stuck_sink_and_counts_what_it_took<R: Runtime>() {
    let (ended, has_ended) = mpsc::channel();
    let (counts, count) = mpsc::channel();
    let relayed = relay::<R>(
        (u64::MAX, ms(200)),
        async move |_: &R, _: &R::Stream, _: &R::Stream| ended.send(()).unwrap(),
        |mut source, mut sink| {
            let writing = thread::spawn(move || {
                let piece = pattern(64 * 1024);
                while source.write_all(&piece).is_ok() {}
            });
            has_ended.recv_timeout(BOUND).unwrap();
            let heard = read_all(&mut sink);
            assert!(heard == pattern_of_pieces(heard.len()));
            counts.send(heard.len() as u64).unwrap();
            writing.join().unwrap();
        },
    );
    assert!(
        matches!(&relayed.end, RelayEnd::SendFailed(error) if error.kind() == ErrorKind::TimedOut),
        "{relayed:?}"
    );
    assert_eq!(relayed.bytes, count.recv().unwrap());
}

pub(crate) fn is_bounded_between_moves_only<R: Runtime>() {
    let relayed = relay::<R>(
        (8, ms(600)),
        async |_: &R, _: &R::Stream, _: &R::Stream| {},
        |mut source, mut sink| {
            for _ in 0..8 {
                write(&mut source, b".");
                thread::sleep(ms(120));
            }
            assert_eq!(read_all(&mut sink), b"........");
        },
    );
    assert_eq!(relayed.bytes, 8);
    assert!(matches!(relayed.end, RelayEnd::Limit), "{relayed:?}");
}

pub(crate) fn ends_by_stop_recv<R: Runtime>() {
    let (listener, address) = backend();
    let (relayed, ()) = play::<R, _, _, _>(
        move |runtime, listener| async move {
            let source = accept(&listener).await;
            let sink = runtime.connect(address, late(&runtime)).await.unwrap();
            let stop = async {
                assert_eq!(take(&runtime, &sink, 2).await, b"no");
                source.stop_recv();
            };
            let (relayed, ()) = join(source.relay_to(&sink, 1 << 30, BOUND), stop).await;
            give(&runtime, &source, b"sent before").await;
            relayed
        },
        |stage| {
            let mut source = peer(stage.address);
            let mut sink = bounded(listener.accept().unwrap().0);
            write(&mut source, b"bytes");
            assert_eq!(read(&mut sink, 5), b"bytes");
            write(&mut sink, b"no");
            assert_eq!(read(&mut source, 11), b"sent before");
        },
    );
    assert_eq!(relayed.bytes, 5);
    assert!(matches!(&relayed.end, RelayEnd::RecvFailed(error) if is_stopped(error)), "{relayed:?}");
}

pub(crate) fn tunnels_both_ways<R: Runtime>() {
    const SIZE: usize = 8 << 20;
    let (listener, address) = backend();
    let swap = |mut stream: TcpStream| {
        let mut writer = stream.try_clone().unwrap();
        thread::spawn(move || {
            let writing = thread::spawn(move || {
                write(&mut writer, &pattern(SIZE));
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let heard = read_all(&mut stream);
            writing.join().unwrap();
            assert!(heard == pattern(SIZE));
        })
    };
    let ((up, down), ()) = play::<R, _, _, _>(
        move |runtime, listener| async move {
            let client = accept(&listener).await;
            let backend = runtime.connect(address, late(&runtime)).await.unwrap();
            let up = async {
                let relayed = client.relay_to(&backend, u64::MAX, BOUND).await;
                backend.shutdown_send().await.unwrap();
                relayed
            };
            let down = async {
                let relayed = backend.relay_to(&client, u64::MAX, BOUND).await;
                client.shutdown_send().await.unwrap();
                relayed
            };
            join(up, down).await
        },
        move |stage| {
            let client = swap(peer(stage.address));
            let backend = swap(bounded(listener.accept().unwrap().0));
            client.join().unwrap();
            backend.join().unwrap();
        },
    );
    for relayed in [up, down] {
        assert_eq!(relayed.bytes, SIZE as u64);
        assert!(matches!(relayed.end, RelayEnd::Eof), "{relayed:?}");
    }
}
