//! What a loop watches beside its connections: the signal to drain, and its own end.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

use super::Core;
use super::engine::Engine;
use crate::runtime::DrainSignal;

/// An eventfd of the loop: always writable, and readable once it was rung.
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Makes it readable.
    pub(super) fn ring(&self) {
        // It fails only when the counter is full, and then it rings already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// The same bell, for an engine to keep.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

/// Drains the loop when the signal is raised. Ends then, and when the bell rings: a wait for the signal alone could not
/// be ended without cancelling it.
///
/// # Errors
/// No descriptors left.
pub(super) fn start<E: Engine>(core: &Rc<Core<E>>, signal: &DrainSignal) -> io::Result<()> {
    let both = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&both, signal, EventData::new_u64(0), EventFlags::IN)?;
    epoll::add(&both, &core.bell.0, EventData::new_u64(1), EventFlags::IN)?;
    let both = E::attach(both)?;
    let (core_of_pump, signal) = (core.clone(), signal.clone());
    core.start_pump(async move {
        // An error could only come from a descriptor that is none.
        let _ = E::readable(&both).await;
        if signal.is_raised() {
            core_of_pump.drain();
        }
    });
    Ok(())
}
