//! The signals that ask a command to end, for commands that have something to put in order before.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Tells, once, of SIGTERM or SIGHUP, which do not end the process any more.
///
/// # Errors
///
/// No thread, or no handler, can be had.
pub(crate) fn termination() -> io::Result<Receiver<()>> {
    let (sender, told) = channel();
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut hangup) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let wait = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        // Nobody may be listening any more.
        let _ = sender.send(());
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(wait))?;
    Ok(told)
}
