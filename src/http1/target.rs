//! The forms of a request target (RFC 9112 section 3.2).

use memchr::memchr;

use super::{Authority, Path, Violation};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'b> {
    /// How it was written, and how it goes on.
    pub form: Form,
    /// The host that it names itself, which then counts instead of `Host`: of absolute-form only.
    pub authority: Option<Authority<'b>>,
    /// The path; `/` for `*`, so that the default route takes it.
    pub path: Path<'b>,
    /// What follows `?`, as it came; empty and absent are different things.
    pub query: Option<&'b [u8]>,
}

/// The form that goes on: absolute-form becomes one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`.
    Origin,
    /// `*`, of OPTIONS alone.
    Asterisk,
}

impl<'b> Target<'b> {
    /// Reads a target; `method` decides what forms it may have.
    ///
    /// # Errors
    /// [`Violation::BadTarget`], [`Violation::BadPercentEncoding`], [`Violation::BadHost`].
    pub(super) fn parse(raw: &'b [u8], method: &str) -> Result<Self, Violation> {
        match raw {
            [b'/', ..] => Self::local(None, raw),
            b"*" if method == "OPTIONS" => Ok(Self::asterisk(None)),
            _ => Self::absolute(raw, method),
        }
    }

    /// `http://authority/path?query`; other schemes are not ours to serve.
    fn absolute(raw: &'b [u8], method: &str) -> Result<Self, Violation> {
        let (scheme, rest) = raw.split_at_checked(7).ok_or(Violation::BadTarget)?;
        if !scheme.eq_ignore_ascii_case(b"http://") {
            return Err(Violation::BadTarget);
        }
        let end =
            rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let authority = Some(Authority::parse(authority)?);
        match rest {
            // RFC 9112 section 3.2.4: the last proxy on the way sends "*" for an OPTIONS without path and query.
            [] if method == "OPTIONS" => Ok(Self::asterisk(authority)),
            [] | [b'/' | b'?', ..] => Self::local(authority, rest),
            _ => Err(Violation::BadTarget),
        }
    }

    /// A path, which may be empty behind an authority, and a query.
    fn local(authority: Option<Authority<'b>>, raw: &'b [u8]) -> Result<Self, Violation> {
        let (path, query) = match memchr(b'?', raw) {
            Some(at) => (&raw[..at], Some(&raw[at + 1..])),
            None => (raw, None),
        };
        if !query.is_none_or(is_query) {
            return Err(Violation::BadTarget);
        }
        let path = if path.is_empty() { Path::root() } else { Path::parse(path)? };
        Ok(Self { form: Form::Origin, authority, path, query })
    }

    fn asterisk(authority: Option<Authority<'b>>) -> Self {
        Self { form: Form::Asterisk, authority, path: Path::root(), query: None }
    }
}

/// Visible ASCII but `#`. Browsers leave lone `%` and backslashes in queries, and nobody takes those for more.
fn is_query(query: &[u8]) -> bool {
    query.iter().all(|&byte| matches!(byte, b'!'..=b'~') && byte != b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str, method: &str) -> Result<(Form, Option<String>, String, Option<String>), Violation> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let target = Target::parse(raw.as_bytes(), method)?;
        let authority = target.authority.map(|authority| text(authority.as_bytes()));
        Ok((target.form, authority, text(target.path.forwarded()), target.query.map(text)))
    }

    #[test]
    fn forms_are_told_apart() {
        let some = |text: &str| Some(text.to_owned());
        for (raw, method, form, authority, path, query) in [
            ("/", "GET", Form::Origin, None, "/", None),
            ("/a?b?c=/../%", "GET", Form::Origin, None, "/a", some("b?c=/../%")),
            ("/a?", "GET", Form::Origin, None, "/a", some("")),
            ("/?\\", "GET", Form::Origin, None, "/", some("\\")),
            ("//evil.example/", "GET", Form::Origin, None, "//evil.example/", None),
            ("/http://a/", "GET", Form::Origin, None, "/http://a/", None),
            ("*", "OPTIONS", Form::Asterisk, None, "/", None),
            ("http://a.example/x?y", "GET", Form::Origin, some("a.example"), "/x", some("y")),
            ("HTTP://A:8080", "GET", Form::Origin, some("A:8080"), "/", None),
            ("http://a?x", "GET", Form::Origin, some("a"), "/", some("x")),
            ("http://a?x", "OPTIONS", Form::Origin, some("a"), "/", some("x")),
            ("http://a/", "OPTIONS", Form::Origin, some("a"), "/", None),
            ("http://a", "OPTIONS", Form::Asterisk, some("a"), "/", None),
        ] {
            assert_eq!(read(raw, method), Ok((form, authority, path.to_owned(), query)), "{method} {raw}");
        }
    }

    #[test]
    fn other_targets_are_refused() {
        for (raw, violation) in [
            ("*", Violation::BadTarget),
            ("**", Violation::BadTarget),
            ("a", Violation::BadTarget),
            ("a.example:80", Violation::BadTarget),
            ("?x", Violation::BadTarget),
            ("https://a/", Violation::BadTarget),
            ("ftp://a/", Violation::BadTarget),
            ("http:/a/", Violation::BadTarget),
            ("http:", Violation::BadTarget),
            ("/a#b", Violation::BadTarget),
            ("/a?b#c", Violation::BadTarget),
            ("/a\\b", Violation::BadTarget),
            ("http://a\\b/", Violation::BadTarget),
            ("/a?\u{e9}", Violation::BadTarget),
            ("/%zz", Violation::BadPercentEncoding),
            ("http://", Violation::BadHost),
            ("http:///a", Violation::BadHost),
            ("http://user@a/", Violation::BadHost),
            ("http://a:/", Violation::BadHost),
            ("http://a,b/", Violation::BadHost),
        ] {
            assert_eq!(read(raw, "GET").map(|_| ()), Err(violation), "{raw}");
        }
    }
}
