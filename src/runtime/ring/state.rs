//! All that a loop owns beside its tasks, and what each completion and each missed deadline changes in it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use io_uring::opcode;
use io_uring::types::Fd;

use super::WINDOW;
use super::clock::Clock;
use super::conns::{ConnId, Conns};
use super::hand_over::HandOvers;
use super::lent::Lent;
use super::listener::Listeners;
use super::ops::{Completion, Kernel, Key, Kind, Ticket};
use super::permits;
use super::send::Gather;
use super::setup::{self, Abilities, Beginning};
use super::unavailable::Unavailable;
use crate::runtime::Pool;
use crate::runtime::executor::{Executor, TaskId};
use crate::runtime::peers::Member;
use crate::runtime::pipes::Pipes;
use crate::runtime::timers::Timers;

/// Turns for the kernel to let go of everything at the end.
const LAST_TURNS: usize = 10_000;
/// Between two of them, when it is another worker that is waited for.
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// What a loop owns beside its tasks.
pub(super) struct State {
    // The kernel comes first: it is dropped before the window.
    pub(super) kernel: Kernel,
    pub(super) lent: Lent,
    pub(super) conns: Conns,
    pub(super) listeners: Listeners,
    pub(super) member: Member,
    pub(super) hand_overs: HandOvers,
    /// Connections that found the kernel without bufs.
    pub(super) parked: VecDeque<Key>,
    pub(super) timers: Timers<Due>,
    clock: Clock,
    /// Emptied gathers.
    #[expect(clippy::vec_box, reason = "the boxes themselves are kept: the kernel looks at them in place")]
    pub(super) gathers: Vec<Box<Gather>>,
    pub(super) pipes: Pipes,
    pub(super) executor: Rc<Executor>,
    pub(super) abilities: Abilities,
    /// Completions of this turn; empty between turns.
    completions: Vec<Completion>,
}

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

/// Something from outside that a turn has brought for the loop as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing.
    None,
    /// The drain signal was raised.
    Drain,
}

impl State {
    /// The state of a loop that has not begun, with a ring of its own.
    ///
    /// # Errors
    /// What the kernel says to the ring, the window of bufs or the restriction.
    pub(super) fn new(
        pool: &Pool,
        executor: Rc<Executor>,
        abilities: Abilities,
        member: Member,
    ) -> io::Result<Self> {
        let beginning = if abilities.restrictions { Beginning::Disabled } else { Beginning::Enabled };
        let ring =
            setup::patiently(|| setup::build(beginning)).map_err(|error| Unavailable::from_setup(&error))?;
        let window = pool.limit().clamp(1, WINDOW).next_power_of_two() as u16;
        let lent = Lent::new(&ring, pool, window)?;
        if abilities.restrictions {
            permits::restrict(&ring)?;
        }
        if abilities.messages {
            member.set_ring(Some(ring.as_raw_fd()));
        }
        Ok(Self {
            kernel: Kernel::new(ring),
            lent,
            conns: Conns::default(),
            listeners: Listeners::default(),
            member,
            hand_overs: HandOvers::default(),
            parked: VecDeque::new(),
            timers: Timers::default(),
            clock: Clock::default(),
            gathers: Vec::new(),
            pipes: Pipes::new(usize::MAX),
            executor,
            abilities,
            completions: Vec::new(),
        })
    }

    /// Takes in everything that the kernel has completed.
    pub(super) fn take_completions(&mut self) -> News {
        let mut completions = std::mem::take(&mut self.completions);
        self.kernel.reap(&mut completions);
        let mut news = News::None;
        for completion in completions.drain(..) {
            match completion.ticket.kind {
                Kind::Accept | Kind::CancelAccept => self.on_listener(completion),
                Kind::Timeout => self.clock.rang(),
                Kind::Drain => news = News::Drain,
                Kind::Bell => self.on_bell(completion.result),
                Kind::HandOver => self.on_hand_over(completion),
                Kind::Arrival => self.on_arrival(completion),
                Kind::Nothing => {}
                _ => self.on_conn(completion),
            }
        }
        self.completions = completions;
        news
    }

    /// Ends the waits whose deadlines are missed.
    pub(super) fn fire_timers(&mut self, now: Instant) {
        while let Some((at, due)) = self.timers.pop_due(now) {
            match due {
                Due::Task(task) => self.executor.wake(task),
                Due::Recv(id) if self.conns.recv_deadline(id).is_missed(at, now, &mut self.timers, due) => {
                    self.on_recv_timeout(id);
                }
                Due::Send(id) if self.conns.send_deadline(id).is_missed(at, now, &mut self.timers, due) => {
                    self.on_send_timeout(id);
                }
                Due::Recv(_) | Due::Send(_) => {}
            }
        }
    }

    /// Ends a turn: lends bufs, sets the timeout, and goes to the kernel.
    ///
    /// # Errors
    /// What the kernel says to the entering.
    pub(super) fn enter(&mut self, now: Instant, wait: bool) -> io::Result<()> {
        self.lent.refill();
        self.unpark();
        self.clock.arm(self.timers.next(), now, &mut self.kernel);
        self.kernel.enter(wait)
    }

    /// Takes everything back from the kernel; true when it holds nothing any more, and the other workers send nothing
    /// any more.
    pub(super) fn finish(&mut self) -> bool {
        self.member.close();
        self.member.set_ring(None);
        for _ in 0..LAST_TURNS {
            self.empty_inbox();
            if self.kernel.in_flight() == 0 {
                if !self.member.expects() {
                    return true;
                }
                std::thread::sleep(LAST_PAUSE);
            }
            // Again in each turn, since one may miss an operation that is just being worked on; and it makes sure
            // that there is something to wait for.
            self.kernel.cancel_all();
            let entered = self.kernel.enter(true);
            self.take_completions();
            if entered.is_err() {
                break;
            }
        }
        self.hand_overs.call_off();
        false
    }

    /// Waits for a descriptor to become readable, once: to hear of the drain signal, or of the bell.
    pub(super) fn watch(&mut self, signal: RawFd, kind: Kind) {
        let entry = opcode::PollAdd::new(Fd(signal), libc::POLLIN as u32).build();
        #[expect(unsafe_code, reason = "see Kernel::push")]
        // SAFETY: a poll points to no memory.
        unsafe {
            self.kernel.push(entry, Ticket::alone(kind));
        }
    }

    /// Takes in a connected socket.
    pub(super) fn adopt(&mut self, socket: OwnedFd) -> ConnId {
        debug_assert!(socket.as_raw_fd() >= 0, "a descriptor is not negative");
        self.conns.insert(socket)
    }

    /// The stream of a connection is gone: closes it, after what is in flight.
    pub(super) fn release(&mut self, id: ConnId) {
        self.conns[id].orphan();
        self.close(id);
    }

    /// Cuts a connection: all that waits ends, and the peer gets RST.
    pub(super) fn cut(&mut self, id: ConnId) {
        let conn = &mut self.conns[id];
        if conn.is_cut() {
            return;
        }
        if let Some(socket) = conn.socket() {
            // It can only fail on what is no socket, and then there is nothing to reset either.
            let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        }
        conn.cut();
        let waiting = [conn.recv.fail(libc::ECONNABORTED), conn.send.fail(libc::ECONNABORTED)];
        for task in waiting.into_iter().flatten() {
            self.executor.wake(task);
        }
        self.close(id);
    }

    /// Ends what waits for bytes of a connection, now and later.
    pub(super) fn stop_recv(&mut self, id: ConnId) {
        if let Some(task) = self.conns[id].recv.stop() {
            self.executor.wake(task);
        }
    }

    /// Ends a pending `readable`; any other wait looks at its state and goes on.
    pub(super) fn rouse(&mut self, id: ConnId) {
        if let Some(task) = self.conns[id].recv.rouse() {
            self.executor.wake(task);
        }
    }

    /// Wakes everybody who waits for a connection or for bytes: a drain has begun.
    pub(super) fn wake_for_drain(&mut self) {
        for task in self.listeners.waiters().chain(self.conns.recv_waiters()) {
            self.executor.wake(task);
        }
    }

    fn close(&mut self, id: ConnId) {
        if self.conns[id].begin_close() {
            let ticket = self.conns.issue(id, Kind::Close);
            self.kernel.cancel_descriptor(self.conns[id].descriptor(), ticket);
        }
        self.conns.settle(id);
    }

    fn on_conn(&mut self, completion: Completion) {
        let Some(id) = self.conns.find(completion.ticket.key) else { return };
        let kind = completion.ticket.kind;
        if !completion.is_more() {
            self.conns.complete(id, kind);
        }
        match kind {
            Kind::Recv => self.on_recv(id, completion),
            Kind::Send => self.on_send(id, completion),
            Kind::PollIn => self.on_poll_in(id, completion),
            Kind::PollOut => self.on_poll_out(id),
            Kind::Cancel => self.on_cancel(id, completion.result),
            Kind::Close => self.conns[id].end_close(),
            _ => {}
        }
        match kind {
            // What was found is yet to complete; what was not found is tried again.
            Kind::Cancel => self.conns.settle(id),
            Kind::Close if completion.result > 0 => self.conns.settle(id),
            _ => self.close(id),
        }
    }

    fn on_cancel(&mut self, id: ConnId, result: i32) {
        if result < 0 {
            self.retry_cancel_recv(id);
            self.retry_cancel_send(id);
        }
    }
}
