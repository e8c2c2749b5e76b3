//! The heads that go on: what others' messages become in our hands.

use std::net::IpAddr;
use std::ops::Range;

use super::ascii::{put_address, put_decimal};
use super::fields::{Field, Fields, Kind};
use super::location::put_location;
use super::{Form, Framing, Request, Response, Sink, Version, client_stays, persistence, reason_phrase};

/// What a request does not say itself.
#[derive(Debug, Clone, Copy)]
pub struct ForwardRequest<'a> {
    /// The path to write: the target's [`super::Path::forwarded`] or [`super::Path::without_prefix`]. The query
    /// follows it as it came; `*` stays `*`.
    pub path: &'a [u8],
    /// Who asks.
    pub client: IpAddr,
    /// How it asks: `http`.
    pub proto: &'a str,
    /// `Host` where the request has none: the backend's authority.
    pub authority: &'a [u8],
    /// Whether what the client says of those before it is believed and added to, instead of being replaced.
    pub is_client_trusted: bool,
    /// Whether the backend is asked to close its connection after the response.
    pub closes_backend: bool,
}

/// Writes the head that goes on to a backend: HTTP/1.1 in origin-form, `Host` first, framing and whatever tells who
/// asks written anew.
pub fn write_request(out: &mut impl Sink, request: &Request<'_>, forward: &ForwardRequest<'_>) {
    put_request_line(out, request, forward);
    out.put(b"Host: ");
    out.put(request.host.map_or(forward.authority, |host| host.as_bytes()));
    out.put(b"\r\n");
    put_fields(out, &request.fields, |kind| match kind {
        Kind::Other | Kind::Via | Kind::Location => true,
        // RFC 9110 section 7.6.2: "A recipient MAY ignore a Max-Forwards header field received with any other request
        // methods."
        Kind::MaxForwards => request.max_forwards.is_none(),
        _ => false,
    });
    if let Some(count) = request.max_forwards {
        put_number(out, b"Max-Forwards: ", count);
    }
    out.put(via(request.version));
    put_forwarding(out, request, forward);
    put_framing(out, request.framing);
    if request.expects_continue {
        out.put(b"Expect: 100-continue\r\n");
    }
    match request.upgrade {
        Some(protocol) => put_upgrade(out, protocol),
        None if forward.closes_backend => out.put(b"Connection: close\r\n"),
        None => {}
    }
    out.put(b"\r\n");
}

/// What a response does not say itself.
#[derive(Debug, Clone, Copy)]
pub struct ForwardResponse<'a> {
    /// The client's version.
    pub client: Version,
    /// Whether the client's connection stays; what [`client_stays`] forbids does not happen.
    pub keeps_client: bool,
    /// The prefix that was taken off the path, if one was.
    pub stripped_prefix: Option<&'a [u8]>,
    /// The host that the client asked for, with its port.
    pub client_host: Option<&'a [u8]>,
    /// The backend's address as an authority.
    pub backend: &'a [u8],
}

/// Writes the head that goes on to a client. An interim response is for HTTP/1.1 clients only.
pub fn write_response(out: &mut impl Sink, response: &Response<'_>, forward: &ForwardResponse<'_>) {
    put_status_line(out, response);
    put_fields(out, &response.fields, |kind| match kind {
        Kind::Other | Kind::Via | Kind::Host | Kind::Expect | Kind::MaxForwards | Kind::Forwarding => true,
        Kind::Location => forward.stripped_prefix.is_none(),
        _ => false,
    });
    if let Some(prefix) = forward.stripped_prefix {
        for field in response.fields.iter().filter(|field| field.kind == Kind::Location) {
            put_location(out, field, prefix, forward);
        }
    }
    out.put(via(response.version));
    match response.upgrade {
        Some(protocol) => put_upgrade(out, protocol),
        None if response.is_interim => {}
        None => put_end(out, response, forward),
    }
    out.put(b"\r\n");
}

/// What tells a client where the body ends, and what becomes of the connection.
fn put_end(out: &mut impl Sink, response: &Response<'_>, forward: &ForwardResponse<'_>) {
    match (response.framing, response.length) {
        (Framing::None, Some(length)) => put_number(out, b"Content-Length: ", length),
        (Framing::Chunked, _) if forward.client == Version::Http10 => {}
        (framing, _) => put_framing(out, framing),
    }
    let stays = client_stays(forward.keeps_client, forward.client, response.framing);
    out.put(persistence::client_field(forward.client, stays));
}

fn put_request_line(out: &mut impl Sink, request: &Request<'_>, forward: &ForwardRequest<'_>) {
    out.put(request.method.as_bytes());
    out.put(b" ");
    match request.target.form {
        Form::Asterisk => out.put(b"*"),
        Form::Origin => out.put(forward.path),
    }
    if let Some(query) = request.target.query {
        out.put(b"?");
        out.put(query);
    }
    out.put(b" HTTP/1.1\r\n");
}

fn put_status_line(out: &mut impl Sink, response: &Response<'_>) {
    out.put(b"HTTP/1.1 ");
    put_decimal(out, u64::from(response.status));
    out.put(b" ");
    let reason = if response.reason.is_empty() { reason_phrase(response.status) } else { response.reason };
    out.put(reason.as_bytes());
    out.put(b"\r\n");
}

/// Writes the fields of the kinds that go on, each as `name: value`. Neighbours that came in just that form leave in
/// one piece.
fn put_fields(out: &mut impl Sink, fields: &Fields<'_>, goes_on: impl Fn(Kind) -> bool) {
    let head = fields.head();
    let mut run = 0..0;
    for field in fields.iter().filter(|field| goes_on(field.kind)) {
        match plain_line(fields, &field) {
            Some(line) if line.start == run.end => run.end = line.end,
            Some(line) => {
                out.put(&head[run]);
                run = line;
            }
            None => {
                out.put(&head[run]);
                run = 0..0;
                put_field(out, field.name, field.value);
            }
        }
    }
    out.put(&head[run]);
}

/// Where a field stands in its head, if it stands there as we would write it.
fn plain_line(fields: &Fields<'_>, field: &Field<'_>) -> Option<Range<usize>> {
    let start = fields.offset(field.name);
    let value = start + field.name.len() + 2;
    let end = value + field.value.len();
    let head = fields.head();
    let is_plain = head.get(value - 2..value)? == b": "
        && fields.offset(field.value) == value
        && head.get(end..end + 2)? == b"\r\n";
    is_plain.then_some(start..end + 2)
}

pub(super) fn put_field(out: &mut impl Sink, name: &[u8], value: &[u8]) {
    out.put(name);
    out.put(b": ");
    out.put(value);
    out.put(b"\r\n");
}

pub(super) fn put_number(out: &mut impl Sink, name_and_colon: &[u8], number: u64) {
    out.put(name_and_colon);
    put_decimal(out, number);
    out.put(b"\r\n");
}

fn put_framing(out: &mut impl Sink, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => put_number(out, b"Content-Length: ", length),
        Framing::Chunked => out.put(b"Transfer-Encoding: chunked\r\n"),
    }
}

fn put_upgrade(out: &mut impl Sink, protocol: &[u8]) {
    out.put(b"Connection: Upgrade\r\n");
    put_field(out, b"Upgrade", protocol);
}

/// RFC 9110 section 7.6.3: the version is the one that the message came in.
fn via(received: Version) -> &'static [u8] {
    match received {
        Version::Http10 => b"Via: 1.0 ringway\r\n",
        Version::Http11 => b"Via: 1.1 ringway\r\n",
    }
}

/// Tells the backend who asks, for which host, and how.
fn put_forwarding(out: &mut impl Sink, request: &Request<'_>, forward: &ForwardRequest<'_>) {
    let told = |name: &'static [u8]| {
        let is_told =
            move |field: &Field<'_>| forward.is_client_trusted && field.name.eq_ignore_ascii_case(name);
        request.fields.iter().filter(is_told).map(|field| field.value)
    };
    out.put(b"X-Forwarded-For: ");
    for before in told(b"x-forwarded-for") {
        out.put(before);
        out.put(b", ");
    }
    put_address(out, forward.client);
    out.put(b"\r\n");
    let own_host = request.host.map(|host| host.as_bytes());
    if let Some(host) = told(b"x-forwarded-host").next().or(own_host) {
        put_field(out, b"X-Forwarded-Host", host);
    }
    let proto = told(b"x-forwarded-proto").next().unwrap_or(forward.proto.as_bytes());
    put_field(out, b"X-Forwarded-Proto", proto);
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, HeadLimits, Slots, parse_request, parse_response};
    use super::*;

    const TO_CLIENT: ForwardResponse<'_> = ForwardResponse {
        client: Version::Http11,
        keeps_client: true,
        stripped_prefix: None,
        client_host: None,
        backend: b"127.0.0.1:9000",
    };

    fn response(head: &str, is_head: bool, forward: ForwardResponse<'_>) -> String {
        let mut slots = Slots::new();
        let asked = Asked { is_head, upgrade: None };
        let response = parse_response(head.as_bytes(), &HeadLimits::default(), &mut slots, &asked).unwrap();
        let mut out = Vec::new();
        write_response(&mut out, &response, &forward);
        String::from_utf8(out).unwrap()
    }

    fn request(head: &str, change: impl Fn(&mut ForwardRequest<'_>)) -> String {
        let mut slots = Slots::new();
        let request = parse_request(head.as_bytes(), &HeadLimits::default(), &mut slots).unwrap();
        let mut forward = ForwardRequest {
            path: request.target.path.forwarded(),
            client: [192, 0, 2, 7].into(),
            proto: "http",
            authority: b"127.0.0.1:9000",
            is_client_trusted: false,
            closes_backend: false,
        };
        change(&mut forward);
        let mut out = Vec::new();
        write_request(&mut out, &request, &forward);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_usual_request_goes_on_in_few_pieces() {
        struct Pieces(Vec<Vec<u8>>);
        impl Sink for Pieces {
            fn put(&mut self, bytes: &[u8]) {
                self.0.extend((!bytes.is_empty()).then(|| bytes.to_vec()));
            }
        }
        let head =
            b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nConnection: keep-alive\r\nD: 4\r\n\r\n";
        let mut slots = Slots::new();
        let request = parse_request(head, &HeadLimits::default(), &mut slots).unwrap();
        let mut out = Pieces(Vec::new());
        put_fields(&mut out, &request.fields, |kind| kind == Kind::Other);
        assert_eq!(out.0, [b"A: 1\r\nB: 2\r\nC: 3\r\n".to_vec(), b"D: 4\r\n".to_vec()]);
    }

    #[test]
    fn a_trusted_client_is_added_to() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n\
                    X-Forwarded-Proto: https\r\nX_Forwarded_Host: evil\r\n\r\n";
        let written = request(head, |forward| forward.is_client_trusted = true);
        assert!(written.ends_with(
            "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 192.0.2.7\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: https\r\n\r\n"
        ));
    }

    #[test]
    fn paths_are_replaced_and_queries_kept() {
        let written = request("GET /images/a?b=/../c? HTTP/1.1\r\nHost: a\r\n\r\n", |forward| {
            forward.path = b"/a";
            forward.closes_backend = true;
            forward.client = "2001:db8::1".parse().unwrap();
        });
        assert!(written.starts_with("GET /a?b=/../c? HTTP/1.1\r\n"), "{written}");
        assert!(written.contains("\r\nX-Forwarded-For: 2001:db8::1\r\n"), "{written}");
        assert!(written.ends_with("\r\nConnection: close\r\n\r\n"), "{written}");
    }

    #[test]
    fn answers_lose_what_is_for_one_connection() {
        let head = "HTTP/1.0 200 Fine\r\nServer: s\r\nKeep-Alive: 5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
                    Upgrade: h2c\r\nProxy-Authenticate: x\r\nContent-Length: 05\r\nContent_Length: 6\r\nVia: 1.1 b\r\n\r\n";
        assert_eq!(
            response(head, false, TO_CLIENT),
            "HTTP/1.1 200 Fine\r\nServer: s\r\nVia: 1.1 b\r\nVia: 1.0 ringway\r\nContent-Length: 5\r\n\r\n"
        );
    }

    #[test]
    fn answers_fit_the_client() {
        let old = ForwardResponse { client: Version::Http10, ..TO_CLIENT };
        let closing = ForwardResponse { keeps_client: false, ..TO_CLIENT };
        let via = "Via: 1.1 ringway\r\n";
        for (head, is_head, forward, written) in [
            (
                "200 OK\r\nTransfer-Encoding: chunked\r\n",
                false,
                TO_CLIENT,
                "200 OK\r\n{via}Transfer-Encoding: chunked\r\n",
            ),
            ("200 OK\r\nTransfer-Encoding: chunked\r\n", false, old, "200 OK\r\n{via}Connection: close\r\n"),
            (
                "200 OK\r\nContent-Length: 1\r\n",
                false,
                old,
                "200 OK\r\n{via}Content-Length: 1\r\nConnection: keep-alive\r\n",
            ),
            (
                "200 OK\r\nContent-Length: 1\r\n",
                false,
                closing,
                "200 OK\r\n{via}Content-Length: 1\r\nConnection: close\r\n",
            ),
            ("200 OK\r\n", false, TO_CLIENT, "200 OK\r\n{via}Connection: close\r\n"),
            ("200 OK\r\nContent-Length: 9\r\n", true, TO_CLIENT, "200 OK\r\n{via}Content-Length: 9\r\n"),
            (
                "304\r\nContent-Length: 9\r\n",
                false,
                TO_CLIENT,
                "304 Not Modified\r\n{via}Content-Length: 9\r\n",
            ),
            ("204 \r\nContent-Length: 9\r\n", false, TO_CLIENT, "204 No Content\r\n{via}"),
            ("100 Continue\r\nContent-Length: 9\r\n", false, closing, "100 Continue\r\n{via}"),
            (
                "103 Early Hints\r\nLink: </a>\r\nTransfer-Encoding: x\r\n",
                false,
                TO_CLIENT,
                "103 Early Hints\r\nLink: </a>\r\n{via}",
            ),
            (
                "299 Na\u{ef}ve\r\nContent-Length: 0\r\n",
                false,
                TO_CLIENT,
                "299 \r\n{via}Content-Length: 0\r\n",
            ),
        ] {
            let written = format!("HTTP/1.1 {}\r\n", written.replace("{via}", via));
            assert_eq!(response(&format!("HTTP/1.1 {head}\r\n"), is_head, forward), written, "{head:?}");
        }
    }

    #[test]
    fn locations_are_rewritten_where_a_prefix_was_taken_off() {
        let head = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nContent-Location: /y\r\n\r\n";
        let stripped = ForwardResponse { stripped_prefix: Some(b"/images/"), ..TO_CLIENT };
        let written = response(head, false, stripped);
        assert!(written.contains("\r\nLocation: /images/x\r\nContent-Location: /images/y\r\n"), "{written}");
        assert!(response(head, false, TO_CLIENT).contains("\r\nLocation: /x\r\n"));
    }
}
