//! Messages of the simulation: bodies whose every byte tells which exchange it belongs to, and a reader of its own.

use std::io;
use std::time::Duration;

use ringway::runtime::sim::{Sim, SimStream};
use ringway::runtime::{Batch, Runtime, Stream};

/// Longer than every timeout of the proxy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// The direction that a body goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Request,
    Response,
}

/// A body of an exchange: each byte is a function of exchange, direction and offset.
pub(crate) fn body(id: usize, way: Way, len: usize) -> Vec<u8> {
    let salt = (id as u64) << 1 | u64::from(way == Way::Response);
    let byte = |offset: usize| {
        let mixed = (salt << 32 ^ offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as u8
    };
    (0..len).map(byte).collect()
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A body in its framing, in pieces of `piece` bytes where it is chunked.
pub(crate) fn framed(body: &[u8], framing: Framing, piece: usize) -> Vec<u8> {
    if framing != Framing::Chunked {
        return body.to_vec();
    }
    let mut out = Vec::new();
    for chunk in body.chunks(piece.max(1)) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// The field that announces a framing.
pub(crate) fn field(framing: Framing) -> String {
    match framing {
        Framing::Length(length) => format!("Content-Length: {length}\r\n"),
        Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Framing::UntilClose => String::new(),
    }
}

/// Reads messages, trusting nothing: every byte has to be where HTTP/1.1 wants it.
pub(crate) struct Reader<'a> {
    sim: &'a Sim,
    stream: &'a SimStream,
    bytes: Vec<u8>,
}

/// A start line and its fields.
pub(crate) struct Head {
    pub(crate) start: String,
    fields: Vec<String>,
}

impl Head {
    /// The value of a field whose name is given in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// How the body is delimited; `otherwise` where no field says so.
    pub(crate) fn framing(&self, otherwise: Framing) -> Framing {
        match (self.field("transfer-encoding"), self.field("content-length")) {
            (Some(_), _) => Framing::Chunked,
            (None, Some(length)) => Framing::Length(length.parse().expect("a length is a number")),
            (None, None) => otherwise,
        }
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(sim: &'a Sim, stream: &'a SimStream) -> Self {
        Self { sim, stream, bytes: Vec::new() }
    }

    /// Reads a head; `None` where the connection ends in order before one.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let text: Vec<u8> = self.bytes.drain(..end + 4).collect();
                let text = String::from_utf8_lossy(&text[..end]).into_owned();
                let mut lines = text.split("\r\n").map(str::to_owned);
                let start = lines.next().unwrap_or_default();
                return Ok(Some(Head { start, fields: lines.collect() }));
            }
            if !self.more().await? {
                return if self.bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Reads a body to where its framing ends it. What was read of it so far is in `into` also if that fails.
    pub(crate) async fn body(&mut self, framing: Framing, into: &mut Vec<u8>) -> io::Result<()> {
        match framing {
            Framing::Length(length) => self.exactly(length, into).await,
            Framing::Chunked => loop {
                let size =
                    usize::from_str_radix(&self.line().await?, 16).expect("a chunk's size is a number");
                if size == 0 {
                    assert_eq!(self.line().await?, "", "trailers that nobody sent");
                    return Ok(());
                }
                self.exactly(size, into).await?;
                assert_eq!(self.line().await?, "", "a chunk ends with CRLF");
            },
            Framing::UntilClose => {
                while self.more().await? {}
                into.append(&mut self.bytes);
                Ok(())
            }
        }
    }

    async fn exactly(&mut self, length: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let end = into.len() + length;
        loop {
            let count = self.bytes.len().min(end - into.len());
            into.extend(self.bytes.drain(..count));
            if into.len() == end {
                return Ok(());
            }
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.bytes.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads what comes next; false at the orderly end.
    async fn more(&mut self) -> io::Result<bool> {
        let buf = self.stream.recv(self.sim.now() + PATIENCE).await?;
        buf.iter().for_each(|buf| self.bytes.extend_from_slice(buf));
        Ok(buf.is_some())
    }
}

/// Sends bytes.
pub(crate) async fn send(sim: &Sim, stream: &SimStream, bytes: &[u8]) -> io::Result<()> {
    let mut batch = Batch::new(sim.pool());
    batch.write(bytes);
    stream.send(batch, sim.now() + PATIENCE).await
}
