//! Accepted connections on their way to other workers: through the kernel where it can, else through the inbox.

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use io_uring::opcode;
use io_uring::types::Fd;
use slab::Slab;

use super::listener::Accepted;
use super::ops::{Completion, Key, Kind, Ticket};
use super::state::State;
use crate::runtime::peers::{Arrival, Passage, Placed};

/// What was sent to other rings, until this one hears what has become of it.
#[derive(Default)]
pub(super) struct HandOvers(Slab<HandOver>);

struct HandOver {
    passage: Passage,
    listener: u32,
    /// The other ring's, if it was sent: that may have closed it before this one hears so.
    socket: RawFd,
}

impl HandOvers {
    /// Whether nothing is on its way that may have to be kept after all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing more will be heard of what is on its way: the other workers shall not wait for it.
    pub(super) fn call_off(&mut self) {
        self.0.clear();
    }
}

impl State {
    /// A connection was accepted: it is served here, or by a worker that has less to do.
    pub(super) fn welcome(&mut self, listener: u32, socket: OwnedFd) {
        match self.member.place() {
            Placed::Here(counted) => self.admit(listener, Accepted { socket, counted }),
            Placed::There(passage) => self.hand_over(passage, listener, socket),
        }
    }

    fn hand_over(&mut self, passage: Passage, listener: u32, socket: OwnedFd) {
        let Some(ring) = passage.ring() else {
            return passage.deliver(Arrival { listener: listener as usize, socket });
        };
        let there = Ticket { kind: Kind::Arrival, key: Key { index: listener, generation: 0 } };
        let entry = opcode::MsgRingData::new(Fd(ring), socket.as_raw_fd(), there.pack(), None).build();
        let hand_over = HandOver { passage, listener, socket: socket.into_raw_fd() };
        let index = self.hand_overs.0.insert(hand_over) as u32;
        #[expect(unsafe_code, reason = "see Kernel::push")]
        // SAFETY: the entry points to no memory.
        unsafe {
            self.kernel.push(entry, Ticket { kind: Kind::HandOver, key: Key { index, generation: 0 } });
        }
    }

    /// The kernel says whether a connection has been sent.
    pub(super) fn on_hand_over(&mut self, completion: Completion) {
        let Some(hand_over) = self.hand_overs.0.try_remove(completion.ticket.key.index as usize) else {
            return;
        };
        if completion.result >= 0 {
            hand_over.passage.sent();
            self.wake_last_accepts();
            return;
        }
        #[expect(unsafe_code, reason = "the descriptor is a bare number while it may be another ring's")]
        // SAFETY: it came from an `OwnedFd`, and the other ring has not got it.
        let socket = unsafe { OwnedFd::from_raw_fd(hand_over.socket) };
        let counted = hand_over.passage.turn_back();
        self.admit(hand_over.listener, Accepted { socket, counted });
    }

    /// Another ring has sent a connection.
    pub(super) fn on_arrival(&mut self, completion: Completion) {
        #[expect(unsafe_code, reason = "the descriptor comes as a bare number")]
        // SAFETY: the sender has given it up (`IntoRawFd`), and sends each one once.
        let socket = unsafe { OwnedFd::from_raw_fd(completion.result) };
        let counted = self.member.received();
        self.admit(completion.ticket.key.index, Accepted { socket, counted });
    }

    /// Another worker has left something in the inbox, or has called off what was expected.
    pub(super) fn on_bell(&mut self, result: i32) {
        self.member.hush();
        self.empty_inbox();
        self.wake_last_accepts();
        if result >= 0 {
            self.watch_bell();
        }
    }

    /// Takes in what lies in the inbox.
    pub(super) fn empty_inbox(&mut self) {
        while let Some((Arrival { listener, socket }, counted)) = self.member.take() {
            self.admit(listener as u32, Accepted { socket, counted });
        }
    }

    /// Waits for the bell to be rung.
    pub(super) fn watch_bell(&mut self) {
        if let Some(bell) = self.member.bell().map(|bell| bell.as_raw_fd()) {
            self.watch(bell, Kind::Bell);
        }
    }
}
