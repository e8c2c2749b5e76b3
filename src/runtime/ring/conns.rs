//! The connections of one loop: slots that are used again only when the kernel has let go of them.

use std::ops::{Index, IndexMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::ops::{GENERATION_MASK, Key, Kind, Ticket};
use super::recv::RecvSide;
use super::send::SendSide;
use crate::runtime::executor::TaskId;
use crate::runtime::timers::Deadline;

/// A connection's place among [`Conns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnId(pub(super) u32);

/// A connection, or a slot free for one. A slot keeps its deadlines and the memory of its queue.
#[derive(Default)]
pub(super) struct Conn {
    pub(super) recv: RecvSide,
    pub(super) send: SendSide,
    /// Absent once it is closed.
    socket: Option<OwnedFd>,
    generation: u32,
    /// Operations whose last completion has not come.
    operations: u32,
    /// Cancellations whose completion has not come.
    cancellations: u32,
    life: Life,
    /// All operations are being cancelled, to close the connection.
    is_closing: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Life {
    /// A slot without a connection.
    #[default]
    Free,
    /// A stream owns it.
    Owned,
    /// A stream owns it, and the connection was aborted.
    Cut,
    /// Its stream is gone: it goes with the last completion.
    Orphan,
}

/// All connections of a loop.
#[derive(Default)]
pub(super) struct Conns {
    slots: Vec<Conn>,
    free: Vec<u32>,
}

impl Conns {
    /// Takes in a socket.
    pub(super) fn insert(&mut self, socket: OwnedFd) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Conn::default());
            self.slots.len() as u32 - 1
        });
        let conn = &mut self.slots[index as usize];
        conn.life = Life::Owned;
        conn.is_closing = false;
        conn.socket = Some(socket);
        conn.recv.restart();
        conn.send.restart();
        ConnId(index)
    }

    /// Whoever waits for bytes.
    pub(super) fn recv_waiters(&mut self) -> impl Iterator<Item = TaskId> + '_ {
        self.slots.iter_mut().filter_map(|conn| conn.recv.take_waiter())
    }

    /// The connection that a completion belongs to.
    pub(super) fn find(&self, key: Key) -> Option<ConnId> {
        let conn = self.slots.get(key.index as usize)?;
        (conn.generation == key.generation).then_some(ConnId(key.index))
    }

    /// The deadline of a connection's receiving side.
    pub(super) fn recv_deadline(&mut self, id: ConnId) -> &mut Deadline {
        &mut self[id].recv.deadline
    }

    /// The deadline of a connection's sending side.
    pub(super) fn send_deadline(&mut self, id: ConnId) -> &mut Deadline {
        &mut self[id].send.deadline
    }

    /// The ticket of an operation, which is from now on in flight.
    pub(super) fn issue(&mut self, id: ConnId, kind: Kind) -> Ticket {
        *self[id].in_flight(kind) += 1;
        self.ticket(id, kind)
    }

    /// The ticket of an operation that is in flight already.
    pub(super) fn ticket(&self, id: ConnId, kind: Kind) -> Ticket {
        Ticket { kind, key: Key { index: id.0, generation: self[id].generation } }
    }

    /// Notes the last completion of an operation.
    pub(super) fn complete(&mut self, id: ConnId, kind: Kind) {
        *self[id].in_flight(kind) -= 1;
    }

    /// Closes the connection, and frees its slot, if nobody and nothing needs it any more.
    pub(super) fn settle(&mut self, id: ConnId) {
        let conn = &mut self[id];
        if !conn.is_leaving() || conn.operations + conn.cancellations > 0 {
            return;
        }
        conn.socket = None;
        if conn.life == Life::Orphan {
            conn.life = Life::Free;
            conn.generation = (conn.generation + 1) & GENERATION_MASK;
            self.free.push(id.0);
        }
    }
}

impl Conn {
    /// The descriptor; none that exists once the connection is closed.
    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// The socket, until it is closed.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(std::os::fd::AsFd::as_fd)
    }

    /// Its stream is gone.
    pub(super) fn orphan(&mut self) {
        self.life = Life::Orphan;
        self.recv.abandon();
        self.send.abandon();
    }

    /// Its stream wants it cut.
    pub(super) fn cut(&mut self) {
        self.life = Life::Cut;
    }

    /// Whether the connection was aborted.
    pub(super) fn is_cut(&self) -> bool {
        self.life == Life::Cut
    }

    /// Whether all operations have to be cancelled now, to close the connection; that is then under way.
    pub(super) fn begin_close(&mut self) -> bool {
        self.is_leaving() && self.operations > 0 && !std::mem::replace(&mut self.is_closing, true)
    }

    /// The cancellation of all operations has come back.
    pub(super) fn end_close(&mut self) {
        self.is_closing = false;
    }

    /// Whether it is to be closed.
    fn is_leaving(&self) -> bool {
        matches!(self.life, Life::Cut | Life::Orphan)
    }

    fn in_flight(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Cancel | Kind::Close => &mut self.cancellations,
            _ => &mut self.operations,
        }
    }
}

impl Index<ConnId> for Conns {
    type Output = Conn;

    fn index(&self, id: ConnId) -> &Conn {
        &self.slots[id.0 as usize]
    }
}

impl IndexMut<ConnId> for Conns {
    fn index_mut(&mut self, id: ConnId) -> &mut Conn {
        &mut self.slots[id.0 as usize]
    }
}
