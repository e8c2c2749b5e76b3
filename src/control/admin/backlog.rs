//! Connections that wait to be accepted, as the kernel tells: the one part of a client's wait that no exchange sees.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};

/// The state of a socket that listens: TCP_LISTEN of the kernel.
const LISTEN: &str = "0A";

/// How many connections wait at each of these addresses, over all sockets that listen there. `None` where /proc does not tell,
/// or nobody listens any more.
///
/// In /proc/net/tcp the field rx_queue of a listening socket is the length of its accept queue, and sockets that listen
/// come first: no more is read than these.
pub(super) fn waiting(addresses: &[SocketAddr]) -> Vec<Option<usize>> {
    let queues: Vec<_> =
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].iter().flat_map(|path| queues(path)).collect();
    let at = |address: &SocketAddr| {
        let here = queues.iter().filter(|(other, _)| other == address);
        here.map(|(_, count)| *count).reduce(|all, one| all + one)
    };
    addresses.iter().map(at).collect()
}

fn queues(path: &str) -> Vec<(SocketAddr, usize)> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let lines = BufReader::new(file).lines().skip(1).map_while(Result::ok);
    lines.map_while(|line| queue(&line)).collect()
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
            assert_eq!(waiting(&[address]), [Some(3)], "{address}");
            drop(listener.accept().unwrap());
            assert_eq!(waiting(&[address]), [Some(2)], "{address}");
            drop((clients, listener));
            assert_eq!(waiting(&[address]), [None], "{address}");
        }
    }
}
