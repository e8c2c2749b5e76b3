//! `ringway check`: says what is wrong with a configuration, or what it means in full.

use std::path::PathBuf;

use clap::Args;

use super::{load, print};

/// Check a configuration and print it in full, defaults included.
///
/// The full configuration goes to standard output and is a configuration itself. Errors, all of them at once, and
/// warnings go to standard error.
#[derive(Args)]
pub(super) struct Arguments {
    /// The configuration, in TOML.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn check(arguments: &Arguments) -> u8 {
    load::file(&arguments.file).map_or_else(|code| code, |config| print(&config.to_toml()))
}
