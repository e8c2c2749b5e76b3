//! Relaying by lending bufs from one stream to the other: what every runtime can do.

use std::time::Duration;

use super::{Batch, RelayEnd, Relayed, Runtime, Stream};

/// [`Stream::relay_to`] made of `recv` and `send`, one buf at a time: memory is bounded by one buf a direction.
pub async fn relay_by_copy<R: Runtime>(
    runtime: &R,
    from: &R::Stream,
    to: &R::Stream,
    limit: u64,
    idle: Duration,
) -> Relayed {
    let mut bytes = 0;
    while bytes < limit {
        let mut buf = match from.recv(runtime.now() + idle).await {
            Ok(Some(buf)) => buf,
            Ok(None) => return Relayed { bytes, end: RelayEnd::Eof },
            Err(error) => return Relayed { bytes, end: RelayEnd::RecvFailed(error) },
        };
        let room = limit - bytes;
        if buf.len() as u64 > room {
            let beyond = buf.split_off(usize::try_from(room).unwrap_or(usize::MAX));
            from.unrecv(beyond);
        }
        let len = buf.len() as u64;
        if let Err(error) = to.send(Batch::from(buf), runtime.now() + idle).await {
            return Relayed { bytes, end: RelayEnd::SendFailed(error) };
        }
        bytes += len;
    }
    Relayed { bytes, end: RelayEnd::Limit }
}
