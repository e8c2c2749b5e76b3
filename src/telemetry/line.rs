//! How one line of the access log looks: words for people, or one JSON object. `docs/configuration.md` lists the fields.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::Record;

/// Bytes of a request's method and target that a line shows.
const REQUEST_LIMIT: usize = 8 << 10;

/// `TIME CLIENT "METHOD TARGET" host=NAME backend=ADDRESS status=200 bytes=1234 time=0.412ms …`; what went wrong comes
/// last. Writing to a string cannot fail, so the results are not looked at.
pub(super) fn write_text(line: &mut String, record: &Record<'_>, at: SystemTime) {
    write_time(line, at);
    let _ = write!(line, " {} \"", record.client);
    write_escaped(line, if record.request().is_empty() { b"-" } else { shown(record) });
    line.push_str("\" host=");
    write_escaped(line, record.host.unwrap_or(b"-"));
    let _ = write!(line, " backend={} status=", record.backend.unwrap_or("-"));
    let _ = match record.status {
        Some(status) => write!(line, "{status}"),
        None => write!(line, "-"),
    };
    let (traffic, total_us) = (record.traffic, record.moments.total_us());
    let _ =
        write!(line, " bytes={} time={}.{:03}ms", traffic.response_body, total_us / 1000, total_us % 1000);
    let reuse = if traffic.reused { "yes" } else { "no" };
    let _ = write!(line, " attempts={} reuse={reuse}", traffic.attempts);
    for (name, us) in record.moments.phases().named() {
        let _ = write!(line, " {name}={us}us");
    }
    let _ = write!(line, " added={}us", record.moments.added_us());
    if let Some(pick) = record.pick {
        let _ = write!(line, " upstream={} pick={} cycle={}", pick.upstream, pick.number, pick.cycle);
        if record.backend != Some(pick.backend) {
            let _ = write!(line, " picked={}", pick.backend);
        }
    }
    if let Some(failure) = record.failure {
        let _ = write!(line, " end={failure}");
    }
}

/// The same as one object; what there is nothing to say about is absent.
pub(super) fn write_json(line: &mut String, record: &Record<'_>, at: SystemTime) {
    line.push_str("{\"time\":\"");
    write_time(line, at);
    let _ = write!(line, "\",\"client\":\"{}\",\"listener\":\"", record.client);
    write_escaped(line, record.listener.as_bytes());
    line.push_str("\",\"request\":\"");
    write_escaped(line, shown(record));
    line.push('"');
    if let Some(host) = record.host {
        line.push_str(",\"host\":\"");
        write_escaped(line, host);
        line.push('"');
    }
    if let Some(backend) = record.backend {
        let _ = write!(line, ",\"backend\":\"{backend}\"");
    }
    if let Some(status) = record.status {
        let _ = write!(line, ",\"status\":{status}");
    }
    let traffic = record.traffic;
    let (up, down) = (traffic.request_body, traffic.response_body);
    let _ = write!(line, ",\"request_bytes\":{up},\"response_bytes\":{down}");
    let _ = write!(line, ",\"attempts\":{},\"reused\":{}", traffic.attempts, traffic.reused);
    write_json_times(line, record);
    write_json_pick(line, record);
    if let Some(failure) = record.failure {
        let _ = write!(line, ",\"end\":\"{failure}\"");
    }
    line.push('}');
}

fn write_json_times(line: &mut String, record: &Record<'_>) {
    let _ = write!(line, ",\"duration_us\":{}", record.moments.total_us());
    line.push_str(",\"phases_us\":{");
    for (index, (name, us)) in record.moments.phases().named().into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(line, "{comma}\"{name}\":{us}");
    }
    let _ = write!(line, "}},\"added_us\":{}", record.moments.added_us());
}

fn write_json_pick(line: &mut String, record: &Record<'_>) {
    let Some(pick) = record.pick else { return };
    line.push_str(",\"upstream\":\"");
    write_escaped(line, pick.upstream.as_bytes());
    let _ = write!(line, "\",\"pick\":{},\"cycle\":{}", pick.number, pick.cycle);
    if record.backend != Some(pick.backend) {
        let _ = write!(line, ",\"picked\":\"{}\"", pick.backend);
    }
}

/// Method and target, cut where they are long.
fn shown<'a>(record: &'a Record<'_>) -> &'a [u8] {
    let request = record.request();
    &request[..request.len().min(REQUEST_LIMIT)]
}

/// RFC 3339, UTC, milliseconds.
fn write_time(line: &mut String, at: SystemTime) {
    if let Ok(timestamp) = jiff::Timestamp::try_from(at) {
        let _ = write!(line, "{timestamp:.3}");
    }
}

/// Quotes, backslashes and whatever is not printable ASCII as JSON writes them, so that no request forges a line.
fn write_escaped(line: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => line.extend(['\\', char::from(byte)]),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => {
                let _ = write!(line, "\\u{byte:04x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::record::{Pick, Traffic};
    use crate::telemetry::{Label, Moments};
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    fn record() -> Record<'static> {
        let begun = Instant::now();
        let mut moments = Moments::new(begun);
        moments.head_read(begun + Duration::from_micros(10));
        moments.submitted(begun + Duration::from_micros(15));
        moments.sent(begun + Duration::from_micros(30));
        moments.first_byte(begun + Duration::from_micros(1_000));
        moments.answered(begun + Duration::from_micros(1_007));
        moments.done(begun + Duration::from_micros(1_412));
        let pick = Pick { upstream: "images", backend: "127.0.0.1:8889", number: 17, cycle: 3 };
        Record {
            moments,
            client: SocketAddr::from(([127, 0, 0, 1], 5555)),
            listener: "web",
            head: b"GET /cat.png HTTP/1.1\r\n\r\n",
            host: Some(b"a.example"),
            pick: Some(pick),
            backend: Some("127.0.0.1:8889"),
            place: Some(0),
            traffic: Traffic { request_body: 0, response_body: 1234, attempts: 1, reused: true },
            status: Some(200),
            failure: None,
        }
    }

    #[test]
    fn a_text_line_has_the_exchange_on_it() {
        let mut line = String::new();
        write_text(&mut line, &record(), SystemTime::UNIX_EPOCH);
        let expected = "1970-01-01T00:00:00.000Z 127.0.0.1:5555 \"GET /cat.png\" host=a.example backend=127.0.0.1:8889 \
                        status=200 bytes=1234 time=1.412ms attempts=1 reuse=yes head=10us queue=0us connect=0us \
                        request=20us first-byte=970us response=412us added=12us upstream=images pick=17 cycle=3";
        assert_eq!(line, expected);
    }

    #[test]
    fn a_json_line_has_the_exchange_on_it() {
        let mut line = String::new();
        let failure = Label { side: "backend", stage: "connect", cause: "refused" };
        let failed = Record { backend: Some("127.0.0.1:1"), failure: Some(failure), ..record() };
        write_json(&mut line, &failed, SystemTime::UNIX_EPOCH);
        let expected = serde_json::json!({
            "time": "1970-01-01T00:00:00.000Z", "client": "127.0.0.1:5555", "listener": "web",
            "request": "GET /cat.png", "host": "a.example", "backend": "127.0.0.1:1", "status": 200,
            "request_bytes": 0, "response_bytes": 1234, "attempts": 1, "reused": true, "duration_us": 1412,
            "phases_us": {
                "head": 10, "queue": 0, "connect": 0, "request": 20, "first-byte": 970, "response": 412
            },
            "added_us": 12, "upstream": "images", "pick": 17, "cycle": 3, "picked": "127.0.0.1:8889",
            "end": "backend.connect.refused",
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), expected);
    }

    #[test]
    fn no_request_can_forge_a_line() {
        let mut line = String::new();
        write_escaped(&mut line, b"GET /\"\\\n\x7f\xff");
        assert_eq!(line, "GET /\\\"\\\\\\u000a\\u007f\\u00ff");
    }
}
