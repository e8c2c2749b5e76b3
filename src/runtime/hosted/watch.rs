//! What a loop watches beside its connections: the signal to drain, the inbox, and its own end.

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

/// Drains the loop when the signal is raised, and empties the inbox when something was left there. Ends when the loop's
/// own bell rings, which is why all three are looked at through one epoll(7): a wait for the signal alone could not be
/// ended without cancelling it.
///
/// # Errors
/// No descriptors left.
pub(super) fn start<E: Engine>(core: &Rc<Core<E>>, signal: &DrainSignal) -> io::Result<()> {
    let all = epoll::create(CreateFlags::CLOEXEC)?;
    let data = EventData::new_u64(0);
    epoll::add(&all, signal, data, EventFlags::IN)?;
    epoll::add(&all, &core.bell.0, data, EventFlags::IN)?;
    if let Some(bell) = core.member.bell() {
        epoll::add(&all, bell, data, EventFlags::IN)?;
    }
    core.start_pump(watch(core.clone(), signal.clone(), E::attach(all)?));
    Ok(())
}

async fn watch<E: Engine>(core: Rc<Core<E>>, signal: DrainSignal, all: E::Socket) {
    let mut is_raised = false;
    // An error could only come from a descriptor that is none.
    while E::readable(&all).await.is_ok() && !core.is_ending.get() {
        if signal.is_raised() && !std::mem::replace(&mut is_raised, true) {
            // It would stay readable. Taking it out fails only where it is not in.
            let _ = epoll::delete(&all, &signal);
            core.drain();
        }
        core.empty_inbox();
    }
}
