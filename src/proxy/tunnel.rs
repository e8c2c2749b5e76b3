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
    let (client, backend) = ((Side::Client, client), (Side::Backend, backend));
    let failure = &Cell::new(None);
    let up = Direction { from: client, to: backend, idle, moved: moved[0], failure };
    let down = Direction { from: backend, to: client, idle, moved: moved[1], failure };
    join(up.relay(), down.relay()).await;
    failure.get().map_or(Ok(()), Err)
}

/// One direction of a tunnel.
struct Direction<'a, S> {
    from: (Side, &'a S),
    to: (Side, &'a S),
    idle: Duration,
    moved: &'a Cell<u64>,
    /// What failed first, in either direction: what fails then is only a consequence.
    failure: &'a Cell<Option<Failure>>,
}

impl<S: Stream> Direction<'_, S> {
    async fn relay(&self) {
        let ((from_side, from), (to_side, to)) = (self.from, self.to);
        let relayed = from.relay_to(to, u64::MAX, self.idle).await;
        self.moved.set(self.moved.get() + relayed.bytes);
        let (side, error) = match relayed.end {
            RelayEnd::Limit => return,
            RelayEnd::Eof => match to.shutdown_send().await {
                Ok(()) => return,
                Err(error) => (to_side, error),
            },
            RelayEnd::RecvFailed(error) => (from_side, error),
            RelayEnd::SendFailed(error) => (to_side, error),
        };
        let failure = Failure { side, stage: Stage::Tunnel, cause: Cause::from(&error) };
        self.failure.set(self.failure.get().or(Some(failure)));
        from.abort();
        to.abort();
    }
}
