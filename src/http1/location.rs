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

#[cfg(test)]
mod tests {
    use super::super::{Kind, Version};
    use super::*;

    fn seen_by_client(value: &str) -> String {
        let forward = ForwardResponse {
            client: Version::Http11,
            keeps_client: true,
            stripped_prefix: Some(b"/images/"),
            client_host: Some(b"Example.org"),
            backend: b"127.0.0.1:9000",
        };
        let field = Field { name: b"Location", value: value.as_bytes(), kind: Kind::Location };
        let mut out = Vec::new();
        put_location(&mut out, field, b"/images/", &forward);
        let line = String::from_utf8(out).unwrap();
        line.strip_prefix("Location: ").unwrap().strip_suffix("\r\n").unwrap().to_owned()
    }

    #[test]
    fn the_prefix_is_put_back_into_what_is_ours() {
        for (value, seen) in [
            ("/", "/images/"),
            ("/a?b#c", "/images/a?b#c"),
            ("/images/a", "/images/images/a"),
            ("http://example.org/a", "http://example.org/images/a"),
            ("HTTP://example.ORG:80/a?b", "HTTP://example.ORG:80/images/a?b"),
            ("http://example.org", "http://example.org/images/"),
            ("http://example.org?b", "http://example.org/images/?b"),
            ("http://127.0.0.1:9000/a", "/images/a"),
            ("http://127.0.0.1:9000", "/images/"),
            ("http://127.0.0.1:9000#x", "/images/#x"),
            ("http://127.0.0.1:9000//evil.example", "/images//evil.example"),
        ] {
            assert_eq!(seen_by_client(value), seen, "{value}");
        }
    }

    #[test]
    fn what_is_not_ours_is_untouched() {
        for value in [
            "",
            "a",
            "../a",
            "?b",
            "#c",
            "//example.org/a",
            "/\\evil.example",
            "https://example.org/a",
            "http://example.org:8080/a",
            "http://127.0.0.1/a",
            "http://user@example.org/a",
            "http://other.example/a",
            "http://example.org\\a",
            "http://",
            "mailto:a@b",
        ] {
            assert_eq!(seen_by_client(value), value);
        }
    }
}
