//! The connections of one loop, by number: whose deadline it is that was missed.

use std::rc::Rc;
use std::time::Instant;

use super::conn::Conn;
use super::engine::Engine;
use crate::runtime::executor::{Executor, TaskId};
use crate::runtime::timers::{Deadline, Timers};

/// A connection's place among [`Conns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnId(u32);

/// Whose deadline it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// A wait for bytes.
    Recv(ConnId),
    /// A wait for a send or a connect.
    Send(ConnId),
    /// A task that sleeps.
    Task(TaskId),
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// From the peer.
    Recv,
    /// To the peer.
    Send,
}

/// All connections that have a stream, and the moments that are waited for.
pub(super) struct Conns<E: Engine> {
    slots: Vec<Slot<E>>,
    free: Vec<u32>,
    timers: Timers<Due>,
}

/// A connection, or a place for one. Its deadlines stay: what they left in the queue serves the next connection.
struct Slot<E: Engine> {
    conn: Option<Rc<Conn<E>>>,
    recv: Deadline,
    send: Deadline,
}

impl<E: Engine> Default for Conns<E> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), timers: Timers::default() }
    }
}

impl<E: Engine> Conns<E> {
    /// Takes in a connection.
    pub(super) fn insert(&mut self, make: impl FnOnce(ConnId) -> Rc<Conn<E>>) -> Rc<Conn<E>> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { conn: None, recv: Deadline::default(), send: Deadline::default() });
            self.slots.len() as u32 - 1
        });
        let conn = make(ConnId(index));
        self.slots[index as usize].conn = Some(conn.clone());
        conn
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, id: ConnId) {
        let slot = &mut self.slots[id.0 as usize];
        slot.recv.clear();
        slot.send.clear();
        slot.conn = None;
        self.free.push(id.0);
    }

    /// Sets the deadline of a wait.
    pub(super) fn set_deadline(&mut self, id: ConnId, side: Side, by: Instant) {
        let slot = &mut self.slots[id.0 as usize];
        match side {
            Side::Recv => slot.recv.set(by, &mut self.timers, Due::Recv(id)),
            Side::Send => slot.send.set(by, &mut self.timers, Due::Send(id)),
        }
    }

    /// Nobody waits any more.
    pub(super) fn clear_deadline(&mut self, id: ConnId, side: Side) {
        self.slots[id.0 as usize].deadline(side).clear();
    }

    /// Whether somebody waits.
    pub(super) fn is_waited_for(&mut self, id: ConnId, side: Side) -> bool {
        self.slots[id.0 as usize].deadline(side).is_set()
    }

    /// Wakes a task at a moment.
    pub(super) fn wake_at(&mut self, at: Instant, task: TaskId) {
        self.timers.push(at, Due::Task(task));
    }

    /// The next moment at which something may have to be done.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Ends the waits whose deadlines are missed.
    pub(super) fn fire(&mut self, now: Instant, executor: &Executor) {
        while let Some((at, due)) = self.timers.pop_due(now) {
            let (id, side) = match due {
                Due::Task(task) => {
                    executor.wake(task);
                    continue;
                }
                Due::Recv(id) => (id, Side::Recv),
                Due::Send(id) => (id, Side::Send),
            };
            let slot = &mut self.slots[id.0 as usize];
            let is_missed = slot.deadline(side).is_missed(at, now, &mut self.timers, due);
            if let Some(conn) = slot.conn.as_ref().filter(|_| is_missed) {
                executor_wake(executor, conn.miss(side));
            }
        }
    }

    /// Whoever waits for bytes.
    pub(super) fn recv_waiters(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.slots.iter().filter_map(|slot| slot.conn.as_ref()?.recv.borrow_mut().take_waiter())
    }
}

impl<E: Engine> Slot<E> {
    fn deadline(&mut self, side: Side) -> &mut Deadline {
        match side {
            Side::Recv => &mut self.recv,
            Side::Send => &mut self.send,
        }
    }
}

fn executor_wake(executor: &Executor, task: Option<TaskId>) {
    if let Some(task) = task {
        executor.wake(task);
    }
}
