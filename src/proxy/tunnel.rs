//! Both directions, unread, until both end.

use std::cell::Cell;
use std::time::Duration;

use super::failure::{Cause, Failure, Side, Stage};
use crate::runtime::{RelayEnd, Runtime, Stream, join};

/// Runs a tunnel between the client and a backend. An orderly end of one direction is passed on and the other goes on;
/// a failure of either ends both. `idle` bounds the silence of each direction.
///
/// # Errors
/// What ended it, if it was not an orderly end of both directions.
pub(super) async fn run<R: Runtime>(
    client: &R::Stream,
    backend: &R::Stream,
    idle: Duration,
    moved: [&Cell<u64>; 2],
) -> Result<(), Failure> {
    let (up, down) = join(
        direction::<R>(client, backend, idle, moved[0]),
        direction::<R>(backend, client, idle, moved[1]),
    )
    .await;
    up.map_err(|end| end.of(Side::Client, Side::Backend))?;
    down.map_err(|end| end.of(Side::Backend, Side::Client))
}

/// How one direction failed.
enum Failed {
    From(Cause),
    To(Cause),
}

impl Failed {
    fn of(self, from: Side, to: Side) -> Failure {
        let (side, cause) = match self {
            Self::From(cause) => (from, cause),
            Self::To(cause) => (to, cause),
        };
        Failure { side, stage: Stage::Tunnel, cause }
    }
}

async fn direction<R: Runtime>(
    from: &R::Stream,
    to: &R::Stream,
    idle: Duration,
    moved: &Cell<u64>,
) -> Result<(), Failed> {
    let relayed = from.relay_to(to, u64::MAX, idle).await;
    moved.set(moved.get() + relayed.bytes);
    let failed = match relayed.end {
        RelayEnd::Limit => return Ok(()),
        RelayEnd::Eof => match to.shutdown_send().await {
            Ok(()) => return Ok(()),
            Err(error) => Failed::To(Cause::from(&error)),
        },
        RelayEnd::RecvFailed(error) => Failed::From(Cause::from(&error)),
        RelayEnd::SendFailed(error) => Failed::To(Cause::from(&error)),
    };
    from.abort();
    to.abort();
    Err(failed)
}
