//! `ringway run`: serves what a configuration says.

use std::path::PathBuf;

use clap::Args;

use super::{EXIT_OK, Overrides, fail, load};
use crate::control;

/// Serve what a configuration says.
///
/// SIGTERM and SIGINT stop accepting and let running exchanges finish.
#[derive(Args)]
pub(super) struct Arguments {
    /// The configuration, in TOML.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let mut config = match load::file(&arguments.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    arguments.overrides.apply(&mut config);
    control::serve(config).map_or_else(|error| fail(&error), |()| EXIT_OK)
}
