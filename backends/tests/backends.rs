//! The sample backends, asked over plain sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ringway_backends::{ANSWERED, Addresses, IMAGES, PDF, pattern_byte, serve_lean, start};

/// Sends a request with `Connection: close` and these further fields: the answer's head (lower case) and body.
fn ask(address: SocketAddr, request: &str, fields: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap().to_lowercase(), body)
}

#[test]
fn every_file_comes_whole_with_its_type() {
    let running = start(&Addresses::ephemeral(0)).unwrap();
    let sites = [(running.addresses().images, IMAGES), (running.addresses().pdf, PDF)];
    for (address, samples) in sites {
        let (head, list) = ask(address, "GET /", "", b"");
        assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/html"));
        let list = String::from_utf8(list).unwrap();
        for sample in samples {
            assert!(list.contains(&format!("href=\"{}\"", sample.name)));
            let (head, body) = ask(address, &format!("GET /{}", sample.name), "", b"");
            let kind = match sample.name.rsplit('.').next().unwrap() {
                "jpg" => "image/jpeg",
                "png" => "image/png",
                _ => "application/pdf",
            };
            assert!(head.contains(&format!("content-type: {kind}\r\n")), "{head}");
            assert!(body == sample.bytes, "{} differs", sample.name);
        }
    }
}

#[test]
fn the_pictures_are_pictures_and_one_is_over_a_mebibyte() {
    let magic = |bytes: &[u8]| bytes.starts_with(b"\x89PNG\r\n\x1a\n") || bytes.starts_with(b"\xff\xd8\xff");
    assert!(IMAGES.iter().all(|sample| magic(sample.bytes)));
    assert!(IMAGES.iter().any(|sample| sample.bytes.len() > 1 << 20));
    assert!(PDF.iter().all(|sample| sample.bytes.starts_with(b"%PDF-1.4")));
}

#[test]
fn ranges_and_conditions_are_understood() {
    let running = start(&Addresses::ephemeral(0)).unwrap();
    let ask = |fields: &str| ask(running.addresses().images, "GET /rings.png", fields, b"");
    let (head, part) = ask("Range: bytes=100-299\r\n");
    assert!(head.starts_with("http/1.1 206"), "{head}");
    let rings = IMAGES.iter().find(|sample| sample.name == "rings.png").unwrap();
    assert_eq!(part, rings.bytes[100..300]);
    let (head, _) = ask("");
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for condition in [
        format!("If-None-Match: {}\r\n", field("etag:")),
        "If-Modified-Since: Sun, 01 Nov 2026 00:00:00 GMT\r\n".to_owned(),
    ] {
        let (head, body) = ask(&condition);
        assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{condition}: {head}");
    }
}

#[test]
fn each_server_of_the_cluster_names_itself_in_answers_of_one_length() {
    let running = start(&Addresses::ephemeral(5)).unwrap();
    for address in &running.addresses().cluster {
        let (head, body) = ask(*address, "GET /anything", "", b"");
        assert!(head.contains(&format!("x-backend: {}\r\n", address.port())), "{head}");
        let expected = format!("Hello from the backend on port {}.\n", address.port());
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
    assert_eq!(running.answered(), [1; 5]);
}

#[test]
fn bodies_are_made_checked_and_echoed() {
    let running = start(&Addresses::ephemeral(0)).unwrap();
    let default = running.addresses().default;
    let (_, body) = ask(default, "GET /bytes/200000", "", b"");
    assert_eq!(body, (0..200_000).map(pattern_byte).collect::<Vec<_>>());
    let length = format!("Content-Length: {}\r\n", body.len());
    let (_, echoed) = ask(default, "POST /echo", &length, &body);
    assert!(echoed == body);
    let (_, said) = ask(default, "POST /count", &length, &body);
    assert_eq!(said, b"200000 bytes, all of the pattern\n");
    let mut odd = body;
    odd[77_777] ^= 1;
    let (_, said) = ask(default, "POST /count", &length, &odd);
    assert_eq!(said, b"200000 bytes, not the pattern at 77777\n");
}

#[test]
fn a_redirect_names_an_absolute_path_and_a_missing_file_is_404() {
    let running = start(&Addresses::ephemeral(0)).unwrap();
    let (head, _) = ask(running.addresses().images, "GET /redirect", "", b"");
    assert!(head.starts_with("http/1.1 302") && head.contains("location: /rings.png\r\n"), "{head}");
    let (head, _) = ask(running.addresses().default, "GET /images/rings.png", "", b"");
    assert!(head.starts_with("http/1.1 404"), "{head}");
}

#[test]
fn a_port_in_use_is_named_and_a_stopped_one_is_free_again() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let addresses = Addresses { pdf: address, ..Addresses::ephemeral(1) };
    let error = start(&addresses).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&format!("port {} is in use", address.port())), "{error}");
    drop(taken);
    drop(start(&addresses).unwrap());
    assert!(TcpStream::connect(address).is_err());
    drop(start(&addresses).unwrap());
}

/// A program that is killed when the test is over.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself, which is what both errors would say.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_listens_where_it_is_told() {
    // The ports are the demo's: an address of loopback that is this process's alone.
    let id = std::process::id();
    let address = format!("127.{}.{}.{}", 100 + (id >> 16) % 100, (id >> 8) & 255, (id & 255).max(1));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringway-backends"));
    command.args(["--address", &address]).stdout(std::process::Stdio::null());
    let _program = Killed(command.spawn().unwrap());
    let server = format!("{address}:9001").parse().unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(server).is_err() {
        assert!(std::time::Instant::now() < end, "nothing listens on {server}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ask(server, "GET /", "", b"").0.contains("x-backend: 9001"));
}

#[test]
fn the_program_names_an_address_that_is_none() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringway-backends"));
    let output = command.args(["--address", "everywhere"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("everywhere"), "{said}");
}

#[test]
fn the_lean_servers_count_and_wait_in_turn() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (first, second) = (free(), free());
    std::thread::spawn(move || serve_lean(&[first, second], [0, 60].map(Duration::from_millis).into()));
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(second).is_err() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begin = Instant::now();
    let bodies = [first, second, first].map(|address| ask(address, "GET /", "", b"").1);
    assert!(begin.elapsed() >= Duration::from_millis(60), "the second answer waits");
    assert_eq!(bodies[0], format!("Hello from the backend on port {:05}.\n", first.port()).as_bytes());
    assert_eq!(bodies[0].len(), bodies[1].len());
    let (head, counts) = ask(second, &format!("GET {ANSWERED}"), "", b"");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(counts, b"[2, 1]\n");
}

#[test]
fn the_lean_servers_keep_connections_and_take_pipelined_requests() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    std::thread::spawn(move || serve_lean(&[address], Vec::new()));
    let end = Instant::now() + Duration::from_secs(10);
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    };
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHo").unwrap();
    stream.write_all(b"st: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert_eq!(answers.matches("Connection: close").count(), 1, "{answers}");
}
