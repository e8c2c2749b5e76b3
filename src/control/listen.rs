//! Listening sockets: one a worker and listener, in one SO_REUSEPORT group.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ListenerConfig;

/// Connections that the kernel may hold for one socket until they are accepted.
const BACKLOG: i32 = 4096;
/// Bytes that the kernel takes for a connection beyond those that are on their way. Without a limit its buffer grows to
/// megabytes and is writable again only when a third of it is free, so that a slow reader looks like one that has
/// stopped (tcp(7), TCP_NOTSENT_LOWAT: writable again below half of it). Half of it is what a reader has to take within
/// the timeout of a body; less of it would cost fast readers more turns.
const NOT_SENT: u32 = 256 << 10;
/// How often an address in use is asked for, and how long between: a second in all.
const PROBES: u32 = 20;
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// Binds and listens: for each of `workers` workers, a socket for each listener in order. A listener on port 0 is given
/// the port that the kernel chose.
///
/// # Errors
/// Names the listener and the way out. An address in use is found out by a bind without SO_REUSEPORT first, since with
/// it the address would be shared with whoever else set that option.
pub(super) fn listen(listeners: &mut [ListenerConfig], workers: usize) -> io::Result<Vec<Vec<Socket>>> {
    for listener in &mut *listeners {
        listener.address = probe(listener.address).map_err(|error| explain(error, listener))?;
    }
    let open = |listener: &ListenerConfig| {
        let socket = bind(listener.address, true)?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    let open = |listener| open(listener).map_err(|error| explain(error, listener));
    (0..workers).map(|_| listeners.iter().map(open).collect()).collect()
}

/// Binds and lets go again; the address that it was, with its port. The kernel may hold the sockets of a program that
/// has just ended for a moment, so an address in use is asked for again a few times.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let mut tries = PROBES;
    let bound = loop {
        tries -= 1;
        match bind(address, false) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => thread::sleep(PROBE_PAUSE),
            bound => break bound?.local_addr()?,
        }
    };
    bound.as_socket().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn bind(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    // Accepted connections inherit both.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOT_SENT)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn explain(error: io::Error, listener: &ListenerConfig) -> io::Error {
    let address = listener.address;
    let what = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: the address is in use by another program. End it (`ss -ltnp 'sport = :{}'` names it), or \
             give the listener another address",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "cannot listen on {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE. Give the listener a higher port, or \
             the program that capability"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {address}: it is not an address of this machine")
        }
        _ => format!("cannot listen on {address}: {error}"),
    };
    io::Error::new(error.kind(), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_found_even_where_it_could_be_shared() {
        let other = bind(SocketAddr::from(([127, 0, 0, 1], 0)), true).unwrap();
        other.listen(1).unwrap();
        let address = other.local_addr().unwrap().as_socket().unwrap();
        let error = bind(address, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_accepted_connection_inherits_what_it_is_to_have() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        listener.listen(1).unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.connect(&listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.tcp_nodelay().unwrap());
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), NOT_SENT);
    }
}
