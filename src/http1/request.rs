//! What a request's head says: everything that the proxy needs of it, decided once.

use httparse::Status;

use super::ascii::{decimal, is_token};
use super::fields::{MAX_FIELDS, Options, Seen, Survey};
use super::head::{diagnose, diagnose_request_line};
use super::{
    Authority, Fields, Framing, HeadLimits, Slots, Target, Version, Violation, framing, persistence,
};

/// A request's head.
#[derive(Debug)]
pub struct Request<'b> {
    /// A token; methods that we do not know go on.
    pub method: &'b str,
    /// What it asks for.
    pub target: Target<'b>,
    /// The client's version.
    pub version: Version,
    /// The host that it asks for: the target's own, else `Host`; `None` only for HTTP/1.0.
    pub host: Option<Authority<'b>>,
    /// What ends its body; never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the client means to send another request on its connection.
    pub wants_keep_alive: bool,
    /// Whether the client waits for a 100 before it sends its body.
    pub expects_continue: bool,
    /// The one protocol that it would rather speak, and that we let it ask for.
    pub upgrade: Option<&'b [u8]>,
    /// How often it may still go on, this time not counted: of TRACE and OPTIONS only.
    pub max_forwards: Option<u64>,
    /// All fields.
    pub fields: Fields<'b>,
}

impl Request<'_> {
    /// Whether the response will have no body.
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// Whether sending it twice means the same as once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }
}

/// Reads a head that a [`super::HeadScanner`] has found: `head` is the whole of it, with its empty line, and no more.
/// The scan is not repeated here, and what it refuses is taken for granted.
///
/// # Errors
/// Every rule about a request's head that its bytes break; the first one found.
pub fn parse_request<'b>(
    head: &'b [u8],
    limits: &HeadLimits,
    slots: &'b mut Slots<'b>,
) -> Result<Request<'b>, Violation> {
    let mut line = httparse::Request::new(&mut []);
    let room = &mut slots.headers[..limits.fields.min(MAX_FIELDS)];
    match line.parse_with_uninit_headers(head, room) {
        Ok(Status::Complete(len)) if len == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Violation::TooManyFields),
        _ => return Err(diagnose(head, diagnose_request_line, Violation::BadRequestLine)),
    }
    let (Some(method), Some(target)) = (line.method, line.path) else {
        return Err(Violation::BadRequestLine);
    };
    let version = if line.version == Some(1) { Version::Http11 } else { Version::Http10 };
    if method == "CONNECT" {
        return Err(Violation::ConnectRefused);
    }
    if target.len() > limits.target_size {
        return Err(Violation::TargetTooLong);
    }
    let target = Target::parse(target.as_bytes(), method)?;
    let (fields, survey) = Fields::new(head, line.headers, &mut slots.kinds)?;
    let own_host = host(version, &survey)?;
    let framing = framing::of_request(version, &survey)?;
    if method == "TRACE" && framing.has_body() {
        return Err(Violation::TraceWithBody);
    }
    Ok(Request {
        host: target.authority.or(own_host),
        wants_keep_alive: persistence::stays(version, survey.options),
        expects_continue: expects_continue(version, framing, &survey)?,
        upgrade: upgrade(method, version, framing, &survey),
        max_forwards: max_forwards(method, &survey)?,
        method,
        target,
        version,
        framing,
        fields,
    })
}

/// RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
/// that lacks a Host header field and to any request message that contains more than one Host header field line or a
/// Host header field with an invalid field value." That holds for absolute-form too, which then counts instead.
fn host<'b>(version: Version, survey: &Survey<'b>) -> Result<Option<Authority<'b>>, Violation> {
    match survey.host {
        Seen::Once(value) => Authority::parse(value).map(Some),
        Seen::Often => Err(Violation::DoubledHost),
        Seen::Never if version == Version::Http10 => Ok(None),
        Seen::Never => Err(Violation::MissingHost),
    }
}

/// RFC 9110 section 10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that
/// expectation." Without a body there is nothing to wait for.
fn expects_continue(version: Version, framing: Framing, survey: &Survey<'_>) -> Result<bool, Violation> {
    match survey.expect {
        Seen::Never => Ok(false),
        Seen::Once(value) if value.eq_ignore_ascii_case(b"100-continue") => {
            Ok(version == Version::Http11 && framing.has_body())
        }
        _ => Err(Violation::UnknownExpectation),
    }
}

/// One protocol, asked for by an HTTP/1.1 GET without a body. Other versions of HTTP would make our framing void, and
/// TLS would make the tunnel opaque to the routes: neither is let through, and the request goes on as it is.
fn upgrade<'b>(method: &str, version: Version, framing: Framing, survey: &Survey<'b>) -> Option<&'b [u8]> {
    let Options { upgrade: true, .. } = survey.options else { return None };
    let Seen::Once(protocol) = survey.upgrade else { return None };
    let may_ask = method == "GET" && version == Version::Http11 && !framing.has_body();
    let name = protocol.split(|&byte| byte == b'/').next()?;
    let is_one_protocol = match protocol.get(name.len() + 1..) {
        Some(version) => is_token(name) && is_token(version),
        None => is_token(protocol),
    };
    let is_http =
        [b"h2c".as_slice(), b"h2", b"h3", b"http", b"tls"].iter().any(|no| name.eq_ignore_ascii_case(no));
    (may_ask && is_one_protocol && !is_http).then_some(protocol)
}

/// RFC 9110 section 7.6.2: "Each intermediary that receives a TRACE or OPTIONS request containing a Max-Forwards header
/// field MUST check and update its value prior to forwarding the request." Spent, we are the last recipient.
fn max_forwards(method: &str, survey: &Survey<'_>) -> Result<Option<u64>, Violation> {
    if !matches!(method, "TRACE" | "OPTIONS") {
        return Ok(None);
    }
    match survey.max_forwards {
        Seen::Never => Ok(None),
        Seen::Once(value) => match decimal(value) {
            Some(0) => Err(Violation::MaxForwardsSpent),
            Some(count) => Ok(Some(count - 1)),
            None => Err(Violation::BadMaxForwards),
        },
        Seen::Often => Err(Violation::BadMaxForwards),
    }
}
