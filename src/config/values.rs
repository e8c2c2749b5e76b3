//! Values that are more than a word: names, addresses, hosts, paths and the access log, read from their text.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::AccessLog;
use super::problem::nearest;
use crate::route::HostRule;

const NAME_MAX: usize = 64;

/// Letters, digits, `-`, `_` and `.`: fit for a log line and for the label of a metric, and never an address.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "\"{text}\" is not a name: write 1 to {NAME_MAX} of the letters a to z, digits, \"-\", \"_\" and \".\""
        ))
    }
}

/// Where a listener accepts; port 0 lets the kernel choose one.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    match text.strip_prefix('*').unwrap_or(text).strip_prefix(':') {
        Some(port) if port.parse::<u16>().is_ok() => {
            Err(format!("\"{text}\" has no IP address: write \"0.0.0.0:{port}\" for all of this machine"))
        }
        _ => address(text),
    }
}

/// Where a backend listens.
pub(super) fn backend_address(text: &str) -> Result<SocketAddr, String> {
    match address(text)? {
        address if address.port() == 0 => Err(format!("\"{text}\" has port 0, where nothing can listen")),
        address => Ok(address),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        if let Some((scheme, rest)) = text.split_once("://") {
            format!(
                "\"{text}\" is a URL: leave out \"{scheme}://\" and write \"{}\"",
                rest.trim_end_matches('/')
            )
        } else if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            format!("\"{text}\" has no port: write \"{}\"", SocketAddr::new(ip, 8080))
        } else {
            address_of_a_name(text)
        }
    })
}

fn address_of_a_name(text: &str) -> String {
    let is_name = |host: &str| {
        host.bytes().any(|byte| byte.is_ascii_alphabetic())
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match text.rsplit_once(':') {
        Some((host, port)) if is_name(host) && port.parse::<u16>().is_ok() => format!(
            "\"{text}\" has a host name: names are not looked up yet, write the IP address, such as \"127.0.0.1:{port}\""
        ),
        _ => format!(
            "\"{text}\" is not an address: write an IP address and a port up to 65535, such as \"127.0.0.1:8080\" or \"[::1]:8080\""
        ),
    }
}

/// `example.org`, `*.example.org`, `127.0.0.1` or `[::1]`, without a port.
pub(super) fn host(text: &str) -> Result<HostRule, String> {
    if text == "*" {
        return Err("\"*\" is not needed: leave out the key, and the route holds for every host".to_owned());
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_ipv6 = bracketed.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    if is_ipv6 || is_host_name(text.strip_prefix("*.").unwrap_or(text)) {
        return Ok(HostRule::new(Some(text)));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if is_host_name(host) && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("\"{text}\" has a port: a route holds for a host on any port, write \"{host}\""))
        }
        _ => Err(format!(
            "\"{text}\" is not a host: write a name such as \"example.org\" or \"*.example.org\" (in ASCII: \"xn--…\"), or an IP address"
        )),
    }
}

/// Labels of letters, digits, `-` and `_`; the whole at most 253 bytes (RFC 1035, section 2.3.4).
fn is_host_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() <= 253
        && text.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(fits))
}

/// A path prefix as requests are matched: normalised, without a query.
pub(super) fn path(text: &str) -> Result<String, String> {
    if let Some(at) = text.find(['?', '#']) {
        let what = if text.as_bytes()[at] == b'?' { "query" } else { "fragment" };
        return Err(format!("\"{text}\" has a {what}: routes see the path alone, write \"{}\"", &text[..at]));
    }
    if text.contains('*') && (text.ends_with("/*") || text.ends_with("**")) {
        let prefix = text.trim_end_matches('*');
        return Err(format!(
            "\"{text}\" ends with a star: a path holds for all below it, write \"{prefix}\""
        ));
    }
    if !text.starts_with('/') {
        return Err(format!("\"{text}\" does not begin with a slash: write \"/{text}\""));
    }
    let normal = normal_path(text).ok_or_else(|| {
        format!("\"{text}\" has a \"%\" without two hexadecimal digits: write \"%25\" for it")
    })?;
    if normal == text {
        Ok(normal)
    } else {
        Err(format!(
            "\"{text}\" can never match, for requests are matched on the normalised path: write \"{normal}\""
        ))
    }
}

/// Unreserved characters decoded and hexadecimal digits in upper case (RFC 3986, section 6.2.2), dot segments resolved
/// as section 5.2.4 does, for which an empty segment is one, then empty segments merged. What no request can hold
/// unencoded is encoded. `None`: a bad percent-encoding.
fn normal_path(text: &str) -> Option<String> {
    let mut segments: Vec<String> = Vec::new();
    let mut ends_with_slash = true;
    for segment in text.split('/').skip(1) {
        let segment = normal_segment(segment)?;
        ends_with_slash = matches!(segment.as_str(), "" | "." | "..");
        match segment.as_str() {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    let slash = if ends_with_slash && !segments.is_empty() { "/" } else { "" };
    Some(format!("/{}{slash}", segments.join("/")))
}

fn normal_segment(segment: &str) -> Option<String> {
    let mut normal = String::new();
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits =
                std::str::from_utf8(&digits).ok().filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))?;
            let decoded = u8::from_str_radix(digits, 16).ok()?;
            if is_unreserved(decoded) {
                normal.push(char::from(decoded));
            } else {
                normal.push_str(&format!("%{decoded:02X}"));
            }
        } else if byte.is_ascii_graphic() && byte != b'\\' {
            normal.push(char::from(byte));
        } else {
            normal.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(normal)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// `off`, `stdout`, or a path that begins with `/` or `.`, so that a misspelt word is no file.
pub(super) fn access_log(text: &str) -> Result<AccessLog, String> {
    match text {
        "off" => Ok(AccessLog::Off),
        "stdout" => Ok(AccessLog::Stdout),
        path if path.starts_with(['/', '.']) && !path.contains('\0') => {
            Ok(AccessLog::File(PathBuf::from(path)))
        }
        word => Err(match nearest(word, ["off", "stdout"]) {
            Some(meant) => format!("\"{word}\" is not known; did you mean \"{meant}\"?"),
            None => format!(
                "\"{word}\" is neither \"off\" nor \"stdout\", and a path begins with \"/\" or \"./\""
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalised_paths_stand_as_they_are() {
        for text in [
            "/",
            "/images/",
            "/images",
            "/a/b.c/~d/",
            "/a%2Fb",
            "/%C3%A4/",
            "/a:b@c",
            "/a*b",
            "/a|b",
            "/a%7Cb",
            "/...",
        ] {
            assert_eq!(path(text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn other_paths_are_answered_with_the_one_to_write() {
        for (text, write) in [
            ("images/", "/images/"),
            ("", "/"),
            ("/a//b", "/a/b"),
            ("//", "/"),
            ("/a/../b/", "/b/"),
            ("/a/..", "/"),
            ("/../a", "/a"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a//../b", "/a/b"),
            ("//../a", "/a"),
            ("/a\\b", "/a%5Cb"),
            ("/%41", "/A"),
            ("/%2e%2e/a", "/a"),
            ("/a%2fb", "/a%2Fb"),
            ("/ä/", "/%C3%A4/"),
            ("/a b", "/a%20b"),
            ("/a?b=c", "/a"),
            ("/a#b", "/a"),
            ("/a/*", "/a/"),
            ("/100%", "%25"),
            ("/%zz", "%25"),
        ] {
            let error = path(text).unwrap_err();
            assert!(error.contains(&format!("write \"{write}\"")), "{text}: {error}");
        }
    }

    #[test]
    fn hosts() {
        for good in ["example.org", "*.example.org", "a_b.localhost", "127.0.0.1", "[::1]", "localhost"] {
            assert!(host(good).is_ok(), "{good}");
        }
        assert_eq!(host("WWW.Example.org"), Ok(HostRule::Exact("www.example.org".to_owned())));
        for (bad, says) in [
            ("*", "leave out the key"),
            ("example.org:8080", "write \"example.org\""),
            ("*example.org", "is not a host"),
            ("a.*.org", "is not a host"),
            ("bücher.de", "xn--"),
            ("example.org.", "is not a host"),
            ("http://example.org", "is not a host"),
            ("::1", "is not a host"),
            ("", "is not a host"),
        ] {
            assert!(host(bad).unwrap_err().contains(says), "{bad}: {:?}", host(bad));
        }
    }

    #[test]
    fn addresses() {
        for good in ["127.0.0.1:80", "0.0.0.0:0", "[::1]:8080", "[fe80::1%3]:80"] {
            assert_eq!(listen_address(good).map(|address| address.to_string()), Ok(good.to_owned()));
        }
        for (bad, says) in [
            (":8080", "write \"0.0.0.0:8080\""),
            ("*:8080", "write \"0.0.0.0:8080\""),
            ("127.0.0.1", "write \"127.0.0.1:8080\""),
            ("::1", "write \"[::1]:8080\""),
            ("[::1]", "write \"[::1]:8080\""),
            ("localhost:9000", "such as \"127.0.0.1:9000\""),
            ("http://127.0.0.1:80/", "write \"127.0.0.1:80\""),
            ("127.0.0.1:65536", "a port up to 65535"),
            ("8080", "is not an address"),
            ("", "is not an address"),
        ] {
            assert!(listen_address(bad).unwrap_err().contains(says), "{bad}: {:?}", listen_address(bad));
        }
        assert!(backend_address("127.0.0.1:0").unwrap_err().contains("port 0"));
    }

    #[test]
    fn access_logs() {
        assert_eq!(access_log("off"), Ok(AccessLog::Off));
        assert_eq!(access_log("stdout"), Ok(AccessLog::Stdout));
        assert_eq!(access_log("./a.log"), Ok(AccessLog::File("./a.log".into())));
        assert!(access_log("stdot").unwrap_err().contains("did you mean \"stdout\"?"));
        assert!(access_log("access.log").unwrap_err().contains("begins with"));
    }
}
