//! Names with ports: what may stand in `Host` and in the authority of a target.

use std::net::Ipv6Addr;

use super::Violation;

/// The longest name (RFC 1035 section 2.3.4 has 253 characters), and a dot at its end.
const MAX_NAME: usize = 254;

/// A validated host with an optional port, as it came: a name of letters, digits, `-`, `_` and dots, an IPv4 address,
/// or an IPv6 address in brackets. No user, no percent-encoding, no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'b> {
    bytes: &'b [u8],
    /// Length of the host in front of the port, without a dot at its end.
    name_len: usize,
    port: Option<u16>,
}

impl<'b> Authority<'b> {
    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    /// [`Violation::BadHost`] for everything else, the empty host and the empty port among it.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Violation> {
        let host_len = match bytes {
            [b'[', ..] => address_len(bytes),
            _ => bytes.iter().position(|&byte| byte == b':').or(Some(bytes.len())),
        };
        let (host, rest) = host_len.map(|len| bytes.split_at(len)).ok_or(Violation::BadHost)?;
        if !host.starts_with(b"[") && !is_name(host) {
            return Err(Violation::BadHost);
        }
        let port = match rest {
            [] => None,
            [b':', digits @ ..] => Some(port(digits).ok_or(Violation::BadHost)?),
            _ => return Err(Violation::BadHost),
        };
        Ok(Self { bytes, name_len: host.strip_suffix(b".").unwrap_or(host).len(), port })
    }

    /// The whole of it, as it came.
    pub fn as_bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The host without port and without a dot at its end, in the case it came in: what routes are matched on.
    pub fn name(&self) -> &'b [u8] {
        &self.bytes[..self.name_len]
    }

    /// The port, if it names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether both mean the same place when `http` is spoken: names in any case, 80 where there is no port.
    pub fn is_same_place(&self, other: &Authority<'_>) -> bool {
        self.name().eq_ignore_ascii_case(other.name()) && self.port.unwrap_or(80) == other.port.unwrap_or(80)
    }
}

/// The length of an IPv6 address with its brackets.
fn address_len(bytes: &[u8]) -> Option<usize> {
    let close = bytes.iter().position(|&byte| byte == b']')?;
    let text = std::str::from_utf8(&bytes[1..close]).ok()?;
    text.parse::<Ipv6Addr>().ok().map(|_| close + 1)
}

/// Labels of letters, digits, `-` and `_`, none of them empty but for one dot at the end.
fn is_name(host: &[u8]) -> bool {
    let mut before = b'.';
    for &byte in host {
        let fits =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && before != b'.');
        if !fits {
            return false;
        }
        before = byte;
    }
    !host.is_empty() && host.len() <= MAX_NAME
}

/// One to five digits, up to 65535.
fn port(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 {
        return None;
    }
    super::ascii::decimal(digits).and_then(|number| number.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        for (text, name, port) in [
            ("example.org", "example.org", None),
            ("Example.ORG.", "Example.ORG", None),
            ("example.org:80", "example.org", Some(80)),
            ("example.org.:080", "example.org", Some(80)),
            ("a_b-c", "a_b-c", None),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::1]:8080", "[2001:DB8::1]", Some(8080)),
        ] {
            let authority = Authority::parse(text.as_bytes()).unwrap();
            assert_eq!((authority.name(), authority.port()), (name.as_bytes(), port), "{text}");
            assert_eq!(authority.as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(255);
        for text in [
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "user@a",
            "user:pw@a",
            "a:",
            "a:b",
            "a:+80",
            "a:65536",
            "a:000080",
            "a:80:80",
            ":80",
            "[",
            "[]",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[fe80::1%1]",
            "[v1.a]",
            "[127.0.0.1]",
            "a%2eb",
            "a*b",
            "h\u{e9}",
            "a\tb",
            "a;b",
            "a'b",
            "http://a",
            &long,
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), Err(Violation::BadHost), "{text}");
        }
    }

    #[test]
    fn places_are_compared() {
        let same = |a: &str, b: &str| {
            Authority::parse(a.as_bytes()).unwrap().is_same_place(&Authority::parse(b.as_bytes()).unwrap())
        };
        assert!(same("A.example", "a.example:80") && same("a.", "a") && same("[::1]:80", "[::1]"));
        assert!(!same("a", "a:8080") && !same("a", "b") && !same("a:81", "a:82"));
    }
}
