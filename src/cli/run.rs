//! `ringway run`: serves what a configuration says.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use super::{EXIT_OK, Overrides, fail, load};
use crate::control;

/// Serve what a configuration says.
///
/// SIGTERM and SIGINT stop accepting and let running exchanges finish.
#[derive(Args)]
#[command(group = ArgGroup::new("configuration").required(true))]
pub(super) struct Arguments {
    /// The configuration, in TOML.
    #[arg(long, short, value_name = "FILE", group = "configuration")]
    config: Option<PathBuf>,
    /// The configuration, where --config is left out.
    #[arg(value_name = "FILE", group = "configuration")]
    file: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    // Clap sees to it that there is one.
    let path = arguments.config.as_deref().or(arguments.file.as_deref()).unwrap_or(Path::new(""));
    let mut config = match load::file(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    arguments.overrides.apply(&mut config);
    control::serve(config).map_or_else(|error| fail(&error), |()| EXIT_OK)
}
