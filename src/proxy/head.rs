//! Reading one head: in place where it came in one piece, gathered where it did not.

use std::ops::Deref;
use std::time::Instant;

use super::failure::Cause;
use crate::http1::HeadScanner;
use crate::runtime::{Buf, Stream};

/// The bytes of a head, the empty line included, and nothing else.
pub(super) enum Head {
    /// In one piece, as they came.
    Lent(Buf),
    /// From several pieces.
    Gathered(Vec<u8>),
}

/// Why there is no head.
pub(super) enum NoHead {
    /// The connection ended in order before the first byte.
    Nothing,
    /// It failed with so many bytes read.
    Failed(Cause, usize),
}

/// Reads a head; bytes beyond it stay unread. The deadline `by` may move while it is read. `begins` is called when its
/// first bytes are there.
///
/// # Errors
/// The end of the connection, a missed deadline, or the first rule that the head breaks.
pub(super) async fn read<S: Stream>(
    stream: &S,
    mut scanner: HeadScanner,
    by: impl Fn() -> Instant,
    begins: impl Fn(),
) -> Result<Head, NoHead> {
    let mut gathered = Vec::new();
    loop {
        let mut buf = match stream.recv(by()).await {
            Ok(Some(buf)) => buf,
            Ok(None) if gathered.is_empty() => return Err(NoHead::Nothing),
            Ok(None) => return Err(NoHead::Failed(Cause::Closed, gathered.len())),
            Err(error) => return Err(NoHead::Failed(Cause::from(&error), gathered.len())),
        };
        let before = gathered.len();
        let scanned = if before == 0 {
            begins();
            scanner.scan(&buf)
        } else {
            scanner.scan(append(&mut gathered, &buf))
        };
        let found =
            scanned.map_err(|violation| NoHead::Failed(Cause::Violation(violation), before + buf.len()))?;
        match found {
            Some(len) => {
                stream.unrecv(buf.split_off(len - before));
                gathered.truncate(len);
                return Ok(if before == 0 { Head::Lent(buf) } else { Head::Gathered(gathered) });
            }
            None if before == 0 => gathered.extend_from_slice(&buf),
            None => {}
        }
    }
}

fn append<'a>(gathered: &'a mut Vec<u8>, bytes: &[u8]) -> &'a [u8] {
    gathered.extend_from_slice(bytes);
    gathered
}

impl Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(buf) => buf,
            Self::Gathered(bytes) => bytes,
        }
    }
}
