//! Clients and backends of the simulation, well-behaved and other.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ringway::runtime::sim::{Sim, SimListener, SimStream};
use ringway::runtime::{Listener, Runtime, Stream, join};

use super::message::{Framing, Head, PATIENCE, Reader, Way, body, field, framed, send};

/// What all actors of a world write down.
#[derive(Default)]
pub(crate) struct Ledger {
    next_id: Cell<usize>,
    /// Clients that have not finished.
    pub(crate) clients: Cell<usize>,
    /// How often backends have seen the head of a request that must not be sent twice.
    pub(crate) posts: RefCell<BTreeMap<usize, usize>>,
    /// For each exchange of which the client has seen an answer, that answer.
    pub(crate) answered: RefCell<BTreeMap<usize, Answer>>,
    /// Responses of backends that arrived whole.
    pub(crate) whole: Cell<usize>,
}

/// What a client was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) to_post: bool,
}

/// How a backend answers: a part of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Length,
    Chunked,
    UntilClose,
    Hints,
    Slow,
    /// Closes after a response without a word: the next request finds a stale connection.
    Stale,
    ResetsInBody,
    ClosesInBody,
    ClosesInChunks,
    Garbage,
    Early,
    Silent,
}

const MANNERS: [Manner; 12] = [
    Manner::Length,
    Manner::Chunked,
    Manner::UntilClose,
    Manner::Hints,
    Manner::Slow,
    Manner::Stale,
    Manner::ResetsInBody,
    Manner::ClosesInBody,
    Manner::ClosesInChunks,
    Manner::Garbage,
    Manner::Early,
    Manner::Silent,
];

/// The first of [`MANNERS`] that are well-behaved.
const GOOD: usize = 6;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) id: usize,
    pub(crate) manner: Manner,
    /// Bytes of the response's body.
    pub(crate) length: usize,
    /// Bytes of the request's body, and how they are framed; without, it is a GET.
    pub(crate) upload: Option<(usize, Framing)>,
}

impl Ask {
    /// An exchange as the seed draws it.
    fn draw(sim: &Sim, ledger: &Ledger, well_behaved: bool) -> Self {
        let random = sim.random();
        let id = ledger.next_id.replace(ledger.next_id.get() + 1);
        let manners = if well_behaved || random.chance(700) { GOOD } else { MANNERS.len() };
        let length = |long| random.below(if random.chance(long) { 90_000 } else { 300 });
        let upload = random.chance(400).then(|| {
            let count = length(100);
            (count, if random.chance(500) { Framing::Chunked } else { Framing::Length(count) })
        });
        Self { id, manner: MANNERS[random.below(manners)], length: length(150), upload }
    }

    /// The request as it is sent.
    pub(crate) fn bytes(&self, piece: usize) -> Vec<u8> {
        let manner = MANNERS.iter().position(|manner| *manner == self.manner).unwrap_or(0);
        let (method, fields, body) = match self.upload {
            None => ("GET", String::new(), Vec::new()),
            Some((len, framing)) => {
                ("POST", field(framing), framed(&body(self.id, Way::Request, len), framing, piece))
            }
        };
        let path = format!("/{}/{manner}/{}", self.id, self.length);
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: sim\r\n{fields}\r\n").into_bytes();
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads it back from a request line.
    fn read(start: &str) -> (usize, Manner, usize) {
        let path = start.split(' ').nth(1).expect("a request line has a target");
        let mut numbers =
            path.split('/').skip(1).map(|part| part.parse::<usize>().expect("a path of numbers"));
        let mut next = || numbers.next().expect("three numbers");
        (next(), MANNERS[next()], next())
    }
}

/// Some connections one after the other, some pipelined requests on each.
pub(crate) async fn client(sim: Sim, to: SocketAddr, ledger: Rc<Ledger>, well_behaved: bool) {
    for _ in 0..1 + sim.random().below(3) {
        let Ok(stream) = sim.connect(to, sim.now() + PATIENCE).await else { continue };
        for _ in 0..1 + sim.random().below(3) {
            let asks: Vec<_> =
                (0..1 + sim.random().below(3)).map(|_| Ask::draw(&sim, &ledger, well_behaved)).collect();
            if !converse(&sim, &stream, &asks, &ledger).await {
                break;
            }
            sim.sleep(sim.now() + Duration::from_millis(sim.random().below(50) as u64)).await;
        }
        if sim.random().chance(200) {
            stream.abort();
        }
    }
    ledger.clients.set(ledger.clients.get() - 1);
}

/// Sends requests together and reads their answers; whether the connection can go on.
pub(crate) async fn converse(sim: &Sim, stream: &SimStream, asks: &[Ask], ledger: &Ledger) -> bool {
    let requests: Vec<u8> = asks.iter().flat_map(|ask| ask.bytes(1 + sim.random().below(2000))).collect();
    let sending = async {
        // The proxy may answer early and close: what matters is what is read.
        let _ = send(sim, stream, &requests).await;
    };
    let reading = async {
        let mut reader = Reader::new(sim, stream);
        for ask in asks {
            match response(&mut reader, ask, ledger).await {
                Ok(true) => {}
                Ok(false) | Err(_) => {
                    // Whoever stops reading has to let go of what is still being sent.
                    stream.abort();
                    return false;
                }
            }
        }
        true
    };
    join(sending, reading).await.1
}

/// Reads one response and judges it; whether another one can follow.
async fn response(reader: &mut Reader<'_>, ask: &Ask, ledger: &Ledger) -> io::Result<bool> {
    loop {
        let Some(head) = reader.head().await? else { return Ok(false) };
        let status = head.start.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        if status == 103 {
            continue;
        }
        let answer = Answer { status, to_post: ask.upload.is_some() };
        let before = ledger.answered.borrow_mut().insert(ask.id, answer);
        assert_eq!(before, None, "one answer an exchange: {ask:?}");
        let framing = head.framing(Framing::UntilClose);
        let mut got = Vec::new();
        let end = reader.body(framing, &mut got).await;
        if status == 200 {
            judge(ask, &head, &got, end.is_ok().then_some(framing), ledger);
        }
        end?;
        return Ok(framing != Framing::UntilClose && head.field("connection") != Some("close"));
    }
}

/// No byte has crossed exchanges, and what looks whole is whole.
fn judge(ask: &Ask, head: &Head, got: &[u8], ended: Option<Framing>, ledger: &Ledger) {
    let whole = body(ask.id, Way::Response, ask.length);
    assert_eq!(
        head.field("x-id"),
        Some(ask.id.to_string().as_str()),
        "the answer to another request: {ask:?}"
    );
    assert!(whole.starts_with(got), "bytes of another exchange: {ask:?}");
    // The network may end a connection in order at any place: only a framing can tell.
    if matches!(ended, Some(Framing::Length(_) | Framing::Chunked)) {
        assert_eq!(got.len(), whole.len(), "a truncated response that looks whole: {ask:?}");
        ledger.whole.set(ledger.whole.get() + 1);
    }
}

/// A backend server.
pub(crate) async fn backend(sim: Sim, listener: SimListener, ledger: Rc<Ledger>) {
    loop {
        match listener.accept().await {
            Ok(Some((stream, _))) => {
                let (inner, ledger) = (sim.clone(), Rc::clone(&ledger));
                sim.spawn(async move { while let Ok(true) = serve_one(&inner, &stream, &ledger).await {} });
            }
            Ok(None) => return,
            Err(_) => sim.sleep(sim.now() + Duration::from_millis(1)).await,
        }
    }
}

/// Reads a request and answers it in its manner; whether another one can follow.
async fn serve_one(sim: &Sim, stream: &SimStream, ledger: &Ledger) -> io::Result<bool> {
    let mut reader = Reader::new(sim, stream);
    let Some(head) = reader.head().await? else { return Ok(false) };
    let (id, manner, length) = Ask::read(&head.start);
    if head.start.starts_with("POST") {
        let times = ledger.posts.borrow().get(&id).map_or(1, |times| times + 1);
        ledger.posts.borrow_mut().insert(id, times);
    }
    if manner != Manner::Early {
        let mut got = Vec::new();
        let end = reader.body(head.framing(Framing::Length(0)), &mut got).await;
        let whole = body(id, Way::Request, 100_000);
        assert!(whole.starts_with(&got), "bytes of another exchange in request {id}");
        end?;
    }
    answer(sim, stream, id, manner, length).await
}

async fn answer(sim: &Sim, stream: &SimStream, id: usize, manner: Manner, length: usize) -> io::Result<bool> {
    let framing = match manner {
        Manner::Chunked | Manner::ClosesInChunks => Framing::Chunked,
        Manner::UntilClose => Framing::UntilClose,
        _ => Framing::Length(length),
    };
    let mut bytes = format!("HTTP/1.1 200 OK\r\nX-Id: {id}\r\n{}\r\n", field(framing)).into_bytes();
    bytes.extend(framed(&body(id, Way::Response, length), framing, 1 + sim.random().below(3000)));
    match manner {
        Manner::Hints => drop(bytes.splice(..0, *b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")),
        Manner::Slow => sim.sleep(sim.now() + Duration::from_millis(500)).await,
        Manner::Garbage => bytes = vec![b'x'; 100],
        Manner::Silent => {
            sim.sleep(sim.now() + Duration::from_secs(100)).await;
            return Ok(false);
        }
        Manner::ResetsInBody | Manner::ClosesInBody | Manner::ClosesInChunks => {
            bytes.truncate(sim.random().below(bytes.len()));
        }
        _ => {}
    }
    send(sim, stream, &bytes).await?;
    if manner == Manner::ResetsInBody {
        stream.abort();
    }
    Ok(matches!(manner, Manner::Length | Manner::Chunked | Manner::Hints | Manner::Slow))
}
