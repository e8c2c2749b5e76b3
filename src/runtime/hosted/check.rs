//! The self-test of a hosted runtime: whether something goes through it on this machine.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use io_uring_of_engines::{Builder, IoUring};

use super::{Engine, Hosted};
use crate::runtime::ring::{Unavailable, patiently};
use crate::runtime::{DrainSignal, Options, Peers, Runtime, Started, Stream};

/// How long a message over loopback may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first of some ways to set up a ring that the kernel knows, with memory for so many rings. Memory that was just given
/// back is waited for.
///
/// # Errors
/// What is in the way.
pub(in crate::runtime) fn best_way(
    ways: impl Fn() -> Vec<Builder>,
    submissions: u32,
    rings: usize,
) -> Result<Builder, Unavailable> {
    let find = || {
        let mut refused = io::Error::from_raw_os_error(libc::EINVAL);
        for way in ways() {
            match try_rings(&way, submissions, rings) {
                Ok(()) => return Ok(way),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    };
    patiently(find).map_err(|error| Unavailable::from_setup(&error))
}

/// Whether the kernel makes so many such rings at once, and lets them be entered. An engine may ask no more after that:
/// some panic, and some try for ever.
///
/// # Errors
/// What is in the way.
fn try_rings(builder: &Builder, submissions: u32, count: usize) -> io::Result<()> {
    let rings: Vec<IoUring> = (0..count).map(|_| builder.build(submissions)).collect::<io::Result<_>>()?;
    rings.iter().try_for_each(|ring| ring.submit().map(drop))
}

/// Receives one message over loopback, on a thread of its own: an engine may not run inside of another one.
///
/// # Errors
/// It did not come.
pub(in crate::runtime) fn receive_once<E: Engine>() -> Result<(), Unavailable> {
    const WHAT: &str = "recv of a message over loopback";
    let ended = std::thread::spawn(converse::<E>).join();
    match ended {
        Ok(Ok(true)) => Ok(()),
        Ok(Err(error)) => Err(Unavailable::Other(error)),
        Ok(Ok(false)) => Err(Unavailable::Broken(WHAT, "something else came".to_owned())),
        Err(_) => Err(Unavailable::Broken(WHAT, "it panicked".to_owned())),
    }
}

fn converse<E: Engine>() -> io::Result<bool> {
    let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = far.local_addr()?;
    let (tells, told) = std::sync::mpsc::channel();
    let options = Options {
        worker: 0,
        connections: 1,
        drain: DrainSignal::new()?,
        started: Started::default(),
        peers: Peers::default(),
    };
    // The kernel takes the connection, and a message for it, before it is accepted.
    let answer = std::thread::spawn(move || far.accept()?.0.write_all(b"ring"));
    let ran = Hosted::<E>::run(&options, Vec::new(), |runtime, _| {
        let tells = tells.clone();
        async move {
            let by = runtime.now() + PATIENCE;
            let heard = match runtime.connect(address, by).await {
                Ok(near) => near.recv(by).await.map(|buf| buf.is_some_and(|buf| *buf == *b"ring")),
                Err(error) => Err(error),
            };
            // The other end waits until this loop has ended.
            let _ = tells.send(heard);
        }
    });
    ran?;
    let heard = told.try_recv().unwrap_or(Ok(false));
    if heard.is_ok() {
        answer.join().unwrap_or(Ok(()))?;
    }
    heard
}
