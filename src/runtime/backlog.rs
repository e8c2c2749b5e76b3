//! The backlog of a listening socket: what the kernel has accepted and the program has not.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use socket2::Socket;

/// The most connections that are taken before a listening socket is closed: four full backlogs. Whoever connects faster
/// than connections are accepted shall not keep a drain from ending.
const MOST: usize = 4 * 4096;

/// Takes everything that waits in the backlog, and closes the socket the moment there is nothing more: the kernel has
/// told those peers that they are connected, and a socket that leaves its `SO_REUSEPORT` group takes its backlog with it.
/// With `flags`, each is handed to `take`. Without a socket, it was done before.
///
/// What is still lost is a handshake that ends between the last accept and the close, or that the kernel began on this
/// socket and would have ended later. Only a socket that stays open loses nothing: a restart that hands listening sockets
/// to its successor will not come here.
///
/// # Errors
/// A shortage of descriptors or memory. The socket is still open: the rest waits for the next call.
pub(super) fn empty_and_close(
    socket: &mut Option<Socket>,
    flags: SocketFlags,
    mut take: impl FnMut(OwnedFd),
) -> io::Result<()> {
    let Some(listening) = socket.as_ref().filter(|socket| socket.set_nonblocking(true).is_ok()) else {
        *socket = None;
        return Ok(());
    };
    for _ in 0..MOST {
        match accept_with(listening, flags) {
            Ok(connection) => take(connection),
            Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                return Err(error.into());
            }
            Err(Errno::AGAIN | Errno::INVAL | Errno::BADF | Errno::NOTSOCK) => break,
            // The fate of one connection (accept(2), "Error handling"), or a signal.
            Err(_) => {}
        }
    }
    *socket = None;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn everybody_who_waits_is_taken_and_nobody_can_come_any_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peers: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
        let (mut socket, mut taken) = (Some(Socket::from(listener)), Vec::new());
        empty_and_close(&mut socket, SocketFlags::CLOEXEC, |connection| taken.push(connection)).unwrap();
        assert!(socket.is_none() && taken.len() == peers.len());
        assert!(TcpStream::connect(address).is_err());
        drop(taken);
        for mut peer in peers {
            assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "an orderly end, no reset");
        }
        empty_and_close(&mut socket, SocketFlags::CLOEXEC, |_| unreachable!("done before")).unwrap();
    }
}
