//! Whether exchanges are recorded: always, but for the bench that shows what recording costs.

#[cfg(feature = "recording-switch")]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(feature = "recording-switch")]
static IS_ON: AtomicBool = AtomicBool::new(true);

/// From now on, exchanges are recorded, or they are not: neither is a clock read for them, nor are they counted,
/// measured or logged.
#[cfg(feature = "recording-switch")]
pub fn switch_recording(is_on: bool) {
    IS_ON.store(is_on, Ordering::Relaxed);
}

/// Whether exchanges are recorded.
#[cfg(feature = "recording-switch")]
pub(crate) fn is_recording() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Whether exchanges are recorded: here they always are.
#[cfg(not(feature = "recording-switch"))]
pub(crate) const fn is_recording() -> bool {
    true
}
