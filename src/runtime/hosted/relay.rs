//! Moving a body from one connection to another: recv and send in turns, splice(2) through a pipe for long ones.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::conn::errno;
use super::conns::Side;
use super::engine::{Bufs, Engine};
use super::send::Order;
use super::stream::HostedStream;
use crate::runtime::buf::BUF_SIZE;
use crate::runtime::executor::yield_now;
use crate::runtime::pipes::{Pipe, Pumped, move_bytes, with_unblocked};
use crate::runtime::ring::can_splice;
use crate::runtime::{Buf, RelayEnd, Relayed, Stream};

/// From so many bytes to go on, splicing pays.
const SPLICE_FROM: u64 = 256 * 1024;
/// No body is as long as this: the limit only means that there is none.
const UNLIMITED: u64 = 1 << 60;

/// Moves up to `limit` bytes.
pub(super) async fn relay<E: Engine>(
    from: &HostedStream<E>,
    to: &HostedStream<E>,
    limit: u64,
    idle: Duration,
) -> Relayed {
    let mut relay = Relay { from, to, left: limit, bytes: 0, idle, streak: 0, can_splice: can_splice() };
    let end = loop {
        if relay.left == 0 {
            break RelayEnd::Limit;
        }
        let step = if relay.is_worth_splicing() { relay.splice().await } else { relay.copy().await };
        if let Err(end) = step {
            break end;
        }
    };
    Relayed { bytes: relay.bytes, end }
}

/// A relay that runs.
struct Relay<'a, E: Engine> {
    from: &'a HostedStream<E>,
    to: &'a HostedStream<E>,
    /// Bytes to go.
    left: u64,
    /// Bytes that the other socket has taken.
    bytes: u64,
    /// The longest wait between two moves.
    idle: Duration,
    /// Bytes that came in full bufs, one behind the other.
    streak: u64,
    can_splice: bool,
}

impl<E: Engine> Relay<'_, E> {
    /// A long body is spliced from the start, a flow without known end while it flows fast. Nothing may be queued, and no
    /// recv in flight: its bytes come first.
    fn is_worth_splicing(&self) -> bool {
        let is_long = if self.left < UNLIMITED { self.left } else { self.streak };
        self.can_splice && is_long >= SPLICE_FROM && !self.from.conn.recv.borrow().has_bytes_coming()
    }

    fn by(&self) -> std::time::Instant {
        self.from.conn.core.now.get() + self.idle
    }

    /// Sends what the source has brought, or waits until it brings something.
    async fn copy(&mut self) -> Result<(), RelayEnd> {
        let Some(mut buf) = self.from.recv(self.by()).await.map_err(RelayEnd::RecvFailed)? else {
            return Err(RelayEnd::Eof);
        };
        self.streak = if buf.len() == BUF_SIZE { self.streak + buf.len() as u64 } else { 0 };
        self.from.unrecv(buf.split_off(usize::try_from(self.left).unwrap_or(usize::MAX)));
        self.forward(buf).await.map_err(RelayEnd::SendFailed)
    }

    /// Sends a buf, counting every byte that the kernel takes.
    async fn forward(&mut self, buf: Buf) -> io::Result<()> {
        let mut bufs = Bufs::new();
        bufs.push(buf);
        while !bufs.is_empty() {
            if let Err(error) = self.wait_for_room().await {
                bufs.into_iter().for_each(|rest| self.from.unrecv(rest));
                return Err(error);
            }
            let _wait = self.to.wait(Side::Send, self.by());
            self.to.conn.order_send(Order::Send(std::mem::take(&mut bufs)));
            let (count, rest) = poll_fn(|_| self.to.conn.poll_sent()).await?;
            self.bytes += count as u64;
            self.left -= count as u64;
            bufs = rest;
        }
        Ok(())
    }

    /// A send that finds room is over at once, so that the bytes are counted when its deadline is missed: what waits
    /// for room is not the send, which could not be taken back.
    async fn wait_for_room(&self) -> io::Result<()> {
        {
            let _wait = self.to.wait(Side::Send, self.by());
            // The send of a future that was dropped may still be going on.
            poll_fn(|_| self.to.conn.poll_free()).await?;
        }
        while !has_room(&self.to.conn.socket)? {
            self.wait_for_sink().await?;
        }
        Ok(())
    }

    /// Splices as long as it pays.
    async fn splice(&mut self) -> Result<(), RelayEnd> {
        self.wait_for_room().await.map_err(RelayEnd::SendFailed)?;
        let mut pipe = None;
        let end = self.pump_all(&mut pipe).await;
        self.put(&mut pipe);
        end
    }

    async fn pump_all(&mut self, pipe: &mut Option<Pipe>) -> Result<(), RelayEnd> {
        while self.left > 0 {
            let before = self.bytes;
            if pipe.is_none() {
                *pipe = self.from.conn.core.pipes.borrow_mut().take().ok();
            }
            let Some(through) = pipe.as_mut() else {
                self.can_splice = false;
                return Ok(());
            };
            match self.pump(through)? {
                Pumped::All => {}
                Pumped::Share => yield_now(&self.from.conn.core.executor).await,
                Pumped::Sink => self.wait_for_sink().await.map_err(RelayEnd::SendFailed)?,
                Pumped::Source => {
                    self.put(pipe);
                    if self.left >= UNLIMITED && self.bytes - before < SPLICE_FROM / 4 {
                        self.streak = 0;
                        return Ok(());
                    }
                    self.wait_for_source().await.map_err(RelayEnd::RecvFailed)?;
                }
            }
        }
        Ok(())
    }

    /// Splices until one side has to be waited for, or the share of a turn is used up.
    fn pump(&mut self, pipe: &mut Pipe) -> Result<Pumped, RelayEnd> {
        let (from, to) = (&self.from.conn, &self.to.conn);
        // A connection that was cut is a socket without a connection, on which splice would tell of nothing.
        to.send.borrow().state().map_err(RelayEnd::SendFailed)?;
        from.recv.borrow_mut().note_splice();
        let mut bytes = 0;
        let sockets = [from.socket.as_fd(), to.socket.as_fd()];
        let mut act = || move_bytes(|| from.recv.borrow().check(), sockets, pipe, self.left, &mut bytes);
        let next = if E::IS_NONBLOCKING { act() } else { with_unblocked(sockets, act) };
        self.bytes += bytes;
        self.left -= bytes;
        next.map_err(|end| self.note(end))
    }

    /// The connections remember how a splice has found them, for whoever asks next. What looked like the orderly end may
    /// turn out to be none.
    fn note(&self, end: RelayEnd) -> RelayEnd {
        match &end {
            RelayEnd::Eof => {
                let mut side = self.from.conn.recv.borrow_mut();
                side.note_eof();
                if let Err(error) = side.check() {
                    return RelayEnd::RecvFailed(error);
                }
            }
            // Not what was decided on this side, which has no number.
            RelayEnd::RecvFailed(error) if error.raw_os_error().is_some() => {
                self.from.conn.recv.borrow_mut().note_error(errno(error));
            }
            RelayEnd::SendFailed(error) => self.to.conn.note_send_error(errno(error)),
            RelayEnd::RecvFailed(_) | RelayEnd::Limit => {}
        }
        end
    }

    async fn wait_for_source(&self) -> io::Result<()> {
        let _wait = self.from.wait(Side::Recv, self.by());
        poll_fn(|_| self.from.conn.poll_bytes()).await
    }

    async fn wait_for_sink(&self) -> io::Result<()> {
        let _wait = self.to.wait(Side::Send, self.by());
        self.to.conn.order_send(Order::Wait);
        poll_fn(|_| self.to.conn.poll_sent()).await.map(drop)
    }

    fn put(&self, pipe: &mut Option<Pipe>) {
        if let Some(pipe) = pipe.take() {
            self.from.conn.core.pipes.borrow_mut().put(pipe);
        }
    }
}

fn has_room(socket: &impl AsFd) -> io::Result<bool> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&now)))? > 0)
}
