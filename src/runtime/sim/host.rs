//! One machine in a simulated world: its address, its bufs and whether it drains.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use super::network::Port;
use super::world::Core;
use crate::runtime::executor::TaskId;
use crate::runtime::{DrainSignal, Pool};

/// One machine in a world.
pub(super) struct Host {
    pub(super) core: Rc<Core>,
    pub(super) ip: IpAddr,
    pub(super) pool: Pool,
    pub(super) is_draining: Cell<bool>,
    drain: Option<DrainSignal>,
    pub(super) ports: RefCell<Vec<Weak<Port>>>,
    /// Tasks that wait for a buf.
    starved: RefCell<Vec<TaskId>>,
}

impl Host {
    pub(super) fn new(core: Rc<Core>, ip: IpAddr, bufs: usize, drain: Option<DrainSignal>) -> Self {
        Self {
            core,
            ip,
            pool: Pool::new(bufs),
            is_draining: Cell::default(),
            drain,
            ports: RefCell::default(),
            starved: RefCell::default(),
        }
    }

    /// The task that runs waits for a buf.
    pub(super) fn starve(&self) {
        self.starved.borrow_mut().push(self.core.executor.current());
    }

    /// How many tasks wait for a buf.
    pub(super) fn starved(&self) -> usize {
        self.starved.borrow().len()
    }

    /// Wakes those who wait for a buf when there is one, and drains when it was asked to from another thread.
    pub(super) fn after_step(&self) {
        if self.starved() > 0 && self.pool.take_for_recv().is_some() {
            self.starved.take().into_iter().for_each(|task| self.core.executor.wake(task));
        }
        if self.drain.as_ref().is_some_and(DrainSignal::is_raised) {
            self.drain();
        }
    }

    /// Ends accepting and `readable`.
    pub(super) fn drain(&self) {
        if self.is_draining.replace(true) {
            return;
        }
        self.ports.borrow().iter().filter_map(Weak::upgrade).for_each(|port| port.is_open.set(false));
        let waiting = self.core.network.borrow().waiting_tasks();
        waiting.into_iter().for_each(|task| self.core.executor.wake(task));
    }
}
