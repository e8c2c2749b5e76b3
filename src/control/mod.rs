//! The control plane: starts the workers, waits for signals, never touches a request.

mod launch;
mod listen;
mod log;
mod serve;

pub use launch::{Server, start};
pub use serve::{serve, serve_demo};
