//! Bodies far larger than any buffer, and readers slower than any writer: always whole, in constant memory.

use std::io::{Read as _, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use ringway_backends::{Addresses, Running, pattern_byte, start};

use crate::support::resident::Sampler;
use crate::support::{OneUpstream, Proxy};

on_each_runtime!(
    down_in_constant_memory,
    up_in_constant_memory,
    both_ways_at_once,
    a_reader_that_stops_stops_the_writer,
    a_slow_reader_gets_everything,
    a_reader_that_makes_progress_is_not_cut,
);

const MIB: u64 = 1 << 20;
/// By how much the proxy may grow, whatever passes through it: buffers and what the allocator keeps.
const GROWTH: u64 = 16 * MIB;

fn file_server() -> (Running, OneUpstream) {
    let backends = start(&Addresses::ephemeral(0)).unwrap();
    let setup = OneUpstream::new(&[backends.addresses().default]);
    (backends, setup)
}

fn spawn_curl(arguments: &[&str]) -> Child {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "120"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// The pattern in pieces that each begin where it repeats.
fn piece() -> Vec<u8> {
    (0..251 * 1024).map(pattern_byte).collect()
}

fn write_pattern(mut out: impl Write, length: u64) {
    let piece = piece();
    let mut left = length;
    while left > 0 {
        let size = left.min(piece.len() as u64) as usize;
        out.write_all(&piece[..size]).unwrap();
        left -= size as u64;
    }
}

/// Reads to the end and asserts that it is the pattern: its length.
fn read_pattern(mut from: impl std::io::Read) -> u64 {
    let expected = piece();
    let (mut got, mut length) = (Vec::with_capacity(expected.len()), 0);
    loop {
        got.clear();
        from.by_ref().take(expected.len() as u64).read_to_end(&mut got).unwrap();
        assert!(got == expected[..got.len()], "a byte differs after {length}");
        length += got.len() as u64;
        if got.len() < expected.len() {
            return length;
        }
    }
}

fn down_in_constant_memory(runtime: &str) {
    let (_backends, setup) = file_server();
    let proxy = setup.run(runtime);
    let sampler = Sampler::start(proxy.pid());
    let mut curl = spawn_curl(&[&setup.url(&format!("/bytes/{}", 256 * MIB))]);
    assert_eq!(read_pattern(curl.stdout.take().unwrap()), 256 * MIB);
    assert!(curl.wait().unwrap().success());
    let growth = sampler.growth();
    assert!(growth < GROWTH, "the proxy grew by {growth} bytes");
}

fn up_in_constant_memory(runtime: &str) {
    let (_backends, setup) = file_server();
    let proxy = setup.run(runtime);
    let sampler = Sampler::start(proxy.pid());
    // From a file curl knows the length beforehand, from a pipe it sends chunks.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write_pattern(&mut file, 256 * MIB);
    for source in [file.path().to_str().unwrap(), "-"] {
        let mut curl = spawn_curl(&["-T", source, "-X", "POST", &setup.url("/count")]);
        let stdin = curl.stdin.take().unwrap();
        if source == "-" {
            write_pattern(stdin, 256 * MIB);
        }
        let mut said = String::new();
        curl.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(curl.wait().unwrap().success());
        assert_eq!(said, "268435456 bytes, all of the pattern\n");
    }
    let growth = sampler.growth();
    assert!(growth < GROWTH, "the proxy grew by {growth} bytes");
}

fn both_ways_at_once(runtime: &str) {
    let (_backends, setup) = file_server();
    let proxy = setup.run(runtime);
    let sampler = Sampler::start(proxy.pid());
    let mut curl = spawn_curl(&["-T", "-", "-X", "POST", "-H", "Expect:", &setup.url("/echo")]);
    let stdin = curl.stdin.take().unwrap();
    let writer = thread::spawn(move || write_pattern(stdin, 64 * MIB));
    assert_eq!(read_pattern(curl.stdout.take().unwrap()), 64 * MIB);
    writer.join().unwrap();
    assert!(curl.wait().unwrap().success());
    let growth = sampler.growth();
    assert!(growth < GROWTH, "the proxy grew by {growth} bytes");
}

fn a_reader_that_stops_stops_the_writer(runtime: &str) {
    let (_backends, setup) = file_server();
    let proxy = setup.run(runtime);
    let sampler = Sampler::start(proxy.pid());
    let mut stopped = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(setup.listener).unwrap();
        let request = format!("GET /bytes/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", 1024 * MIB);
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.read_exact(&mut [0; 64 * 1024]).unwrap();
        stopped.push(stream);
    }
    thread::sleep(Duration::from_secs(3));
    let growth = sampler.growth();
    assert!(growth < GROWTH, "eight readers that stopped made the proxy grow by {growth} bytes");
    // Whoever reads on gets on.
    stopped[0].read_exact(&mut vec![0; 8 << 20]).unwrap();
}

fn a_slow_reader_gets_everything(runtime: &str) {
    let (_backends, setup) = file_server();
    let proxy = setup.run(runtime);
    let sampler = Sampler::start(proxy.pid());
    let mut curl = spawn_curl(&["--limit-rate", "8M", &setup.url(&format!("/bytes/{}", 24 * MIB))]);
    assert_eq!(read_pattern(curl.stdout.take().unwrap()), 24 * MIB);
    assert!(curl.wait().unwrap().success());
    let growth = sampler.growth();
    assert!(growth < GROWTH, "the proxy grew by {growth} bytes");
}

/// The reader takes 200 KB a second: slower than a third of the kernel's largest buffer in the timeout.
fn a_reader_that_makes_progress_is_not_cut(runtime: &str) {
    let (_backends, setup) = file_server();
    let config = format!("{}[timeouts]\nbody = \"2s\"\n", setup.config());
    let _proxy = Proxy::run(runtime, &config, &[setup.listener]);
    let mut client = TcpStream::connect(setup.listener).unwrap();
    let request = format!("GET /bytes/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", 50 * MIB);
    client.write_all(request.as_bytes()).unwrap();
    let mut piece = vec![0; 20_000];
    for _ in 0..80 {
        client.read_exact(&mut piece).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
}
