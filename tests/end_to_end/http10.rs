//! HTTP/1.0 clients, with and without kept connections.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use ringway_backends::{Addresses, Running, start};

use crate::support::{OneUpstream, PATIENCE};

on_each_runtime!(a_connection_ends_with_its_answer, a_connection_is_kept_when_asked, a_request_needs_no_host);

fn one() -> (Running, OneUpstream) {
    let backends = start(&Addresses::ephemeral(1)).unwrap();
    let setup = OneUpstream::new(&backends.addresses().cluster);
    (backends, setup)
}

fn connect(setup: &OneUpstream) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(setup.listener).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

/// Reads a head, in lower case, and the body of as many bytes as it says.
fn answer(stream: &mut BufReader<TcpStream>) -> (String, String) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "the head ends early: {head}");
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn a_connection_ends_with_its_answer(runtime: &str) {
    let (_backends, setup) = one();
    let _proxy = setup.run(runtime);
    let mut stream = connect(&setup);
    stream.get_mut().write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let (head, body) = answer(&mut stream);
    assert!(head.contains(" 200 ") && body.starts_with("Hello from the backend"), "{head}{body}");
    assert!(!head.contains("connection: keep-alive"), "{head}");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection has to end");
}

fn a_connection_is_kept_when_asked(runtime: &str) {
    let (backends, setup) = one();
    let _proxy = setup.run(runtime);
    let mut stream = connect(&setup);
    for _ in 0..3 {
        stream.get_mut().write_all(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").unwrap();
        let (head, _) = answer(&mut stream);
        assert!(head.contains(" 200 ") && head.contains("connection: keep-alive\r\n"), "{head}");
    }
    assert_eq!(backends.answered(), [3]);
}

fn a_request_needs_no_host(runtime: &str) {
    let (_backends, setup) = one();
    let _proxy = setup.run(runtime);
    let mut stream = connect(&setup);
    stream.get_mut().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let (head, _) = answer(&mut stream);
    assert!(head.contains(" 200 "), "{head}");
}
