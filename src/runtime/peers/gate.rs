//! A gate that, once closed, lets nothing new through, and knows what has passed it and not yet arrived.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Set while the gate is closed.
const CLOSED: usize = 1;
/// One that has passed and has not arrived.
const ONE: usize = 2;

/// Both in one number: whoever sees the gate closed with nothing under way knows that nothing will ever come. Closed at
/// first.
pub(super) struct Gate(AtomicUsize);

impl Default for Gate {
    fn default() -> Self {
        Self(AtomicUsize::new(CLOSED))
    }
}

impl Gate {
    pub(super) fn open(&self) {
        self.0.fetch_and(!CLOSED, Ordering::AcqRel);
    }

    pub(super) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Passes; false when the gate is closed.
    pub(super) fn enter(&self) -> bool {
        let pass = |state| (state & CLOSED == 0).then_some(state + ONE);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, pass).is_ok()
    }

    /// One that has passed has arrived, or will not come.
    pub(super) fn leave(&self) {
        // One that was called off and has come nevertheless leaves twice: that must not look like a crowd.
        let pass = |state| (state >= ONE).then(|| state - ONE);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, pass);
    }

    /// Whether something is under way.
    pub(super) fn is_expecting(&self) -> bool {
        self.0.load(Ordering::Acquire) >= ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_lets_nothing_in_and_everything_out() {
        let gate = Gate::default();
        assert!(!gate.enter(), "closed at first");
        gate.open();
        assert!(gate.enter() && gate.enter());
        gate.close();
        assert!(!gate.enter());
        gate.leave();
        assert!(gate.is_closed() && gate.is_expecting());
        gate.leave();
        assert!(!gate.is_expecting());
        gate.open();
        assert!(gate.enter());
    }
}
