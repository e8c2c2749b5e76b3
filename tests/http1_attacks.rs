//! Known ways of smuggling, splitting and confusing, each as bytes and as what becomes of it.

use ringway::http1::{
    Asked, ChunkedWalker, ForwardRequest, ForwardResponse, Framing, HeadLimits, HeadScanner, Side, Slots,
    Step, Version, Violation, parse_request, parse_response, write_request, write_response,
};

/// Cuts bytes at a head's end in every way that they may come in: whole, byte by byte, and with others behind them.
fn split_head(scanner: HeadScanner, bytes: &[u8]) -> Result<usize, Violation> {
    let mut by_byte = scanner;
    let slowly = (0..=bytes.len()).find_map(|end| by_byte.scan(&bytes[..end]).transpose());
    let mut at_once = scanner;
    let found = at_once.scan(bytes);
    assert_eq!(slowly.transpose(), found, "a cut changes the finding");
    if let Ok(Some(len)) = found {
        let mut with_more = scanner;
        assert_eq!(with_more.scan(&[&bytes[..len], b"\n\0 more"].concat()), Ok(Some(len)));
    }
    found.map(|len| len.expect("a whole head"))
}

/// The head that goes on to the backend.
fn relay_request(bytes: &[u8]) -> Result<String, Violation> {
    let limits = HeadLimits::default();
    let len = split_head(HeadScanner::for_request(&limits), bytes)?;
    let mut slots = Slots::new();
    let request = parse_request(&bytes[..len], &limits, &mut slots)?;
    let forward = ForwardRequest {
        path: request.target.path.forwarded(),
        client: [192, 0, 2, 7].into(),
        proto: "http",
        authority: b"127.0.0.1:9000",
        is_client_trusted: false,
        closes_backend: false,
    };
    let mut out = Vec::new();
    write_request(&mut out, &request, &forward);
    Ok(String::from_utf8(out).expect("ASCII"))
}

/// The head that goes on to an HTTP/1.1 client that stays.
fn relay_response(bytes: &[u8], asked: &Asked<'_>) -> Result<String, Violation> {
    let limits = HeadLimits::default();
    let len = split_head(HeadScanner::for_response(&limits), bytes)?;
    let mut slots = Slots::new();
    let response = parse_response(&bytes[..len], &limits, &mut slots, asked)?;
    let forward = ForwardResponse {
        client: Version::Http11,
        keeps_client: true,
        stripped_prefix: None,
        client_host: Some(b"a"),
        backend: b"127.0.0.1:9000",
    };
    let mut out = Vec::new();
    write_response(&mut out, &response, &forward);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// What the fields of a POST lead to.
fn post(fields: &str) -> Result<Framing, Violation> {
    framing_of(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn framing_of(head: &str) -> Result<Framing, Violation> {
    let limits = HeadLimits::default();
    let len = split_head(HeadScanner::for_request(&limits), head.as_bytes())?;
    let mut slots = Slots::new();
    parse_request(&head.as_bytes()[..len], &limits, &mut slots).map(|request| request.framing)
}

/// What is left of a request's fields behind the first two lines, which are the request line and `Host`.
fn fields_that_go_on(head: &str) -> String {
    let written = relay_request(head.as_bytes()).expect("a good request");
    written.splitn(3, "\r\n").nth(2).expect("fields").to_owned()
}

const OURS: &str =
    "Via: 1.1 ringway\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\n";

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn framing_in_doubt_is_refused() {
    for (fields, violation) in [
        // CL.TE, TE.CL, and their relatives with look-alikes of each.
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Violation::DoubledFraming),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Violation::DoubledFraming),
        ("transfer-encoding: identity\r\nCONTENT-LENGTH: 5\r\n", Violation::DoubledFraming),
        ("Transfer-Encoding:\r\nContent-Length: 5\r\n", Violation::DoubledFraming),
        (
            "Connection: Content-Length\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            Violation::DoubledFraming,
        ),
        // TE.TE.
        ("Transfer-Encoding: xchunked\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: chunkedx\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: \x0bchunked\r\n", Violation::BadFieldValue),
        ("Transfer-Encoding: chunked\x0b\r\n", Violation::BadFieldValue),
        ("Transfer-Encoding: \x0cchunked\r\n", Violation::BadFieldValue),
        ("Transfer-Encoding: \u{a0}chunked\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: \"chunked\"\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: 'chunked'\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: chunked;q=1\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: chunk\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: chun ked\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: chunked, identity\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: chunked, chunked\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: ,chunked\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: chunked,\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: identity\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: \r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: gzip\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: gzip, chunked\r\n", Violation::UnknownCoding),
        ("Transfer-Encoding: identity, chunked\r\n", Violation::UnknownCoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Violation::BadTransferEncoding),
        ("Transfer-Encoding : chunked\r\n", Violation::SpaceBeforeColon),
        ("Transfer-Encoding\t: chunked\r\n", Violation::SpaceBeforeColon),
        ("Transfer-Encoding:\n chunked\r\n", Violation::BareLf),
        ("Transfer-Encoding:\r\n chunked\r\n", Violation::FoldedLine),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", Violation::FoldedLine),
        ("X: y\nTransfer-Encoding: chunked\r\n", Violation::BareLf),
        ("X: y\rTransfer-Encoding: chunked\r\n", Violation::BareCr),
        ("X: y\r\rTransfer-Encoding: chunked\r\n", Violation::BareCr),
        ("X: y\0\r\nTransfer-Encoding: chunked\r\n", Violation::Nul),
        ("Transfer-Encoding\0: chunked\r\n", Violation::Nul),
        ("\x0bTransfer-Encoding: chunked\r\n", Violation::BadFieldName),
        ("Transfer Encoding: chunked\r\n", Violation::BadFieldName),
        ("Transfer-Encoding\u{a0}: chunked\r\n", Violation::BadFieldName),
        ("Transfer-Encoding chunked\r\n", Violation::BadFieldName),
        (": chunked\r\n", Violation::BadFieldName),
        // Lengths.
        ("Content-Length: +5\r\n", Violation::BadContentLength),
        ("Content-Length: -1\r\n", Violation::BadContentLength),
        ("Content-Length: 0x5\r\n", Violation::BadContentLength),
        ("Content-Length: 5 5\r\n", Violation::BadContentLength),
        ("Content-Length: 5;\r\n", Violation::BadContentLength),
        ("Content-Length: 5.0\r\n", Violation::BadContentLength),
        ("Content-Length: 5e0\r\n", Violation::BadContentLength),
        ("Content-Length: \"5\"\r\n", Violation::BadContentLength),
        ("Content-Length: five\r\n", Violation::BadContentLength),
        ("Content-Length:\r\n", Violation::BadContentLength),
        ("Content-Length: ,\r\n", Violation::BadContentLength),
        ("Content-Length: \u{665}\r\n", Violation::BadContentLength),
        ("Content-Length: 18446744073709551616\r\n", Violation::BadContentLength),
        ("Content-Length: 18446744073709551621\r\n", Violation::BadContentLength),
        ("Content-Length: 9223372036854775808\r\n", Violation::BadContentLength),
        ("Content-Length: 99999999999999999999999999\r\n", Violation::BadContentLength),
        ("Content-Length: 5,6\r\n", Violation::DoubledContentLength),
        ("Content-Length: 5, 5\r\n", Violation::DoubledContentLength),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Violation::DoubledContentLength),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", Violation::DoubledContentLength),
        ("Content-Length: 5\r\ncontent-length:\r\n", Violation::DoubledContentLength),
        ("Content-Length : 5\r\n", Violation::SpaceBeforeColon),
        ("Content-Length: \x0b5\r\n", Violation::BadFieldValue),
        // 0.CL by way of an expectation that one of two servers understands.
        ("Content-Length: 5\r\nExpect: y 100-continue\r\n", Violation::UnknownExpectation),
        (
            "Content-Length: 5\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n",
            Violation::UnknownExpectation,
        ),
        ("Content-Length: 5\r\nExpect: 200-ok\r\n", Violation::UnknownExpectation),
        ("Content-Length: 5\r\nExpect:\r\n 100-continue\r\n", Violation::FoldedLine),
    ] {
        assert_eq!(post(fields), Err(violation), "{fields:?}");
    }
}

#[test]
fn plain_framing_is_read() {
    for (fields, framing) in [
        ("", Framing::None),
        ("Content-Length: 0\r\n", Framing::Length(0)),
        ("content-length:5\r\n", Framing::Length(5)),
        ("Content-Length: \t 5 \t\r\n", Framing::Length(5)),
        ("Content-Length: 005\r\n", Framing::Length(5)),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("tRANSFER-eNCODING:cHUNKED\r\n", Framing::Chunked),
    ] {
        assert_eq!(post(fields), Ok(framing), "{fields:?}");
    }
    let http10 = |fields| framing_of(&format!("POST / HTTP/1.0\r\n{fields}\r\n"));
    assert_eq!(http10("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(http10("Transfer-Encoding: chunked\r\n"), Err(Violation::TransferEncodingInHttp10));
    assert_eq!(http10("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), Err(Violation::DoubledFraming));
}

#[test]
fn framing_is_written_anew_in_one_form() {
    for (fields, written) in [
        ("Content-Length:   005 \r\n", "Content-Length: 5\r\n"),
        ("tRANSFER-eNCODING:  CHUNKED\r\n", "Transfer-Encoding: chunked\r\n"),
        // Named away by Connection, and yet there.
        ("Content-Length: 5\r\nConnection: content-length, host\r\n", "Content-Length: 5\r\n"),
        ("Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n", "Transfer-Encoding: chunked\r\n"),
        // Look-alikes do not reach a server that folds names.
        ("Content_Length: 50\r\nContent-Length: 5\r\n", "Content-Length: 5\r\n"),
        ("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: 5\r\n"),
        ("Transfer.Encoding: chunked\r\nContent~Length: 5\r\n", ""),
        ("Content-Length: 5\r\nExpect: 100-Continue\r\n", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
        ("Content-Length: 0\r\nExpect: 100-continue\r\n", "Content-Length: 0\r\n"),
        ("Expect: 100-continue\r\n", ""),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(fields_that_go_on(&head), format!("{OURS}{written}\r\n"), "{fields:?}");
    }
}

#[test]
fn request_lines_in_doubt_are_refused() {
    for (line, violation) in [
        ("", Violation::LeadingBlankLine),
        (" GET / HTTP/1.1", Violation::FoldedLine),
        ("GET", Violation::BadRequestLine),
        ("GET /", Violation::BadRequestLine),
        ("GET  / HTTP/1.1", Violation::BadRequestLine),
        ("GET /  HTTP/1.1", Violation::BadRequestLine),
        ("GET\t/ HTTP/1.1", Violation::BadRequestLine),
        ("GET / HTTP/1.1 ", Violation::BadRequestLine),
        ("GET / HTTP/1.1 x", Violation::BadRequestLine),
        ("GET /a b HTTP/1.1", Violation::BadRequestLine),
        ("GET / http/1.1", Violation::BadRequestLine),
        ("GET / HTTP /1.1", Violation::BadRequestLine),
        ("GET / HTTP/1.1.1", Violation::BadRequestLine),
        ("GET / HTTP/01.1", Violation::BadRequestLine),
        ("GET / XTTP/1.1", Violation::BadRequestLine),
        ("G(T / HTTP/1.1", Violation::BadRequestLine),
        ("GET: / HTTP/1.1", Violation::BadRequestLine),
        ("\u{feff}GET / HTTP/1.1", Violation::BadRequestLine),
        ("GET / HTTP/2.0", Violation::UnsupportedVersion),
        ("GET / HTTP/1.2", Violation::UnsupportedVersion),
        ("GET / HTTP/0.9", Violation::UnsupportedVersion),
        ("PRI * HTTP/2.0", Violation::UnsupportedVersion),
        ("GET /\x7f HTTP/1.1", Violation::BadTarget),
        ("GET /\x01 HTTP/1.1", Violation::BadTarget),
        ("GET /\u{e9} HTTP/1.1", Violation::BadTarget),
        ("GET /#x HTTP/1.1", Violation::BadTarget),
        ("GET /\\..\\x HTTP/1.1", Violation::BadTarget),
        ("GET * HTTP/1.1", Violation::BadTarget),
        ("GET x HTTP/1.1", Violation::BadTarget),
        ("GET a.example:80 HTTP/1.1", Violation::BadTarget),
        ("GET https://a/ HTTP/1.1", Violation::BadTarget),
        ("GET file:///etc/passwd HTTP/1.1", Violation::BadTarget),
        ("GET http://u@a/ HTTP/1.1", Violation::BadHost),
        ("GET http:/// HTTP/1.1", Violation::BadHost),
        ("GET /% HTTP/1.1", Violation::BadPercentEncoding),
        ("GET /%0 HTTP/1.1", Violation::BadPercentEncoding),
        ("GET /%c0%a HTTP/1.1", Violation::BadPercentEncoding),
        ("CONNECT a:443 HTTP/1.1", Violation::ConnectRefused),
        ("CONNECT / HTTP/1.1", Violation::ConnectRefused),
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(framing_of(&head), Err(violation), "{line:?}");
    }
    assert_eq!(framing_of("GET / HTTP/1.1\nHost: a\n\n"), Err(Violation::BareLf));
}

#[test]
fn hosts_in_doubt_are_refused() {
    for (fields, violation) in [
        ("", Violation::MissingHost),
        ("Host: a\r\nHost: a\r\n", Violation::DoubledHost),
        ("Host: a\r\nhost: b\r\n", Violation::DoubledHost),
        ("Host : a\r\n", Violation::SpaceBeforeColon),
        ("Host:\r\n", Violation::BadHost),
        ("Host: user@a\r\n", Violation::BadHost),
        ("Host: a b\r\n", Violation::BadHost),
        ("Host: a, b\r\n", Violation::BadHost),
        ("Host: a/x\r\n", Violation::BadHost),
        ("Host: http://a\r\n", Violation::BadHost),
        ("Host: a:b\r\n", Violation::BadHost),
        ("Host: a:99999\r\n", Violation::BadHost),
        ("Host: a#b\r\n", Violation::BadHost),
        ("Host: ../../etc\r\n", Violation::BadHost),
        ("Host: [::1\r\n", Violation::BadHost),
    ] {
        assert_eq!(framing_of(&format!("GET / HTTP/1.1\r\n{fields}\r\n")), Err(violation), "{fields:?}");
    }
    // HTTP/1.0 may leave it out, and not have a bad one.
    assert_eq!(framing_of("GET / HTTP/1.0\r\n\r\n"), Ok(Framing::None));
    assert_eq!(framing_of("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), Err(Violation::BadHost));
    // Absolute-form does not make a bad Host good.
    assert_eq!(framing_of("GET http://a/ HTTP/1.1\r\n\r\n"), Err(Violation::MissingHost));
    assert_eq!(
        framing_of("GET http://a/ HTTP/1.1\r\nHost: b\r\nHost: c\r\n\r\n"),
        Err(Violation::DoubledHost)
    );
}

#[test]
fn the_targets_authority_replaces_host() {
    let written = relay_request(b"GET http://a.example:81/x?y HTTP/1.1\r\nHost: evil\r\n\r\n").expect("good");
    assert!(written.starts_with("GET /x?y HTTP/1.1\r\nHost: a.example:81\r\nVia: "), "{written}");
    assert!(written.contains("X-Forwarded-Host: a.example:81\r\n") && !written.contains("evil"), "{written}");
    let written = relay_request(b"OPTIONS http://a HTTP/1.1\r\nHost: b\r\n\r\n").expect("good");
    assert!(written.starts_with("OPTIONS * HTTP/1.1\r\nHost: a\r\n"), "{written}");
    let written = relay_request(b"OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n").expect("good");
    assert!(written.starts_with("OPTIONS * HTTP/1.1\r\nHost: b\r\n"), "{written}");
    let written = relay_request(b"GET http://a?x HTTP/1.0\r\n\r\n").expect("good");
    assert!(written.starts_with("GET /?x HTTP/1.1\r\nHost: a\r\nVia: 1.0 ringway\r\n"), "{written}");
}

#[test]
fn http10_without_host_gets_the_backends() {
    let written = relay_request(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nA: b\r\n\r\n").expect("good");
    assert_eq!(
        written,
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nA: b\r\nVia: 1.0 ringway\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Proto: http\r\n\r\n"
    );
    let written =
        relay_request(b"PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n").expect("good");
    assert!(!written.contains("Expect"), "{written}");
}

#[test]
fn what_is_for_this_connection_stays_on_it() {
    for (fields, left) in [
        ("Connection: keep-alive\r\nKeep-Alive: 5\r\n", ""),
        ("Connection: close\r\n", ""),
        ("Proxy-Connection: keep-alive\r\nTE: trailers\r\nProxy-Authorization: x\r\n", ""),
        ("Connection: X-Hop, close\r\nX-Hop: 1\r\nx-hop: 2\r\nX-End: 3\r\n", "X-End: 3\r\n"),
        ("A: 1\r\nConnection: a\r\nConnection: ,B,\r\nb: 2\r\nC: 3\r\n", "C: 3\r\n"),
        ("Connection: via\r\nVia: 1.1 front\r\n", "Via: 1.1 front\r\n"),
        ("Upgrade: websocket\r\n", ""),
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n", ""),
        ("Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n", ""),
        ("Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n", ""),
        ("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", ""),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", ""),
        (
            "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX_Forwarded_Host: evil\r\nX-Forwarded-Port: 1\r\n",
            "",
        ),
        (
            "X-Spaced:    value\twith tab  \r\nX-Tight:v\r\nX-Empty:\r\n",
            "X-Spaced: value\twith tab\r\nX-Tight: v\r\nX-Empty: \r\n",
        ),
        ("Max-Forwards: x\r\n", "Max-Forwards: x\r\n"),
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(fields_that_go_on(&head), format!("{left}{OURS}\r\n"), "{fields:?}");
    }
}

#[test]
fn one_upgrade_goes_on() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    let written = fields_that_go_on(head);
    assert_eq!(
        written,
        format!("Sec-WebSocket-Key: k\r\n{OURS}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    );
    for head in [
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
    ] {
        assert!(!fields_that_go_on(head).contains("Upgrade"), "{head}");
    }
}

#[test]
fn connection_lists_are_bounded_and_made_of_tokens() {
    let with = |value: &str| framing_of(&format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n\r\n"));
    assert_eq!(with("close;x"), Err(Violation::BadConnection));
    assert_eq!(with("\"close\""), Err(Violation::BadConnection));
    assert_eq!(with(&"x,".repeat(32)), Ok(Framing::None));
    assert_eq!(with(&"x,".repeat(33)), Err(Violation::BadConnection));
}

#[test]
fn max_forwards_counts_down_where_it_counts() {
    let options = |value: &str| {
        relay_request(format!("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n").as_bytes())
    };
    assert!(options("2").expect("good").contains("\r\nMax-Forwards: 1\r\n"));
    assert_eq!(options("0"), Err(Violation::MaxForwardsSpent));
    assert_eq!(options("-1"), Err(Violation::BadMaxForwards));
    assert_eq!(
        framing_of("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"),
        Err(Violation::TraceWithBody)
    );
}

#[test]
fn fields_and_targets_are_bounded() {
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    assert_eq!(framing_of(&fields(100)), Ok(Framing::None));
    assert_eq!(framing_of(&fields(101)), Err(Violation::TooManyFields));
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(len - 1));
    assert_eq!(framing_of(&target(8192)), Ok(Framing::None));
    assert_eq!(framing_of(&target(8193)), Err(Violation::TargetTooLong));
    assert_eq!(framing_of(&target(9000)), Err(Violation::TargetTooLong));
}

#[test]
fn bad_answers_are_refused() {
    let get = Asked::default();
    for (head, violation) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Violation::DoubledFraming,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            Violation::DoubledContentLength,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", Violation::DoubledContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", Violation::BadContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", Violation::BadContentLength),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n", Violation::BadContentLength),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Violation::UnknownCoding),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", Violation::BadTransferEncoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::TransferEncodingInHttp10),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n", Violation::SpaceBeforeColon),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Violation::FoldedLine),
        ("HTTP/1.1 200 OK\nA: b\n\n", Violation::BareLf),
        ("HTTP/1.1 200 OK\r\nA\r\n\r\n", Violation::BadFieldName),
        ("HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n", Violation::BadFieldValue),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Violation::LeadingBlankLine),
        ("<html>hello</html>\r\n\r\n", Violation::BadStatusLine),
        ("HTTP/1.1\r\n\r\n", Violation::BadStatusLine),
        ("HTTP/1.1 \r\n\r\n", Violation::BadStatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", Violation::BadStatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", Violation::BadStatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", Violation::BadStatusLine),
        ("HTTP/1.1 200OK\r\n\r\n", Violation::BadStatusLine),
        ("HTTP/1.1 +20 OK\r\n\r\n", Violation::BadStatusLine),
        ("HTTP/1.1 200 O\x01K\r\n\r\n", Violation::BadStatusLine),
        ("http/1.1 200 OK\r\n\r\n", Violation::BadStatusLine),
        ("ICY 200 OK\r\n\r\n", Violation::BadStatusLine),
        ("HTTP/2 200 OK\r\n\r\n", Violation::UnsupportedVersion),
        ("HTTP/0.9 200 OK\r\n\r\n", Violation::UnsupportedVersion),
        ("HTTP/1.1 099 Low\r\n\r\n", Violation::BadStatus),
        ("HTTP/1.1 600 High\r\n\r\n", Violation::BadStatus),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            Violation::UnaskedSwitch,
        ),
        ("HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n", Violation::BadConnection),
    ] {
        assert_eq!(relay_response(head.as_bytes(), &get), Err(violation), "{head:?}");
        assert_eq!(violation.status(Side::Backend), 502);
    }
}

#[test]
fn only_the_switch_that_was_asked_for_is_one() {
    let asked = Asked { is_head: false, upgrade: Some(b"websocket") };
    let good = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(
        relay_response(good.as_bytes(), &asked).expect("good"),
        "HTTP/1.1 101 Switching Protocols\r\nVia: 1.1 ringway\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    );
    for bad in [
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert_eq!(relay_response(bad.as_bytes(), &asked), Err(Violation::UnaskedSwitch), "{bad:?}");
    }
}

#[test]
fn answers_are_framed_by_what_was_asked() {
    let get = Asked::default();
    let head = Asked { is_head: true, upgrade: None };
    for (bytes, asked, framing, length, may_reuse) in [
        ("200 OK\r\nContent-Length: 5\r\n", get, Framing::Length(5), None, true),
        ("200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", get, Framing::Length(5), None, false),
        ("200 OK\r\nTransfer-Encoding: Chunked\r\n", get, Framing::Chunked, None, true),
        ("200 OK\r\n", get, Framing::UntilClose, None, false),
        ("200 OK\r\nContent-Length: 5\r\n", head, Framing::None, Some(5), true),
        ("200 OK\r\nTransfer-Encoding: chunked\r\n", head, Framing::None, None, true),
        ("200 OK\r\n", head, Framing::None, None, true),
        ("304 Not Modified\r\nContent-Length: 5\r\n", get, Framing::None, Some(5), true),
        ("204 No Content\r\n", get, Framing::None, None, true),
        ("204 No Content\r\nContent-Length: 0\r\n", get, Framing::None, None, true),
        ("204 No Content\r\nContent-Length: 5\r\n", get, Framing::None, None, false),
        ("204 No Content\r\nTransfer-Encoding: chunked\r\n", get, Framing::None, None, false),
        ("103 Early Hints\r\nContent-Length: x\r\n", get, Framing::None, None, true),
        ("205 Reset Content\r\nContent-Length: 0\r\n", get, Framing::Length(0), None, true),
    ] {
        let bytes = format!("HTTP/1.1 {bytes}\r\n");
        let mut slots = Slots::new();
        let response =
            parse_response(bytes.as_bytes(), &HeadLimits::default(), &mut slots, &asked).expect("good");
        assert_eq!((response.framing, response.length), (framing, length), "{bytes:?}");
        assert_eq!(response.may_reuse_backend, may_reuse, "{bytes:?}");
        assert_eq!(response.is_interim, response.status < 200);
    }
    for (line, may_reuse) in [("", false), ("Connection: keep-alive\r\n", true)] {
        let bytes = format!("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n{line}\r\n");
        let mut slots = Slots::new();
        let response =
            parse_response(bytes.as_bytes(), &HeadLimits::default(), &mut slots, &get).expect("good");
        assert_eq!(response.may_reuse_backend, may_reuse);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn chunked_bodies_in_doubt_are_refused() {
    for (body, violation) in [
        ("\r\n", Violation::BadChunkSize),
        (" 5\r\n", Violation::BadChunkSize),
        ("5 \r\n", Violation::BadChunkSize),
        ("5\t\r\n", Violation::BadChunkSize),
        ("+5\r\n", Violation::BadChunkSize),
        ("-5\r\n", Violation::BadChunkSize),
        ("0x5\r\n", Violation::BadChunkSize),
        ("5_0\r\n", Violation::BadChunkSize),
        ("g\r\n", Violation::BadChunkSize),
        (";a\r\n", Violation::BadChunkSize),
        ("5\n", Violation::BareLf),
        ("\n", Violation::BareLf),
        ("5\rx", Violation::BareCr),
        ("5\r\r\n", Violation::BareCr),
        ("5;a\n", Violation::BareLf),
        ("5;\n", Violation::BareLf),
        ("5;a\n0\r\n\r\n", Violation::BareLf),
        ("5;a=\"x\n", Violation::BareLf),
        ("5;a=\"x\r\n", Violation::BadChunkExtension),
        ("5;a=\"x\\\r\n", Violation::BadChunkExtension),
        ("5;a\rb\r\n", Violation::BareCr),
        ("5;\r\n", Violation::BadChunkExtension),
        ("5;;a\r\n", Violation::BadChunkExtension),
        ("5; a\r\n", Violation::BadChunkExtension),
        ("5 ;a\r\n", Violation::BadChunkSize),
        ("5;a =b\r\n", Violation::BadChunkExtension),
        ("5;a= b\r\n", Violation::BadChunkExtension),
        ("5;a=\r\n", Violation::BadChunkExtension),
        ("5;=b\r\n", Violation::BadChunkExtension),
        ("5;a=\"b\"c\r\n", Violation::BadChunkExtension),
        ("5;a=\x01\r\n", Violation::BadChunkExtension),
        ("5;\u{e9}\r\n", Violation::BadChunkExtension),
        ("00000000000000005\r\n", Violation::ChunkTooLarge),
        ("10000000000000005\r\n", Violation::ChunkTooLarge),
        ("8000000000000000\r\n", Violation::ChunkTooLarge),
        ("ffffffffffffffff\r\n", Violation::ChunkTooLarge),
        ("5\r\nhello0\r\n\r\n", Violation::BadChunkEnd),
        ("5\r\nhello\n0\r\n\r\n", Violation::BareLf),
        ("5\r\nhello\rx", Violation::BareCr),
        ("5\r\nhello!\r\n", Violation::BadChunkEnd),
        ("5\r\nhell\r\n0\r\n\r\n", Violation::BareLf),
        ("0\r\n\n", Violation::BareLf),
        ("0\r\n\rx", Violation::BareCr),
        ("0\n\n", Violation::BareLf),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", Violation::BadFieldName),
        ("0\r\nA : b\r\n\r\n", Violation::SpaceBeforeColon),
        ("0\r\nA: b\r\n c\r\n\r\n", Violation::FoldedLine),
        ("0\r\n A: b\r\n\r\n", Violation::FoldedLine),
        ("0\r\nA: b\n\r\n", Violation::BareLf),
        ("0\r\nA: \x01\r\n\r\n", Violation::BadFieldValue),
        ("0\r\nA: \0\r\n\r\n", Violation::Nul),
        ("0\r\nA\r\n\r\n", Violation::BadFieldName),
        ("0\r\nContent-Length: 5\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nX: y\r\ntransfer-encoding: chunked\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\ncontent_length: 5\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nHost: b\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nConnection: close\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nContent-Type: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nContent_Encoding: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nAuthorization: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nProxy-Authorization: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nCookie: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nSet-Cookie: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nX-Forwarded-For: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nIf-Match: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nTrailer: x\r\n\r\n", Violation::ForbiddenTrailer),
        ("0\r\nX-Hop: x\r\n\r\n", Violation::ForbiddenTrailer),
    ] {
        assert_eq!(walk(body.as_bytes(), body.len()), Err(violation), "{body:?}");
        assert_eq!(walk(body.as_bytes(), 1), Err(violation), "{body:?} byte by byte");
    }
    let long = |len: usize| format!("5;a={}\r\nhello\r\n0\r\n\r\n", "x".repeat(len - 6));
    assert!(walk(long(256).as_bytes(), 1).is_ok());
    assert_eq!(walk(long(257).as_bytes(), 1), Err(Violation::ChunkLineTooLong));
    let trailers = |len: usize| format!("0\r\nX: {}\r\n\r\n", "y".repeat(len - 7));
    assert!(walk(trailers(8192).as_bytes(), 100).is_ok());
    assert_eq!(walk(trailers(8193).as_bytes(), 100), Err(Violation::TrailersTooLarge));
    assert_eq!(walk(trailers(20000).as_bytes(), 20), Err(Violation::TrailersTooLarge));
}

#[test]
fn chunked_bodies_end_where_they_end() {
    for (body, data) in [
        ("0\r\n\r\n", ""),
        ("0000\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ("A\r\n0\r\n\r\n0\r\n\r\n\r\n0;x\r\n\r\n", "0\r\n\r\n0\r\n\r\n"),
        ("1;a\r\nx\r\n2;b=c;d=\"e;\\\" \u{e9}\"\r\nyz\r\n0;end\r\n\r\n", "xyz"),
        ("1\r\nx\r\n0\r\nDigest: y\r\nX-Other: \r\n\r\n", "x"),
    ] {
        for behind in ["", "GET /next", "\r\n", "0\r\n\r\n"] {
            let bytes = [body, behind].concat();
            for piece in [1, 2, 3, bytes.len()] {
                assert_eq!(
                    walk(bytes.as_bytes(), piece),
                    Ok((body.len(), data.into())),
                    "{bytes:?} by {piece}"
                );
            }
        }
    }
}

/// Walks along a body that comes in pieces, as a driver does: what passed, and its data.
fn walk(bytes: &[u8], piece: usize) -> Result<(usize, Vec<u8>), Violation> {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\n\r\n";
    let mut slots = Slots::new();
    let request = parse_request(head, &HeadLimits::default(), &mut slots)?;
    let mut walker = ChunkedWalker::new(request.fields.nominated());
    let (mut seen, mut held) = (0, 0);
    let mut data = Vec::new();
    while held < bytes.len() {
        held = (held + piece).min(bytes.len());
        let before = walker;
        let passed = walker.pass(&bytes[seen..held])?;
        data.extend(decode(before, &bytes[seen..held]));
        assert!(passed.is_over == walker.is_over());
        seen += passed.bytes;
        if passed.is_over {
            assert_eq!(walker.announced(), data.len() as u64);
            return Ok((seen, data));
        }
    }
    panic!("the body does not end: {bytes:?}");
}

fn decode(mut walker: ChunkedWalker, mut input: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        match walker.next(input).expect("passed before") {
            Step::Meta(len) => input = &input[len..],
            Step::Data(len) => {
                data.extend_from_slice(&input[..len]);
                input = &input[len..];
            }
            Step::End(_) | Step::More => return data,
        }
    }
}
