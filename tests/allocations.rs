//! Once warm, nothing on the path of a request allocates.
#![expect(unsafe_code, reason = "an allocator that counts")]
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use ringway::config::{Config, Environment};
use ringway::control;
use ringway::runtime::RUNTIMES;
use ringway::telemetry::Log;

#[path = "support/runtimes.rs"]
mod runtimes;

use runtimes::is_allowed;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WARM_UP: usize = 500;
const REQUESTS: usize = 2_000;
const REQUEST: &[u8] =
    b"GET /some/path?and=query HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

/// Answers every request on every connection, with memory of its own only.
fn start_backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while matches!(stream.read(&mut bytes), Ok(count) if count > 0) {
                    stream.write_all(RESPONSE).unwrap();
                }
            });
        }
    });
    address
}

fn exchange(stream: &mut TcpStream, answer: &mut [u8; 4096]) {
    stream.write_all(REQUEST).unwrap();
    let mut length = 0;
    while !answer[..length].ends_with(b"hello") {
        let count = stream.read(&mut answer[length..]).unwrap();
        assert!(count > 0, "the answer ended early");
        length += count;
    }
}

fn allocations_of_warm_requests(runtime: &str) -> u64 {
    let text = format!(
        "[runtime]\nkind = \"{runtime}\"\nworkers = 1\n[log]\naccess = \"off\"\n[[listener]]\naddress = \
         \"127.0.0.1:0\"\n[[route]]\nupstream = \"u\"\n[[upstream]]\nname = \"u\"\nbackends = [\"{}\"]\n",
        start_backend()
    );
    let environment = Environment { cores: 1, descriptors: 1024 };
    let (config, _) = Config::parse(&text, "test.toml", &environment).unwrap();
    let server = control::start(config, Log::off()).unwrap();
    let mut stream = TcpStream::connect(server.shared().config.listeners[0].address).unwrap();
    let mut answer = [0; 4096];
    (0..WARM_UP).for_each(|_| exchange(&mut stream, &mut answer));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..REQUESTS).for_each(|_| exchange(&mut stream, &mut answer));
    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    drop(stream);
    server.drain();
    server.join().unwrap();
    count
}

/// One test, since the count is the process's.
#[test]
fn warm_requests_allocate_nothing() {
    for info in RUNTIMES.iter().filter(|info| is_allowed(info.name)) {
        let count = allocations_of_warm_requests(info.name);
        // What a loop does once a second may find a vector too short.
        assert!(count < 5, "{}: {count} allocations in {REQUESTS} requests", info.name);
    }
}
