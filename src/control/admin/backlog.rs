//! Connections that wait to be accepted, as the kernel tells: the one part of a client's wait that no exchange sees.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};

/// The state of a socket that listens: TCP_LISTEN of the kernel.
const LISTEN: &str = "0A";

/// Bytes that are asked for at once: hardly more than a line. The kernel goes on until it has as many, and behind the
/// sockets that listen come all others: it would look for them in a table of megabytes.
const AT_ONCE: usize = 160;

/// How many connections wait at each of these addresses, over all sockets that listen there: `sockets` at each. `None`
/// where /proc does not tell, or nobody listens any more.
///
/// In /proc/net/tcp the field rx_queue of a listening socket is the length of its accept queue, and sockets that listen
/// come first: no more is read than these.
pub(super) fn waiting(addresses: &[SocketAddr], sockets: usize) -> Vec<Option<usize>> {
    let of =
        |is_v4: bool| addresses.iter().filter(move |address| address.is_ipv4() == is_v4).count() * sockets;
    let is_ours = |address: &SocketAddr| addresses.contains(address);
    let queues: Vec<_> = [("/proc/self/net/tcp", of(true)), ("/proc/self/net/tcp6", of(false))]
        .into_iter()
        .flat_map(|(path, count)| queues(path, is_ours, count))
        .collect();
    let at = |address: &SocketAddr| {
        let here = queues.iter().filter(|(other, _)| other == address);
        here.map(|(_, count)| *count).reduce(|all, one| all + one)
    };
    addresses.iter().map(at).collect()
}

/// The first `count` queues that are ours. Whatever else there is is not looked at.
fn queues(path: &str, is_ours: impl Fn(&SocketAddr) -> bool, count: usize) -> Vec<(SocketAddr, usize)> {
    let Some(file) = (count > 0).then(|| File::open(path).ok()).flatten() else { return Vec::new() };
    let lines = BufReader::with_capacity(AT_ONCE, file).lines().map_while(Result::ok).skip(1);
    lines.map_while(|line| queue(&line)).filter(|(address, _)| is_ours(address)).take(count).collect()
}

/// Address and accept queue of a line; `None` when the socket does not listen.
fn queue(line: &str) -> Option<(SocketAddr, usize)> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _, state, queues) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if state != LISTEN {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    let address = SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
    let (_, waiting) = queues.split_once(':')?;
    Some((address, usize::from_str_radix(waiting, 16).ok()?))
}

/// Words of 32 bits, each as this machine reads it from memory.
fn ip_of(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for at in (0..hex.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn connections_that_wait_are_counted_until_they_are_accepted() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let address = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
            assert_eq!(waiting(&[address], 1), [Some(3)], "{address}");
            drop(listener.accept().unwrap());
            assert_eq!(waiting(&[address], 1), [Some(2)], "{address}");
            drop((clients, listener));
            assert_eq!(waiting(&[address], 1), [None], "{address}");
        }
    }
}
