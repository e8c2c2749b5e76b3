//! The control plane: starts the workers, waits for signals and never touches a request. (to come)

use std::io;

use crate::config::Config;

/// Serves until a signal ends it.
///
/// # Errors
/// What the kernel refused.
pub fn serve(_config: Config) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "serving is not there yet"))
}

/// Serves like [`serve`], with the sample backends of the demo beside it.
///
/// # Errors
/// What the kernel refused.
pub fn serve_demo(_config: Config) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "serving is not there yet"))
}
