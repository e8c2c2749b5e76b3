//! What goes wrong in a simulated network: each fault a knob, all of them off by default.

use std::net::SocketAddr;
use std::time::Duration;

/// The faults of a world. Chances are per mille of the operations that they can strike.
#[derive(Clone, Debug)]
pub struct Faults {
    /// A read lends fewer bytes than there are.
    pub short_read: u32,
    /// Bytes arrive up to so long after they were sent, in order.
    pub delay: Duration,
    /// Bytes that one direction of a connection holds until they are read; a sender waits beyond.
    pub socket_buf: usize,
    /// A send finds the connection reset, for both sides.
    pub reset: u32,
    /// A send ends the direction in order, in the middle of what it sends; the rest is lost.
    pub early_end: u32,
    /// A reset takes along the bytes that had arrived and were not read yet.
    pub reset_erases: u32,
    /// A connection is refused.
    pub refusal: u32,
    /// A connection is not answered.
    pub silence: u32,
    /// An accept fails as it does when descriptors have run out.
    pub accept_failure: u32,
    /// One place where the bytes are delivered as two reads.
    pub cut: Option<Cut>,
    /// One place where a connection ends.
    pub end: Option<EndAt>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            short_read: 0,
            delay: Duration::ZERO,
            socket_buf: 64 * 1024,
            reset: 0,
            early_end: 0,
            reset_erases: 0,
            refusal: 0,
            silence: 0,
            accept_failure: 0,
            cut: None,
            end: None,
        }
    }
}

/// A place in the traffic of a world: between two bytes of one direction of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address that was connected to.
    pub to: SocketAddr,
    /// Which connection to that address, counted from 0.
    pub nth: usize,
    /// Which of its directions.
    pub way: Way,
    /// Bytes before the place.
    pub at: u64,
}

/// A direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the side that connected.
    Forth,
    /// From the side that accepted.
    Back,
}

/// Bytes beyond a place arrive by themselves, and later.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Where.
    pub place: Place,
    /// How much later.
    pub pause: Duration,
}

/// A direction ends at a place, whatever else is sent.
#[derive(Clone, Copy, Debug)]
pub struct EndAt {
    /// Where.
    pub place: Place,
    /// How.
    pub ending: Ending,
}

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    Fin,
    /// By reset.
    Rst,
}
