//! Bodies of any length in which every byte is known from its place, and the check of such a body.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures_util::{StreamExt as _, stream};

/// A prime, so that a pattern shifted by any power of two is noticed.
const PERIOD: u64 = 251;

/// The byte at `offset` (from 0) of what `/bytes/N` sends and `/count` expects.
#[must_use]
pub fn pattern_byte(offset: u64) -> u8 {
    (offset % PERIOD) as u8
}

/// A body of `length` bytes, made while it is sent: it takes no memory to speak of, however long it is.
pub(crate) fn body(length: u64) -> Body {
    // A whole number of periods, so that each piece begins where the last one ended.
    const PIECE: u64 = PERIOD * 261;
    let piece: Bytes = (0..PIECE).map(pattern_byte).collect();
    let pieces = (0..length.div_ceil(PIECE)).map(move |number| {
        let left = length - number * PIECE;
        Ok::<_, Infallible>(piece.slice(..left.min(PIECE) as usize))
    });
    Body::from_stream(stream::iter(pieces))
}

/// Reads a body to its end: its length, and the first place that differs from the pattern.
///
/// # Errors
///
/// The body ends early.
pub(crate) async fn measure(body: Body) -> Result<(u64, Option<u64>), axum::Error> {
    let expected: Vec<u8> = (0..2 * PERIOD).map(pattern_byte).collect();
    let (mut length, mut odd) = (0, None);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        for part in piece?.chunks(PERIOD as usize) {
            let expected = &expected[(length % PERIOD) as usize..][..part.len()];
            if odd.is_none() && part != expected {
                let place = part.iter().zip(expected).position(|(byte, expected)| byte != expected);
                odd = place.map(|place| length + place as u64);
            }
            length += part.len() as u64;
        }
    }
    Ok((length, odd))
}
