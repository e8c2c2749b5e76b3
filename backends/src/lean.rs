//! A lean origin for measurements: it costs little, answers in equal lengths, counts, and can be slow on purpose.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The target that is answered with the counts instead of being counted.
pub const ANSWERED: &str = "/answered";

/// The longest request head that it reads, in bytes.
const HEAD: usize = 8 << 10;

/// What all its servers share.
struct Lean {
    answered: Vec<AtomicU64>,
    delays: Vec<Duration>,
    /// How many delays were taken from the list, which begins again at its end.
    delayed: AtomicUsize,
}

/// Serves `GET` on every address until the process ends, all on the calling thread.
///
/// Every answer is 200, names its port in `X-Backend` and in the body, and is as long as every other. It waits before
/// each answer as long as the next of `delays` says, if there are any. A request for [`ANSWERED`] gets the number of
/// answers of each address so far, in their order, as a JSON array. Bodies of requests are not understood.
///
/// # Errors
///
/// An address that cannot be bound.
pub fn serve_lean(addresses: &[SocketAddr], delays: Vec<Duration>) -> io::Result<()> {
    let answered = addresses.iter().map(|_| AtomicU64::new(0)).collect();
    let lean = Arc::new(Lean { answered, delays, delayed: AtomicUsize::new(0) });
    let bound = addresses.iter().copied().map(bind).collect::<io::Result<Vec<_>>>()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        for (index, listener) in bound.into_iter().enumerate() {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(accept(listener, index, Arc::clone(&lean)));
        }
        std::future::pending().await
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept(listener: tokio::net::TcpListener, index: usize, lean: Arc<Lean>) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    loop {
        // Out of descriptors: those that are open will be closed some time.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let lean = Arc::clone(&lean);
        tokio::spawn(async move {
            // A connection that fails is its client's affair: the client counts it.
            let _ = serve(stream, index, port, &lean).await;
        });
    }
}

/// Answers the requests of one connection.
async fn serve(mut stream: TcpStream, index: usize, port: u16, lean: &Lean) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(HEAD);
    loop {
        while let Some(end) = head_end(&input) {
            let rest = input.split_off(end);
            let head = std::mem::replace(&mut input, rest);
            let is_kept = is_kept(&head);
            let answer = lean.answer(&head, index, port, is_kept).await;
            stream.write_all(answer.as_bytes()).await?;
            if !is_kept {
                return stream.shutdown().await;
            }
        }
        if input.len() > HEAD || stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

impl Lean {
    async fn answer(&self, head: &[u8], index: usize, port: u16, is_kept: bool) -> String {
        let connection = if is_kept { "keep-alive" } else { "close" };
        if head.starts_with(format!("GET {ANSWERED} ").as_bytes()) {
            let counts: Vec<u64> = self.answered.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            let body = format!("{counts:?}\n");
            let length = body.len();
            return format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                 Connection: {connection}\r\n\r\n{body}"
            );
        }
        self.delay().await;
        self.answered[index].fetch_add(1, Ordering::Relaxed);
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 38\r\n\
             X-Backend: {port:05}\r\nConnection: {connection}\r\n\r\nHello from the backend on port {port:05}.\n"
        )
    }

    async fn delay(&self) {
        if self.delays.is_empty() {
            return;
        }
        let turn = self.delayed.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.delays[turn % self.delays.len()]).await;
    }
}

/// Where the first head ends, behind its empty line.
fn head_end(input: &[u8]) -> Option<usize> {
    input.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4)
}

/// Whether the connection stays open: HTTP/1.1 unless it says otherwise, HTTP/1.0 only when it says so.
fn is_kept(head: &[u8]) -> bool {
    let head = head.to_ascii_lowercase();
    let says = |words: &[u8]| head.windows(words.len()).any(|bytes| bytes == words);
    let line_end = head.iter().position(|byte| *byte == b'\r').unwrap_or(head.len());
    if head[..line_end].ends_with(b"http/1.0") {
        says(b"\r\nconnection: keep-alive")
    } else {
        !says(b"\r\nconnection: close")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_as_long_as_its_head_says() {
        let lean = Lean { answered: vec![AtomicU64::new(0)], delays: Vec::new(), delayed: 0.into() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for port in [80, 18510] {
            let answer = runtime.block_on(lean.answer(b"GET / HTTP/1.1\r\n\r\n", 0, port, true));
            assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), 38, "{answer}");
        }
        let counts = runtime.block_on(lean.answer(b"GET /answered HTTP/1.1\r\n\r\n", 0, 1, true));
        assert!(counts.ends_with("\r\n\r\n[2]\n"), "{counts}");
    }

    #[test]
    fn a_connection_is_kept_as_its_version_says() {
        assert!(is_kept(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!is_kept(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
        assert!(!is_kept(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"));
        assert!(is_kept(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    }
}
