//! Line 4: a slow reader stops a fast writer in constant memory; and both directions at once.

use std::io::Write;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Instant;

use ringway::runtime::{Runtime, Stream, join};

use crate::stage::*;

/// Bufs that a stream may have out which nobody asks for: a runtime that lends its kernel a window of bufs can stop it
/// only when it sees what has become of them.
const READ_AHEAD: usize = 16 + 256;

pub(crate) fn a_slow_reader_stops_a_fast_writer<R: Runtime>() {
    let (starts, start) = mpsc::channel::<()>();
    let (count, written) = play::<R, _, _, _>(
        move |runtime, listener| {
            let starts = starts.clone();
            async move {
                let stream = accept(&listener).await;
                // From the second time on a runtime may read ahead by itself.
                let mut count = take(&runtime, &stream, 100_000).await.len();
                for _ in 0..30 {
                    runtime.sleep(runtime.now() + ms(10)).await;
                    let out = runtime.pool().out();
                    assert!(out <= READ_AHEAD, "{out} bufs are out");
                }
                starts.send(()).unwrap();
                while let Some(buf) = stream.recv(late(&runtime)).await.unwrap() {
                    count += buf.len();
                }
                count
            }
        },
        |stage| {
            let mut peer = peer(stage.address);
            peer.set_write_timeout(Some(ms(100))).unwrap();
            let piece = pattern(64 * 1024);
            let mut written = 0;
            // Not for ever, if the runtime has failed.
            while start.try_recv() == Err(TryRecvError::Empty) {
                written += peer.write(&piece).unwrap_or(0);
                assert!(written < 64 << 20, "nothing stops the writer");
            }
            written
        },
    );
    assert_eq!(count, written);
}

pub(crate) fn both_directions_at_once<R: Runtime>() {
    const SIZE: usize = 4 << 20;
    let (heard, said) = play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let give_all = async {
                for piece in pattern(SIZE).chunks(50_000) {
                    give(&runtime, &stream, piece).await;
                }
                stream.shutdown_send().await.unwrap();
            };
            join(take(&runtime, &stream, SIZE), give_all).await.0
        },
        |stage| {
            let mut peer = peer(stage.address);
            let mut writer = peer.try_clone().unwrap();
            let writing = thread::spawn(move || write(&mut writer, &pattern(SIZE)));
            let said = read_all(&mut peer);
            writing.join().unwrap();
            said
        },
    );
    assert!(heard == pattern(SIZE) && said == pattern(SIZE));
}

pub(crate) fn a_batch_of_many_pieces_arrives_in_order<R: Runtime>() {
    let ((), said) = play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            give(&runtime, &stream, b"").await;
            let mut batch = batch(&runtime, b"head ");
            for piece in pattern(2 << 20).chunks(1500) {
                let mut buf = runtime.pool().take();
                buf.write(piece);
                batch.push(buf.freeze());
            }
            stream.send(batch, late(&runtime)).await.unwrap();
        },
        |stage| read_all(&mut peer(stage.address)),
    );
    assert!(said[..5] == *b"head " && said[5..] == pattern(2 << 20));
}

/// A task whose operations never have to wait does not keep the clock still, nor the others from running.
pub(crate) fn tasks_take_turns<R: Runtime>() {
    play::<R, _, _, _>(
        |runtime, listener| async move {
            let stream = accept(&listener).await;
            let end = runtime.now() + ms(150);
            let recv_all = async {
                while runtime.now() < end {
                    stream.recv(late(&runtime)).await.unwrap().unwrap();
                }
                stream.abort();
            };
            let start = Instant::now();
            join(recv_all, runtime.sleep(end)).await;
            assert!(start.elapsed() < BOUND);
        },
        |stage| {
            let mut peer = peer(stage.address);
            let piece = pattern(64 * 1024);
            while peer.write_all(&piece).is_ok() {}
        },
    );
}
