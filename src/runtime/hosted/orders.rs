//! How a pump is told what to do next.
//!
//! A pump is a task of the engine that carries out one operation at a time and waits for it to end. Who orders it looks
//! at the outcome elsewhere, so nothing is lost when nobody looks any more.

use std::task::{Context, Poll, Waker};

/// The desk between a pump and who orders. There is one order at a time.
pub(super) struct Orders<T> {
    next: Option<T>,
    /// From the order to [`Orders::done`].
    is_busy: bool,
    is_closed: bool,
    pump: Option<Waker>,
}

impl<T> Default for Orders<T> {
    fn default() -> Self {
        Self { next: None, is_busy: false, is_closed: false, pump: None }
    }
}

impl<T> Orders<T> {
    /// Whether an order is being carried out.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether there will be no more orders.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Gives an order to a pump that is not busy.
    ///
    /// # Panics
    /// When it is busy: what it was told before would be lost, with the bufs in it.
    pub(super) fn give(&mut self, order: T) {
        assert!(!self.is_busy, "one order at a time");
        self.is_busy = true;
        self.next = Some(order);
        self.wake();
    }

    /// The pump's wait for an order; `None` when there will be none.
    pub(super) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        if self.is_closed {
            return Poll::Ready(None);
        }
        if let Some(order) = self.next.take() {
            return Poll::Ready(Some(order));
        }
        if !self.pump.as_ref().is_some_and(|pump| pump.will_wake(cx.waker())) {
            self.pump = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The order has been carried out.
    pub(super) fn done(&mut self) {
        self.is_busy = false;
    }

    /// Ends the pump after what it is doing; returns whether it is doing something, and else an order that it has not
    /// begun.
    pub(super) fn close(&mut self) -> (bool, Option<T>) {
        let order = self.next.take();
        self.is_closed = true;
        self.wake();
        (self.is_busy && order.is_none(), order)
    }

    fn wake(&self) {
        if let Some(pump) = &self.pump {
            pump.wake_by_ref();
        }
    }
}
