//! The control plane: starts the workers, waits for signals, never touches a request.

pub mod admin;
mod launch;
mod listen;
mod log;
mod priority;
mod seal;
mod serve;
mod termination;

pub use launch::{Server, start};
pub use seal::seal;
pub use serve::{serve, serve_demo};
pub(crate) use termination::termination;
