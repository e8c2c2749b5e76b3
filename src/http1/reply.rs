//! Our own answers.

use super::ascii::put_decimal;
use super::edit::put_number;
use super::{Sink, Target, Version, persistence};

/// An answer that no backend gave.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// 200 to 599.
    pub status: u16,
    /// What people read: one line without its end, visible ASCII and spaces.
    pub text: &'a str,
    /// The client's version; 1.1 where none could be read.
    pub client: Version,
    /// Whether the client's connection stays.
    pub keeps_client: bool,
    /// Whether it answers HEAD: the same head, and no text.
    pub is_head: bool,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// The target whose path wants a slash at its end: what a 308 leads to.
    pub add_slash: Option<&'a Target<'a>>,
}

/// Writes an answer of ours, head and text.
pub fn write_reply(out: &mut impl Sink, reply: &Reply<'_>) {
    out.put(b"HTTP/1.1 ");
    put_decimal(out, u64::from(reply.status));
    out.put(b" ");
    out.put(reason_phrase(reply.status).as_bytes());
    out.put(b"\r\nContent-Type: text/plain; charset=utf-8\r\n");
    put_number(out, b"Content-Length: ", reply.text.len() as u64 + 1);
    if let Some(seconds) = reply.retry_after_s {
        put_number(out, b"Retry-After: ", u64::from(seconds));
    }
    if let Some(target) = reply.add_slash {
        put_slash_location(out, target);
    }
    out.put(persistence::client_field(reply.client, reply.keeps_client));
    out.put(b"\r\n");
    if !reply.is_head {
        out.put(reply.text.as_bytes());
        out.put(b"\n");
    }
}

/// The normalised path and not the one that came: `//evil.example` would lead to another host.
fn put_slash_location(out: &mut impl Sink, target: &Target<'_>) {
    out.put(b"Location: ");
    out.put(target.path.normalised());
    out.put(b"/");
    if let Some(query) = target.query {
        out.put(b"?");
        out.put(query);
    }
    out.put(b"\r\n");
}

/// What a status is called (RFC 9110 section 15); empty if it has no name.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: Reply<'_> = Reply {
        status: 503,
        text: "no backend",
        client: Version::Http11,
        keeps_client: true,
        is_head: false,
        retry_after_s: None,
        add_slash: None,
    };

    fn written(reply: Reply<'_>) -> String {
        let mut out = Vec::new();
        write_reply(&mut out, &reply);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn replies_are_whole_messages() {
        assert_eq!(
            written(Reply { retry_after_s: Some(5), keeps_client: false, ..REPLY }),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 11\r\n\
             Retry-After: 5\r\nConnection: close\r\n\r\nno backend\n"
        );
        assert!(!written(REPLY).contains("Connection"));
        assert!(
            written(Reply { client: Version::Http10, ..REPLY }).contains("\r\nConnection: keep-alive\r\n")
        );
    }

    #[test]
    fn head_is_answered_with_the_same_head_alone() {
        let head = written(Reply { is_head: true, ..REPLY });
        assert_eq!(written(REPLY), format!("{head}no backend\n"));
    }

    #[test]
    fn a_slash_is_added_on_this_host() {
        for (raw, location) in [
            ("/images", "/images/"),
            ("/images?a=/b", "/images/?a=/b"),
            ("//images", "/images/"),
            ("/x/../%69mages", "/images/"),
        ] {
            let target = Target::parse(raw.as_bytes(), "GET").unwrap();
            let text = written(Reply { status: 308, add_slash: Some(&target), ..REPLY });
            assert!(text.contains(&format!("\r\nLocation: {location}\r\n")), "{raw}: {text}");
        }
    }

    #[test]
    fn every_status_that_a_rule_leads_to_has_a_name() {
        use super::super::{Side, Violation};
        for rule in Violation::ALL {
            assert!(!reason_phrase(rule.status(Side::Client)).is_empty());
        }
    }
}
