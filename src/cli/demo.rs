//! `ringway demo`: a proxy, its sample backends and a configuration to learn from.

use clap::Args;

use super::{EXIT_OK, Overrides, fail, load, print};
use crate::control;

/// The configuration of the demo, with comments that teach.
pub const CONFIGURATION: &str = include_str!("demo.toml");

/// See it work: a proxy on 127.0.0.1:8080 and 8081, and its sample backends.
#[derive(Args)]
pub(super) struct Arguments {
    /// Print the demo's configuration, a good beginning of your own, and do nothing else.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    pub(super) overrides: Overrides,
}

pub(super) fn demo(arguments: &Arguments) -> u8 {
    if arguments.print_config {
        return print(&CONFIGURATION);
    }
    let mut config = match load::text(CONFIGURATION, "demo.toml") {
        Ok(config) => config,
        Err(code) => return code,
    };
    arguments.overrides.apply(&mut config);
    control::serve_demo(config).map_or_else(|error| fail(&error), |()| EXIT_OK)
}
