//! One end of a simulated connection, without waiting: what a kernel would keep for a socket.

use std::cell::{Cell, RefMut};
use std::fmt;
use std::io;
use std::rc::Rc;

use super::faults::{Ending, Way};
use super::network::Link;
use super::pipe::{Look, Pipe, Receiver};
use super::world::Core;

/// One end of a connection. A test may work it by hand, from outside of every task: nothing here waits.
///
/// Dropping it closes it: in order, or by reset if bytes have arrived that were not read.
pub struct Socket {
    pub(super) core: Rc<Core>,
    link: Rc<Link>,
    /// The direction that it sends in.
    way: Way,
    is_shut: Cell<bool>,
    is_aborted: Cell<bool>,
}

/// What is there to be read by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// More may come.
    Open,
    /// The other side has ended, in this way.
    Ended(Ending),
}

impl Socket {
    pub(super) fn new(core: Rc<Core>, link: Rc<Link>, way: Way) -> Self {
        Self { core, link, way, is_shut: Cell::default(), is_aborted: Cell::default() }
    }

    pub(super) fn outbound(&self) -> RefMut<'_, Pipe> {
        self.link.pipe(self.way)
    }

    pub(super) fn inbound(&self) -> RefMut<'_, Pipe> {
        self.link.pipe(match self.way {
            Way::Forth => Way::Back,
            Way::Back => Way::Forth,
        })
    }

    /// What a reader finds now.
    ///
    /// # Errors
    /// `ConnectionAborted` after [`Socket::reset`].
    pub(super) fn look(&self) -> io::Result<Look> {
        if self.is_aborted.get() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(self.inbound().look(self.core.now()))
    }

    /// Reads what has arrived, at most what there is room for, and says how many bytes. Never waits.
    pub(super) fn read(&self, into: &mut [u8]) -> usize {
        let mut room = into.len();
        if self.core.random.chance(self.core.faults.short_read) {
            room = 1 + self.core.random.below(room.min(64));
        }
        let mut inbound = self.inbound();
        let count = inbound.take(self.core.now(), &mut into[..room]);
        self.core.wake(inbound.send_task.take());
        count
    }

    /// Reads all that has arrived.
    ///
    /// # Errors
    /// `ConnectionAborted` after [`Socket::reset`].
    pub fn read_all(&self, into: &mut Vec<u8>) -> io::Result<State> {
        let mut piece = [0; 4096];
        loop {
            match self.look()? {
                Look::Bytes => {
                    let count = self.read(&mut piece);
                    into.extend_from_slice(&piece[..count]);
                }
                Look::End(ending) => return Ok(State::Ended(ending)),
                Look::Later(_) | Look::Nothing => return Ok(State::Open),
            }
        }
    }

    /// Sends as many bytes as there is room for, and says how many. Never waits.
    ///
    /// # Errors
    /// `BrokenPipe` after [`Socket::finish`], `ConnectionAborted` after [`Socket::reset`], `ConnectionReset` after the
    /// other side has reset it, or was sent more after it had closed.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let (random, faults) = (&self.core.random, &self.core.faults);
        if self.is_aborted.get() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if random.chance(faults.reset) {
            self.strike();
        }
        let mut outbound = self.outbound();
        if self.is_shut.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match outbound.receiver {
            Receiver::Open => {}
            Receiver::Closed => {
                outbound.receiver = Receiver::Refusing;
                return Ok(bytes.len());
            }
            Receiver::Refusing => return Err(io::ErrorKind::ConnectionReset.into()),
        }
        let count = bytes.len().min(faults.socket_buf.saturating_sub(outbound.queued()));
        let arrives = self.core.arrival();
        if count == 0 {
            return Ok(0);
        }
        if random.chance(faults.early_end) {
            outbound.put(&bytes[..random.below(count)], arrives);
            outbound.finish(Ending::Fin, arrives);
            outbound.receiver = Receiver::Closed;
        } else {
            outbound.put(&bytes[..count], arrives);
        }
        self.core.wake(outbound.recv_task.take());
        Ok(count)
    }

    /// Sends FIN.
    pub fn finish(&self) {
        self.is_shut.set(true);
        let arrives = self.core.arrival();
        let mut outbound = self.outbound();
        outbound.finish(Ending::Fin, arrives);
        self.core.wake(outbound.recv_task.take());
    }

    /// Sends RST, and ends both directions here.
    pub fn reset(&self) {
        if self.is_aborted.replace(true) {
            return;
        }
        self.break_off(&mut self.outbound());
        let mut inbound = self.inbound();
        inbound.receiver = Receiver::Refusing;
        inbound.erase();
        for task in [inbound.recv_task.take(), inbound.send_task.take()] {
            self.core.wake(task);
        }
    }

    /// The network resets the connection, for both sides.
    fn strike(&self) {
        self.break_off(&mut self.outbound());
        self.break_off(&mut self.inbound());
    }

    /// Ends one direction by reset: its sender finds it refusing, its reader finds the reset behind what has arrived.
    fn break_off(&self, pipe: &mut Pipe) {
        if self.core.random.chance(self.core.faults.reset_erases) {
            pipe.erase();
        }
        pipe.finish(Ending::Rst, self.core.now());
        pipe.receiver = Receiver::Refusing;
        for task in [pipe.recv_task.take(), pipe.send_task.take()] {
            self.core.wake(task);
        }
    }

    /// Open on both sides, with nothing arrived that was not read.
    pub(super) fn is_quiet(&self) -> bool {
        let is_open = !self.is_shut.get() && self.outbound().receiver == Receiver::Open;
        is_open && matches!(self.look(), Ok(Look::Nothing | Look::Later(_)))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.link.open_ends.set(self.link.open_ends.get() - 1);
        if self.is_aborted.get() {
            return;
        }
        if matches!(self.look(), Ok(Look::Bytes)) {
            return self.reset();
        }
        self.finish();
        let mut inbound = self.inbound();
        if inbound.receiver == Receiver::Open {
            inbound.receiver = Receiver::Closed;
        }
        inbound.erase();
        self.core.wake(inbound.send_task.take());
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("way", &self.way).finish_non_exhaustive()
    }
}
