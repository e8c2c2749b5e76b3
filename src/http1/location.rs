//! `Location` and `Content-Location` of a route whose prefix was taken off: the prefix is put back.

use super::edit::put_field;
use super::{Authority, Field, ForwardResponse, Sink};

/// Writes the field as the client has to see it. What names another place than the backend and the host that the
/// client asked for, and what is relative to the request's own path, goes on untouched.
pub(super) fn put_location(
    out: &mut impl Sink,
    field: Field<'_>,
    prefix: &[u8],
    forward: &ForwardResponse<'_>,
) {
    let Some((origin, path)) = own_path(field.value, forward) else {
        return put_field(out, field.name, field.value);
    };
    out.put(field.name);
    out.put(b": ");
    out.put(origin);
    out.put(prefix.strip_suffix(b"/").unwrap_or(prefix));
    if !path.starts_with(b"/") {
        out.put(b"/");
    }
    out.put(path);
    out.put(b"\r\n");
}

/// A reference into the backend's paths: what stands before the path in the client's eyes, and the path with all
/// that follows it.
fn own_path<'b>(value: &'b [u8], forward: &ForwardResponse<'_>) -> Option<(&'b [u8], &'b [u8])> {
    if let [b'/', rest @ ..] = value {
        let is_path = !matches!(rest, [b'/' | b'\\', ..]);
        return is_path.then_some((b"".as_slice(), value));
    }
    let (scheme, rest) = value.split_at_checked(b"http://".len())?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = Authority::parse(authority).ok()?;
    let means = |place: &[u8]| Authority::parse(place).is_ok_and(|place| place.is_same_place(&authority));
    if path.starts_with(b"\\") {
        None
    } else if forward.client_host.is_some_and(means) {
        Some((&value[..scheme.len() + end], path))
    } else if means(forward.backend) {
        Some((b"", path))
    } else {
        None
    }
}
