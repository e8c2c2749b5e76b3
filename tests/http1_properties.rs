//! What holds for all heads and bodies, and not only for those that we thought of.

use proptest::prelude::*;
use ringway::http1::{
    Asked, ChunkedWalker, ForwardRequest, ForwardResponse, Framing, HeadLimits, HeadScanner, Nominated,
    Slots, Step, Version, Violation, parse_request, parse_response, write_request, write_response,
};

/// A field that goes on, or one that decides something.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z][A-Za-z0-9-]{0,12}:[ \t]{0,2}[!-~]{0,3}( [!-~]{1,5})?[ \t]{0,2}",
        1 => prop::sample::select(&[
            "Content-Length: 5", "Content-Length: 05", "Transfer-Encoding: chunked", "Connection: close, a, b",
            "Connection: Upgrade", "Upgrade: websocket", "Expect: 100-continue", "X-Forwarded-For: 1", "Keep-Alive: 1",
            "Content_Length: 7", "Via: 1.0 x", "Location: /x", "TE: trailers", "a: 1", "B:2", "Max-Forwards: 3",
        ]).prop_map(str::to_owned),
    ]
}

fn request_head() -> impl Strategy<Value = String> {
    let line = prop::sample::select(&["GET", "POST", "OPTIONS", "PATCH"]);
    (line, "/[a-z./%2eE]{0,10}(\\?[!-\"$-~]{0,6})?", 0..2, prop::collection::vec(field(), 0..8)).prop_map(
        |(method, target, minor, fields)| {
            format!("{method} {target} HTTP/1.{minor}\r\nHost: a\r\n{}\r\n", fields.join("\r\n") + "\r\n")
        },
    )
}

fn response_head() -> impl Strategy<Value = String> {
    (100_u16..600, "[ -~]{0,6}", 0..2, prop::collection::vec(field(), 0..8)).prop_map(
        |(status, reason, minor, fields)| {
            format!("HTTP/1.{minor} {status} {reason}\r\nA: b\r\n{}\r\n", fields.join("\r\n") + "\r\n")
        },
    )
}

/// A chunked body, and its data.
fn chunked_body() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let chunk = (
        prop::collection::vec(any::<u8>(), 1..20),
        prop::sample::select(&["", ";a", ";a=b", ";a=\"; \\\"\""]),
    );
    let trailers = prop::sample::select(&["", "A: b\r\n", "A: b\r\nC:\r\n"]);
    (prop::collection::vec(chunk, 0..5), trailers).prop_map(|(chunks, trailers)| {
        let (mut body, mut data) = (Vec::new(), Vec::new());
        for (bytes, extension) in chunks {
            body.extend_from_slice(format!("{:x}{extension}\r\n", bytes.len()).as_bytes());
            body.extend_from_slice(&bytes);
            body.extend_from_slice(b"\r\n");
            data.extend_from_slice(&bytes);
        }
        body.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        (body, data)
    })
}

/// A body with some of its bytes changed.
fn broken_body() -> impl Strategy<Value = Vec<u8>> {
    (chunked_body(), any::<prop::sample::Index>(), prop::sample::select(b"\r\n ;0aX:\"".to_vec())).prop_map(
        |((mut body, _), at, byte)| {
            let at = at.index(body.len());
            body[at] = byte;
            body
        },
    )
}

/// Walks in pieces of these lengths, round and round: what passed, what of it was data, and how it ended.
fn walk(bytes: &[u8], pieces: &[usize]) -> (usize, Vec<u8>, Result<bool, Violation>) {
    let mut walker = ChunkedWalker::new(Nominated::default());
    let (mut seen, mut held) = (0, 0);
    let mut data = Vec::new();
    for piece in pieces.iter().cycle() {
        held = (held + piece).min(bytes.len());
        loop {
            match walker.next(&bytes[seen..held]) {
                Ok(Step::Meta(len)) => seen += len,
                Ok(Step::Data(len)) => {
                    data.extend_from_slice(&bytes[seen..seen + len]);
                    seen += len;
                }
                Ok(Step::End(len)) => return (seen + len, data, Ok(true)),
                Ok(Step::More) => break,
                Err(violation) => return (seen, data, Err(violation)),
            }
        }
        if held == bytes.len() {
            break;
        }
    }
    (seen, data, Ok(false))
}

proptest! {
    #[test]
    fn a_written_request_reads_as_the_one_that_came(head in request_head()) {
        let limits = HeadLimits::default();
        prop_assume!(HeadScanner::for_request(&limits).scan(head.as_bytes()) == Ok(Some(head.len())));
        let mut slots = Slots::new();
        let Ok(came) = parse_request(head.as_bytes(), &limits, &mut slots) else { return Ok(()) };
        let forward = ForwardRequest {
            path: came.target.path.forwarded(),
            client: [127, 0, 0, 1].into(),
            proto: "http",
            authority: b"b",
            is_client_trusted: false,
            closes_backend: false,
        };
        let mut written = Vec::new();
        write_request(&mut written, &came, &forward);
        prop_assert_eq!(HeadScanner::for_request(&limits).scan(&written), Ok(Some(written.len())));
        let mut slots = Slots::new();
        let went = parse_request(&written, &limits, &mut slots).expect("what we write is good");
        prop_assert_eq!(went.framing, came.framing);
        prop_assert_eq!(went.method, came.method);
        prop_assert_eq!(went.host, came.host);
        prop_assert_eq!(went.upgrade, came.upgrade);
        prop_assert_eq!(went.expects_continue, came.expects_continue);
        prop_assert_eq!(went.target.query, came.target.query);
        prop_assert_eq!(went.target.path.forwarded(), came.target.path.forwarded());
        prop_assert_eq!(went.target.path.normalised(), came.target.path.normalised());
        prop_assert_eq!(went.version, Version::Http11);
        prop_assert!(went.wants_keep_alive);
    }

    #[test]
    fn a_written_response_reads_as_the_one_that_came(head in response_head(), is_head in any::<bool>()) {
        let limits = HeadLimits::default();
        prop_assume!(HeadScanner::for_response(&limits).scan(head.as_bytes()) == Ok(Some(head.len())));
        let asked = Asked { is_head, upgrade: Some(b"websocket") };
        let mut slots = Slots::new();
        let Ok(came) = parse_response(head.as_bytes(), &limits, &mut slots, &asked) else { return Ok(()) };
        let forward = ForwardResponse {
            client: Version::Http11,
            keeps_client: true,
            stripped_prefix: None,
            client_host: None,
            backend: b"b",
        };
        let mut written = Vec::new();
        write_response(&mut written, &came, &forward);
        prop_assert_eq!(HeadScanner::for_response(&limits).scan(&written), Ok(Some(written.len())));
        let mut slots = Slots::new();
        let went = parse_response(&written, &limits, &mut slots, &asked).expect("what we write is good");
        prop_assert_eq!(went.framing, came.framing);
        prop_assert_eq!(went.length, came.length);
        prop_assert_eq!(went.status, came.status);
        prop_assert_eq!(went.is_interim, came.is_interim);
        prop_assert_eq!(went.is_switching, came.is_switching);
        prop_assert_eq!(went.fields.first("connection").is_some(), came.is_switching || came.framing == Framing::UntilClose);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let limits = HeadLimits { head_size: 150, ..HeadLimits::default() };
        let _ = HeadScanner::for_request(&limits).scan(&bytes);
        let mut slots = Slots::new();
        let _ = parse_request(&bytes, &limits, &mut slots).map(drop);
        let mut slots = Slots::new();
        let _ = parse_response(&bytes, &limits, &mut slots, &Asked::default()).map(drop);
        let _ = walk(&bytes, &[7]);
    }

    #[test]
    fn a_walk_takes_the_body_and_nothing_behind_it(
        (body, data) in chunked_body(),
        behind in prop::collection::vec(any::<u8>(), 0..10),
        pieces in prop::collection::vec(1_usize..30, 1..6),
    ) {
        let bytes = [body.as_slice(), &behind].concat();
        prop_assert_eq!(walk(&bytes, &pieces), (body.len(), data, Ok(true)));
        // Truncated anywhere, it does not end.
        for end in 0..body.len() {
            prop_assert_eq!(walk(&body[..end], &pieces).2, Ok(false));
        }
    }

    #[test]
    fn cuts_do_not_change_what_a_walk_finds(
        body in broken_body(),
        pieces in prop::collection::vec(1_usize..30, 1..6),
    ) {
        let (seen, data, end) = walk(&body, &[body.len().max(1)]);
        let (cut_seen, cut_data, cut_end) = walk(&body, &pieces);
        prop_assert_eq!(cut_end, end);
        prop_assert_eq!(cut_data, data);
        // Of a line that turns out bad, what came before may have passed; of a whole body all has.
        prop_assert!(cut_seen >= seen);
        prop_assert!(end.is_err() || cut_seen == seen);
    }
}
