//! A connection: what its stream and its two pumps share.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{Shutdown, connect_unspec, shutdown, sockopt};

use super::Core;
use super::conns::{ConnId, Side};
use super::engine::Engine;
use super::recv::{self, RecvSide};
use super::send::{self, SendSide};
use crate::runtime::executor::TaskId;

/// A connection. The descriptor is closed when the last of the three lets go of it, so never under an operation.
pub(super) struct Conn<E: Engine> {
    pub(super) core: Rc<Core<E>>,
    pub(super) id: ConnId,
    pub(super) socket: E::Socket,
    pub(super) recv: RefCell<RecvSide>,
    pub(super) send: RefCell<SendSide>,
    is_cut: Cell<bool>,
}

impl<E: Engine> Conn<E> {
    /// Takes in a socket, and starts its pumps.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) fn start(core: &Rc<Core<E>>, socket: OwnedFd) -> io::Result<Rc<Self>> {
        let socket = E::attach(socket)?;
        let make = |id| {
            Rc::new(Self {
                core: core.clone(),
                id,
                socket,
                recv: RefCell::default(),
                send: RefCell::default(),
                is_cut: Cell::new(false),
            })
        };
        let conn = core.conns.borrow_mut().insert(make);
        core.start_pump(recv::pump(conn.clone()));
        core.start_pump(send::pump(conn.clone()));
        Ok(conn)
    }

    /// Wakes a task that waits for one of the sides.
    pub(super) fn wake(&self, task: Option<TaskId>) {
        match task {
            Some(task) => self.core.wake(task),
            None => self.core.wake_parked(),
        }
    }

    /// A deadline is missed: that direction is dead. Returns who waits.
    pub(super) fn miss(&self, side: Side) -> Option<TaskId> {
        match side {
            Side::Recv => self.recv.borrow_mut().miss(),
            Side::Send => self.send.borrow_mut().miss(),
        }
    }

    /// Whether the connection was aborted.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Sends RST, and ends everything that is pending.
    pub(super) fn cut(&self) {
        if self.is_cut.replace(true) {
            return;
        }
        // tcp(7): AF_UNSPEC takes the connection apart at once, and what is pending in the kernel ends with an error.
        if connect_unspec(&self.socket).is_err() {
            // Then closing sends RST, unless there is no connection; neither can fail on a TCP socket.
            let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
            let _ = shutdown(&self.socket, Shutdown::Read);
        }
        let waiting = [
            self.recv.borrow_mut().fail(Errno::CONNABORTED),
            self.send.borrow_mut().fail(Errno::CONNABORTED),
        ];
        waiting.into_iter().for_each(|task| self.wake(task));
    }

    /// The stream is gone: ends what is pending, and then the pumps. What was sent before is still delivered.
    pub(super) fn leave(&self) {
        self.core.conns.borrow_mut().remove(self.id);
        let is_receiving = self.end_recv();
        let (is_sending, _) = self.send.borrow_mut().orders.close();
        if is_receiving || is_sending {
            // It fails where the peer was faster, and then nothing is pending.
            let _ = shutdown(&self.socket, Shutdown::Both);
        }
    }
}

/// The error's number, as far as it has one.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Errors that say nothing of the connection: the operation is ordered again.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(errno(error), Errno::INTR | Errno::AGAIN)
}
