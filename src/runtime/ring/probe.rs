//! Functional self-tests: each sets up a ring, does one thing over loopback and looks at what came out, in bounded time.
//!
//! A kernel that knows an operation may still do it wrongly, and one without its number in a list may do it well: so
//! nothing here asks for a version.

use std::io::{self, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use socket2::SockRef;

use super::lent::{GROUP, Lent};
use super::permits;
use super::recv::recv_once;
use super::setup::{Beginning, build_sized};
use crate::runtime::buf::{BUF_SIZE, Pool};
use crate::runtime::pipes::Pipes;

/// A self-test takes no longer, whatever the kernel does. All of it happens within this machine, and in a few
/// microseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// The queues of a trial's ring.
const SUBMISSIONS: u32 = 8;
const COMPLETIONS: u32 = 64;
/// The bufs that the kernel may write to.
const BUFS: u16 = 8;
/// What a message from another ring says, and how it is known.
const NUMBER: i32 = 4711;
const MESSAGE: u64 = u64::MAX;

/// Receives one message into a buf that the kernel chooses.
///
/// # Errors
/// What the kernel says, or what came out instead.
pub(super) fn receive() -> io::Result<()> {
    let mut trial = Trial::new(Beginning::Enabled)?;
    let (mut near, far) = pair()?;
    near.write_all(b"ring")?;
    trial.push(recv_once(Fd(far.as_raw_fd()), BUF_SIZE as u32, false));
    let (bytes, _) = trial.received()?;
    expect(bytes == b"ring", "other bytes came than were sent")
}

/// Receives two messages with one operation.
///
/// # Errors
/// As [`receive`].
pub(super) fn receive_twice() -> io::Result<()> {
    let mut trial = Trial::new(Beginning::Enabled)?;
    let (mut near, far) = pair()?;
    trial.push(opcode::RecvMulti::new(Fd(far.as_raw_fd()), GROUP).build());
    for message in [b"first", b"later"] {
        trial.submit()?;
        near.write_all(message)?;
        let (bytes, is_more) = trial.received()?;
        expect(bytes == message, "other bytes came than were sent")?;
        expect(is_more, "it ended after one message")?;
    }
    Ok(())
}

/// Receives messages that are larger than several bufs, each with one operation, until the ring of bufs has come round:
/// some kernels fill bufs out of order.
///
/// # Errors
/// As [`receive`].
pub(super) fn receive_bundles() -> io::Result<()> {
    let mut trial = Trial::new(Beginning::Enabled)?;
    let (mut near, far) = pair()?;
    let mut has_bundled = false;
    for round in 0..4 {
        let sent: Vec<u8> = (0..3 * BUF_SIZE + 100).map(|place| (place / 7 + round * 31) as u8).collect();
        near.write_all(&sent)?;
        let mut got = Vec::new();
        while got.len() < sent.len() {
            trial.lent.refill();
            trial.push(recv_once(Fd(far.as_raw_fd()), u32::from(BUFS) * BUF_SIZE as u32, true));
            let (bytes, _) = trial.received()?;
            has_bundled |= bytes.len() > BUF_SIZE;
            got.extend(bytes);
        }
        expect(got == sent, "the bytes came in another order")?;
    }
    expect(has_bundled, "each filled one buf only")
}

/// Accepts two connections with one operation, and looks at their descriptors.
///
/// # Errors
/// As [`receive`].
pub(super) fn accept_twice() -> io::Result<()> {
    let mut trial = Trial::new(Beginning::Enabled)?;
    let (listener, address) = listening()?;
    trial.push(opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build());
    for _ in 0..2 {
        trial.submit()?;
        let near = TcpStream::connect(address)?;
        let completion = trial.next()?;
        drop(adopt(result(&completion)?, near.local_addr()?)?);
        expect(cqueue::more(completion.flags()), "it ended after one connection")?;
    }
    Ok(())
}

/// Accepts into a table of descriptors that only the ring knows, and receives from there.
///
/// # Errors
/// As [`receive`].
pub(super) fn accept_directly() -> io::Result<()> {
    const SLOT: u32 = 1;
    let mut trial = Trial::new(Beginning::Enabled)?;
    trial.ring.submitter().register_files_sparse(2)?;
    let (listener, address) = listening()?;
    let mut near = TcpStream::connect(address)?;
    let nobody = std::ptr::null_mut();
    let slot = DestinationSlot::try_from_slot_target(SLOT).ok();
    trial.push(opcode::Accept::new(Fd(listener.as_raw_fd()), nobody, nobody.cast()).file_index(slot).build());
    result(&trial.next()?)?;
    near.write_all(b"ring")?;
    let recv = opcode::Recv::new(Fixed(SLOT), std::ptr::null_mut(), BUF_SIZE as u32).buf_group(GROUP);
    trial.push(recv.build().flags(squeue::Flags::BUFFER_SELECT));
    let (bytes, _) = trial.received()?;
    expect(bytes == b"ring", "other bytes came than were sent")
}

/// Sends a number to a ring of the same thread, and to one of another thread that waits for it.
///
/// # Errors
/// As [`receive`].
pub(super) fn send_to_another_ring() -> io::Result<()> {
    let mut here = Trial::new(Beginning::Enabled)?;
    let mut neighbour = Trial::new(Beginning::Enabled)?;
    here.tell(neighbour.ring.as_raw_fd())?;
    neighbour.hear()?;
    thread::scope(|scope| {
        let (names, name) = mpsc::channel();
        let listening = scope.spawn(move || {
            let mut there = Trial::new(Beginning::Enabled)?;
            // The other side waits for it and no longer.
            let _ = names.send(there.ring.as_raw_fd());
            there.hear()
        });
        let told = name.recv_timeout(PATIENCE).map_err(io::Error::other).and_then(|ring| here.tell(ring));
        let heard = listening.join().unwrap_or_else(|_| Err(io::Error::other("the other thread panicked")));
        told.and(heard)
    })
}

/// Restricts a ring to the list of what is used, and tries something on the list and something else.
///
/// # Errors
/// As [`receive`].
pub(super) fn refuse_what_is_not_listed() -> io::Result<()> {
    let mut trial = Trial::new(Beginning::Disabled)?;
    permits::restrict(&trial.ring)?;
    let (mut near, far) = pair()?;
    near.write_all(b"ring")?;
    trial.push(recv_once(Fd(far.as_raw_fd()), BUF_SIZE as u32, false));
    let (bytes, _) = trial.received()?;
    expect(bytes == b"ring", "what is listed does not work")?;
    trial.push(opcode::Nop::new().build());
    let refused = trial.next()?.result();
    expect(refused == -libc::EACCES, "an operation that is not listed is done")?;
    let registered =
        trial.ring.submitter().register_files_sparse(1).err().and_then(|error| error.raw_os_error());
    expect(registered == Some(libc::EACCES), "a registration that is not listed is done")
}

/// Asks for a pipe of the size that splicing needs.
///
/// # Errors
/// What the kernel says (`fs.pipe-user-pages-soft`, `fs.pipe-max-size`).
pub(super) fn open_a_big_pipe() -> io::Result<()> {
    Pipes::new(1).take().map(drop)
}

/// Splices from one pipe into another.
///
/// # Errors
/// What the kernel says, or a seccomp profile in its place.
pub(super) fn splice_between_pipes() -> io::Result<()> {
    let ((from, mut near), (mut far, to)) = (io::pipe()?, io::pipe()?);
    near.write_all(b"ring")?;
    let count = rustix::pipe::splice(&from, None, &to, None, 4, rustix::pipe::SpliceFlags::NONBLOCK)?;
    let mut bytes = [0; 4];
    far.read_exact(&mut bytes[..count])?;
    if bytes == *b"ring" { Ok(()) } else { Err(io::Error::other("other bytes came out than went in")) }
}

/// A ring to try things on, and a moment by which everything has to have come out.
struct Trial {
    // The ring comes first: it is dropped before the bufs.
    ring: IoUring,
    lent: mem::ManuallyDrop<Lent>,
    in_flight: usize,
    by: Instant,
}

impl Trial {
    fn new(beginning: Beginning) -> io::Result<Self> {
        let ring = build_sized(beginning, SUBMISSIONS, COMPLETIONS)?;
        let lent = Lent::new(&ring, &Pool::new(usize::from(BUFS)), BUFS)?;
        let lent = mem::ManuallyDrop::new(lent);
        Ok(Self { ring, lent, in_flight: 0, by: Instant::now() + PATIENCE })
    }

    /// Queues an operation that points to no memory: bytes go into lent bufs.
    #[expect(unsafe_code, reason = "the kernel reads and writes memory that an entry points to")]
    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: the entries of this file point to no memory; the kernel takes bufs from the window, which is kept until
        // nothing is in flight.
        if unsafe { self.ring.submission().push(&entry) }.is_ok() {
            self.in_flight += 1;
        }
    }

    fn submit(&self) -> io::Result<()> {
        self.ring.submit().map(drop)
    }

    /// The next completion.
    fn next(&mut self) -> io::Result<cqueue::Entry> {
        loop {
            let found = self.ring.completion().next();
            if let Some(completion) = found {
                let is_last = !cqueue::more(completion.flags()) && completion.user_data() != MESSAGE;
                self.in_flight -= usize::from(is_last);
                return Ok(completion);
            }
            let left = self.by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came out"));
            }
            let span = Timespec::from(left);
            match self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&span)) {
                Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {
                    return Err(error);
                }
                _ => {}
            }
        }
    }

    /// The bytes of the next completion, and whether the operation goes on.
    fn received(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let completion = self.next()?;
        let len = result(&completion)?;
        let first = cqueue::buffer_select(completion.flags());
        let mut bytes = Vec::new();
        if let Some(first) = first {
            self.lent.adopt(first, len as usize, |buf| bytes.extend_from_slice(&buf));
        }
        expect(len > 0 && bytes.len() == len as usize, "no buf was chosen")?;
        Ok((bytes, cqueue::more(completion.flags())))
    }

    /// Sends the number to another ring.
    fn tell(&mut self, ring: RawFd) -> io::Result<()> {
        self.push(opcode::MsgRingData::new(Fd(ring), NUMBER, MESSAGE, None).build());
        result(&self.next()?).map(drop)
    }

    /// Waits for the number.
    fn hear(&mut self) -> io::Result<()> {
        let completion = self.next()?;
        let is_it = completion.user_data() == MESSAGE && completion.result() == NUMBER;
        expect(is_it, "another number came than was sent")
    }
}

impl Drop for Trial {
    /// Takes everything back; if the kernel does not let go, it may still write to the bufs, and they are kept for ever.
    fn drop(&mut self) {
        if self.in_flight > 0 {
            self.by = Instant::now() + PATIENCE;
            self.push(opcode::AsyncCancel2::new(CancelBuilder::any()).build());
            while self.in_flight > 0 && self.next().is_ok() {}
        }
        if self.in_flight == 0 {
            #[expect(unsafe_code, reason = "the bufs are let go of only here")]
            // SAFETY: it is dropped once, and not used after that.
            unsafe {
                mem::ManuallyDrop::drop(&mut self.lent);
            }
        }
    }
}

/// A connection over loopback.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let (listener, address) = listening()?;
    let near = TcpStream::connect(address)?;
    near.set_nodelay(true)?;
    Ok((near, listener.accept()?.0))
}

fn listening() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn result(completion: &cqueue::Entry) -> io::Result<i32> {
    match completion.result() {
        result @ 0.. => Ok(result),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

fn expect(is_so: bool, otherwise: &'static str) -> io::Result<()> {
    if is_so { Ok(()) } else { Err(io::Error::other(otherwise)) }
}

/// Takes over a number that the kernel handed out, if it is the connection with this peer.
#[expect(unsafe_code, reason = "the kernel hands out a bare number, and whether it is good is asked here")]
fn adopt(descriptor: RawFd, peer: SocketAddr) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on any number is harmless.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and whoever it belongs to, it is only asked for its peer here.
    let found = SockRef::from(&unsafe { BorrowedFd::borrow_raw(descriptor) }).peer_addr()?;
    expect(found.as_socket() == Some(peer), "the descriptor is not the connection's")?;
    // SAFETY: it is the connection that was accepted for us just now, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_ends_though_nothing_comes_out() {
        let Ok(mut trial) = Trial::new(Beginning::Enabled) else {
            return writeln!(io::stderr(), "skipped: no ring can be had").unwrap();
        };
        let (_near, far) = pair().unwrap();
        trial.push(recv_once(Fd(far.as_raw_fd()), BUF_SIZE as u32, false));
        trial.by = Instant::now() + Duration::from_millis(50);
        assert_eq!(trial.received().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(trial.in_flight, 1, "it is taken back when the trial is dropped");
    }
}
