//! What the operator is told on standard error.

use std::fmt;
use std::io::{self, Write};

/// Writes a line to standard error. That nobody may be there to read it is no reason to stop: the macro of the standard
/// library would panic when the terminal is gone.
pub fn notice(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "ringway: {text}");
}
