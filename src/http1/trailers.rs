//! What may stand in a trailer section (RFC 9110 section 6.5).

use super::Violation;
use super::fields::{Kind, Nominated, classify};
use super::head::{LineScanner, field_line};

/// Bytes of a trailer section, its empty line included.
const MAX_SIZE: usize = 8 * 1024;

/// Looks for the end of a trailer section in all bytes that came of it so far, and at each of its lines once: its
/// length with its empty line when it is whole.
///
/// # Errors
/// What a head may not have either, more than 8 KiB, and [`Violation::ForbiddenTrailer`].
pub(super) fn scan(
    lines: &mut LineScanner,
    bytes: &[u8],
    nominated: Nominated,
) -> Result<Option<usize>, Violation> {
    let window = &bytes[..bytes.len().min(MAX_SIZE)];
    while let Some((_, line)) = lines.next(window)? {
        if line.is_empty() {
            return Ok(Some(lines.taken()));
        }
        let (name, _) = field_line(line)?;
        if is_forbidden(name) || nominated.names(name) {
            return Err(Violation::ForbiddenTrailer);
        }
    }
    if bytes.len() > MAX_SIZE { Err(Violation::TrailersTooLarge) } else { Ok(None) }
}

/// Whether a server that merges trailers into the head could be led astray by this one. RFC 9110 section 6.5.1:
/// "message framing (e.g., Transfer-Encoding, Content-Length), routing (e.g., Host), request modifiers (e.g., controls
/// and conditionals), authentication, response control data, or determining how to process the content".
fn is_forbidden(name: &[u8]) -> bool {
    // A server that makes variables of names takes `content_type` for `content-type`.
    let starts = |with: &[u8]| {
        let fold = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
        name.len() >= with.len() && name.iter().map(fold).zip(with).all(|(byte, &with)| byte == with)
    };
    classify(name) != Kind::Other
        || FORBIDDEN_STARTS.iter().any(|with| starts(with))
        || FORBIDDEN.iter().any(|whole| name.len() == whole.len() && starts(whole))
}

const FORBIDDEN_STARTS: &[&[u8]] =
    &[b"content-", b"if-", b"proxy-", b"x-forwarded-", b"authorization", b"authentication-"];

const FORBIDDEN: &[&[u8]] = &[
    b"cookie",
    b"set-cookie",
    b"cookie2",
    b"set-cookie2",
    b"www-authenticate",
    b"trailer",
    b"cache-control",
    b"pragma",
    b"range",
    b"age",
    b"expires",
    b"date",
    b"retry-after",
    b"vary",
    b"warning",
    b"accept-encoding",
    b"x-real-ip",
];
