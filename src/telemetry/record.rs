//! What is known of one exchange when it is over.

use std::fmt;
use std::net::SocketAddr;

use super::{Label, Moments};

/// One exchange, over. Borrowed from the exchange: whoever keeps something of it copies that.
pub struct Record<'a> {
    /// When what happened.
    pub moments: Moments,
    /// Who asked.
    pub client: SocketAddr,
    /// Name of the listener.
    pub listener: &'a str,
    /// The head of the request as it came; empty if it was not understood.
    pub head: &'a [u8],
    /// The host that was asked for, with its port if that was named; absent if none was, or no route was found.
    pub host: Option<&'a [u8]>,
    /// The upstream and what it picked; absent if no route was found.
    pub pick: Option<Pick<'a>>,
    /// The backend that was tried last, by its configured address; absent if none was.
    pub backend: Option<&'a str>,
    /// Where that backend, or else the one that was picked, stands among all backends of the configuration.
    pub place: Option<usize>,
    /// What went over the wire.
    pub traffic: Traffic,
    /// The status of the answer that was written for the client; absent if there was none.
    pub status: Option<u16>,
    /// What went wrong, if anything did.
    pub failure: Option<Label>,
}

/// A turn of an upstream's balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick<'a> {
    /// Name of the upstream.
    pub upstream: &'a str,
    /// The backend whose turn it was, by its configured address.
    pub backend: &'a str,
    /// Its number among all picks of the upstream, counted from 0 since the process was started.
    pub number: u64,
    /// The cycle: a change of the eligible backends, or a start of the process, begins a new one with a greater number.
    pub cycle: u64,
}

/// Bytes and attempts of an exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of the request's body that went to the backend, framing included.
    pub request_body: u64,
    /// Bytes of the response's body that went to the client, framing included.
    pub response_body: u64,
    /// Connections to backends that were tried, reused ones included.
    pub attempts: u32,
    /// The last attempt went over a connection that had served before.
    pub reused: bool,
}

impl Record<'_> {
    /// Method and target as they came: the first line without the version. Empty if the head was not understood.
    pub fn request(&self) -> &[u8] {
        let end = memchr::memchr(b'\r', self.head).unwrap_or(self.head.len());
        let line = &self.head[..end];
        &line[..memchr::memrchr(b' ', line).unwrap_or(end)]
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record(\"{}\" {:?})", self.request().escape_ascii(), self.status)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_record_names_method_and_target() {
        let request = |head: &'static [u8]| Record { head, ..record(1) }.request().to_vec();
        assert_eq!(request(b"GET /a?b HTTP/1.1\r\nHost: c d\r\n\r\n"), b"GET /a?b");
        assert_eq!(request(b""), b"");
    }

    /// An exchange that took so long, all of it in the phase `request`, with the second backend of the configuration.
    pub(crate) fn record(total_us: u64) -> Record<'static> {
        let begun = Instant::now();
        let mut moments = Moments::new(begun);
        moments.head_read(begun);
        moments.submitted(begun);
        moments.done(begun + Duration::from_micros(total_us));
        Record {
            moments,
            client: SocketAddr::from(([127, 0, 0, 1], 5555)),
            listener: "web",
            head: b"GET / HTTP/1.1\r\n\r\n",
            host: None,
            pick: None,
            backend: None,
            place: Some(1),
            traffic: Traffic { request_body: 1, response_body: 10, attempts: 2, reused: true },
            status: Some(200),
            failure: None,
        }
    }
}
