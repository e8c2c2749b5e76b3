//! A WebSocket through the proxy: once the backend has agreed, both directions pass unread.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use tungstenite::{Message, WebSocket};

use crate::support::curl::curl;
use crate::support::{OneUpstream, PATIENCE};

on_each_runtime!(messages_come_back_in_order, a_plain_request_is_not_upgraded);

/// A server that sends every message back, a thread a connection.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo(stream.unwrap()));
        }
    });
    address
}

fn echo(stream: TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

fn connect(setup: &OneUpstream) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(setup.listener).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let (socket, answer) = tungstenite::client(format!("ws://{}/echo", setup.listener), stream).unwrap();
    assert_eq!(answer.status(), 101);
    socket
}

fn messages_come_back_in_order(runtime: &str) {
    let setup = OneUpstream::new(&[echo_server()]);
    let _proxy = setup.run(runtime);
    let mut first = connect(&setup);
    let mut second = connect(&setup);
    for number in 0..200_usize {
        let text = Message::text(format!("{number} {}", "x".repeat(number * 37 % 5000)));
        let bytes = Message::binary(vec![number as u8; number * 997 % 100_000]);
        for (socket, message) in [(&mut first, text), (&mut second, bytes)] {
            socket.send(message.clone()).unwrap();
            assert_eq!(socket.read().unwrap(), message);
        }
    }
    let large = Message::binary((0..4_000_000_u32).map(|place| (place % 251) as u8).collect::<Vec<_>>());
    first.send(large.clone()).unwrap();
    assert_eq!(first.read().unwrap(), large);
    for mut socket in [first, second] {
        socket.close(None).unwrap();
        assert!(socket.read().unwrap().is_close());
        assert!(socket.read().is_err(), "after the closing handshake the connection ends");
    }
    let lines = setup.log_lines(2);
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("101")), "{lines:?}");
}

fn a_plain_request_is_not_upgraded(runtime: &str) {
    let setup = OneUpstream::new(&[echo_server()]);
    let _proxy = setup.run(runtime);
    assert!(curl(&[&setup.url("/echo")]).status >= 400);
}
