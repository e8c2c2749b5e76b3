//! Paths: what routes are matched on, and what goes on to a backend.

use std::borrow::Cow;

use super::Violation;

/// The path of a target in its two readings. Neither owns memory unless the path came in an unusual shape.
///
/// Resolved is the path with unreserved characters decoded and dot segments resolved, in the steps of RFC 3986
/// section 5.2.4: an empty segment counts as one, and nothing climbs above the root. Normalised is that with empty
/// segments merged and the digits of percent-encodings in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'b> {
    /// As it came, or resolved where resolving changes it.
    sent: Cow<'b, [u8]>,
    /// Normalised, where that differs from `sent`.
    normal: Option<Vec<u8>>,
}

impl<'b> Path<'b> {
    /// Reads a path that begins with `/`, without query.
    ///
    /// # Errors
    /// [`Violation::BadPercentEncoding`], and [`Violation::BadTarget`] for a backslash, a fragment, and all that is
    /// no visible ASCII.
    pub fn parse(raw: &'b [u8]) -> Result<Self, Violation> {
        debug_assert!(raw.starts_with(b"/"));
        match survey(raw)? {
            Shape::Normal => Ok(Self { sent: Cow::Borrowed(raw), normal: None }),
            Shape::Unusual => {
                let resolved = resolve(&decode(raw));
                let sent =
                    if is_unchanged(raw, &resolved) { Cow::Borrowed(raw) } else { Cow::Owned(resolved) };
                let normal = merge(&sent);
                let normal = (normal != *sent).then_some(normal);
                Ok(Self { sent, normal })
            }
        }
    }

    /// The path of a target that has none, and of `*`.
    pub(super) fn root() -> Self {
        Self { sent: Cow::Borrowed(b"/"), normal: None }
    }

    /// What routes are matched on.
    pub fn normalised(&self) -> &[u8] {
        self.normal.as_deref().unwrap_or(&self.sent)
    }

    /// What goes on: the bytes as they came, unless decoding or dot segments changed them.
    pub fn forwarded(&self) -> &[u8] {
        &self.sent
    }

    /// What goes on where `prefix` (`/images/` or `/images`) is taken off: off the path as it came if that begins with
    /// it, else off the normalised one. Begins with one `/` and no more: two would be an authority to whoever reads
    /// the target as a reference. A path outside the prefix goes on whole.
    pub fn without_prefix(&self, prefix: &[u8]) -> &[u8] {
        let base = prefix.strip_suffix(b"/").unwrap_or(prefix);
        below(&self.sent, base).or_else(|| below(self.normalised(), base)).unwrap_or(&self.sent)
    }
}

/// The rest of a path below `base`, which has no slash at its end.
fn below<'p>(path: &'p [u8], base: &[u8]) -> Option<&'p [u8]> {
    let mut rest = path.strip_prefix(base)?;
    while let [b'/', b'/', ..] = rest {
        rest = &rest[1..];
    }
    match rest {
        [] => Some(b"/"),
        [b'/', ..] => Some(rest),
        _ => None,
    }
}

enum Shape {
    /// Already normalised.
    Normal,
    /// With percent-encodings, empty segments, or segments that begin with a dot.
    Unusual,
}

/// One look at every byte, which is all that the usual path needs.
fn survey(path: &[u8]) -> Result<Shape, Violation> {
    let mut shape = Shape::Normal;
    let mut before = b'a';
    for (at, &byte) in path.iter().enumerate() {
        match CLASSES[usize::from(byte)] {
            Class::Plain => {}
            Class::Slash | Class::Dot if before == b'/' => shape = Shape::Unusual,
            Class::Slash | Class::Dot => {}
            Class::Percent => {
                encoded(&path[at..]).ok_or(Violation::BadPercentEncoding)?;
                shape = Shape::Unusual;
            }
            Class::Refused => return Err(Violation::BadTarget),
        }
        before = byte;
    }
    Ok(shape)
}

#[derive(Clone, Copy)]
enum Class {
    Plain,
    Slash,
    Dot,
    Percent,
    Refused,
}

/// What each byte is to a path. A backslash is a slash to some servers, and `#` ends the path for others.
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Refused; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        classes[byte as usize] = match byte {
            b'/' => Class::Slash,
            b'.' => Class::Dot,
            b'%' => Class::Percent,
            b'\\' | b'#' => Class::Refused,
            _ => Class::Plain,
        };
        byte += 1;
    }
    classes
};

/// The byte that a percent-encoding at the start of these bytes stands for.
fn encoded(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

/// Whether an encoding of it means the same as the byte itself (RFC 3986 section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Decodes unreserved characters and writes the digits of other encodings in upper case (RFC 3986 section 6.2.2).
/// What is decoded never makes a new encoding, because `%` is reserved.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        match encoded(rest) {
            Some(byte) if is_unreserved(byte) => {
                decoded.push(byte);
                rest = &rest[3..];
            }
            Some(_) => {
                decoded.extend(rest[..3].iter().map(u8::to_ascii_uppercase));
                rest = &rest[3..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

/// Resolves dot segments as RFC 3986 section 5.2.4 does.
fn resolve(path: &[u8]) -> Vec<u8> {
    let mut resolved: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path[1..].split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    let parent = resolved.iter().rposition(|&byte| byte == b'/');
                    resolved.truncate(parent.unwrap_or(0));
                }
                if is_last {
                    resolved.push(b'/');
                }
            }
            _ => {
                resolved.push(b'/');
                resolved.extend_from_slice(segment);
            }
        }
    }
    resolved
}

/// Whether resolving changed nothing but the case of digits.
fn is_unchanged(raw: &[u8], resolved: &[u8]) -> bool {
    // Decoding and resolving shorten what they change, so that equal lengths mean that there was nothing to do.
    raw.len() == resolved.len()
}

/// Merges empty segments, and writes the digits of encodings in upper case.
fn merge(path: &[u8]) -> Vec<u8> {
    let mut merged = decode(path);
    merged.dedup_by(|next, before| *next == b'/' && *before == b'/');
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(raw: &str) -> (String, String) {
        let path = Path::parse(raw.as_bytes()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(path.normalised()), text(path.forwarded()))
    }

    #[test]
    fn usual_paths_take_no_memory() {
        for raw in ["/", "/images/cat.png", "/a/b-c_d~e/", "/a:b@c!$&'()*+,;=", "/a.b..c/d."] {
            let path = Path::parse(raw.as_bytes()).unwrap();
            assert!(matches!(path.sent, Cow::Borrowed(_)) && path.normal.is_none(), "{raw}");
            assert_eq!(path.normalised(), raw.as_bytes());
        }
    }

    #[test]
    fn paths_are_normalised_and_forwarded() {
        for (raw, normalised, forwarded) in [
            // As they came, though routes see something else.
            ("//", "/", "//"),
            ("/a//b", "/a/b", "/a//b"),
            ("//a///b//", "/a/b/", "//a///b//"),
            ("/a%2fb", "/a%2Fb", "/a%2fb"),
            ("/a%2Fb%5c%00", "/a%2Fb%5C%00", "/a%2Fb%5c%00"),
            ("/%e4%C3", "/%E4%C3", "/%e4%C3"),
            ("/.well-known/x", "/.well-known/x", "/.well-known/x"),
            ("/...", "/...", "/..."),
            ("/.../.a/..b", "/.../.a/..b", "/.../.a/..b"),
            ("/a%20b", "/a%20b", "/a%20b"),
            // Changed by decoding.
            ("/%61", "/a", "/a"),
            ("/%7Ea//%2d", "/~a/-", "/~a//-"),
            ("/%61%2fb", "/a%2Fb", "/a%2Fb"),
            ("/%25%36%31", "/%2561", "/%2561"),
            ("/%2561", "/%2561", "/%2561"),
            // Changed by dot segments.
            ("/.", "/", "/"),
            ("/..", "/", "/"),
            ("/a/.", "/a/", "/a/"),
            ("/a/..", "/", "/"),
            ("/a/b/..", "/a/", "/a/"),
            ("/a/b/../", "/a/", "/a/"),
            ("/a/./b", "/a/b", "/a/b"),
            ("/a/b/../../../../c", "/c", "/c"),
            ("/../../a", "/a", "/a"),
            ("/%2e%2E/a", "/a", "/a"),
            ("/a/%2e./b", "/b", "/b"),
            ("/a/.%2e", "/", "/"),
            ("/images/..%2fsecret", "/images/..%2Fsecret", "/images/..%2fsecret"),
            ("/images/..%5csecret", "/images/..%5Csecret", "/images/..%5csecret"),
            // An empty segment is one that `..` takes off.
            ("/a//../b", "/a/b", "/a/b"),
            ("//../a", "/a", "/a"),
            ("/a/..//b", "/b", "//b"),
            ("///../..//../a", "/a", "/a"),
            ("/a//b/../c", "/a/c", "/a//c"),
        ] {
            assert_eq!(read(raw), (normalised.to_owned(), forwarded.to_owned()), "{raw}");
        }
    }

    #[test]
    fn bad_paths_are_refused() {
        for raw in ["/%", "/%a", "/%zz", "/%%41", "/a%2", "/%+1", "/% 1"] {
            assert_eq!(Path::parse(raw.as_bytes()), Err(Violation::BadPercentEncoding), "{raw}");
        }
        for raw in ["/\\", "/a\\..\\b", "/a#b", "/#", "/\u{e9}", "/a\tb", "/a\x7f", "/a b"] {
            assert_eq!(Path::parse(raw.as_bytes()), Err(Violation::BadTarget), "{raw}");
        }
    }

    #[test]
    fn prefixes_are_taken_off() {
        for (raw, prefix, rest) in [
            ("/images/cat.png", "/images/", "/cat.png"),
            ("/images/cat.png", "/images", "/cat.png"),
            ("/images/", "/images/", "/"),
            ("/images", "/images", "/"),
            ("/images/a//b%2f", "/images/", "/a//b%2f"),
            ("/images/%61//b", "/images/", "/a//b"),
            ("//images/a//b", "/images/", "/a/b"),
            ("/%69mages/a//b", "/images/", "/a//b"),
            ("/x/../images/a", "/images/", "/a"),
            ("/images/../images/a", "/images/", "/a"),
            ("/images//evil.example/x", "/images/", "/evil.example/x"),
            ("/images////evil.example", "/images", "/evil.example"),
            ("/images//", "/images/", "/"),
            ("/images/./", "/images/", "/"),
            ("/cat.png", "/", "/cat.png"),
            ("//cat.png", "/", "/cat.png"),
            ("/imagesX", "/images", "/imagesX"),
            ("/other", "/images/", "/other"),
        ] {
            let path = Path::parse(raw.as_bytes()).unwrap();
            let got = String::from_utf8(path.without_prefix(prefix.as_bytes()).to_vec()).unwrap();
            assert_eq!(got, rest, "{raw} without {prefix}");
        }
    }

    proptest! {
        #[test]
        fn normalising_is_idempotent(raw in "/[a./%25EeFf/]{0,24}") {
            let Ok(path) = Path::parse(raw.as_bytes()) else { return Ok(()) };
            for reading in [path.normalised(), path.forwarded(), path.without_prefix(b"/a/")] {
                prop_assert!(reading.starts_with(b"/"));
                let again = Path::parse(reading).unwrap();
                prop_assert_eq!(again.forwarded(), reading, "nothing is left to resolve");
            }
            let again = Path::parse(path.normalised()).unwrap();
            prop_assert_eq!(again.normalised(), path.normalised());
            let sent = Path::parse(path.forwarded()).unwrap();
            prop_assert_eq!(sent.normalised(), path.normalised(), "a backend that normalises sees what was matched");
            prop_assert!(!path.normalised().windows(2).any(|two| two == b"//"));
        }

        #[test]
        fn no_path_makes_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..40)) {
            let raw = [b"/".as_slice(), &raw].concat();
            let _ = Path::parse(&raw).map(|path| path.without_prefix(b"/a").to_vec());
        }
    }
}
