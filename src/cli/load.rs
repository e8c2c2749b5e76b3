//! Reads a configuration for a command: prints what is wrong with it, and with which code to exit.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::EXIT_CONFIG;
use crate::config::{Config, Environment};

/// Reads and checks a file. Warnings and problems go to standard error.
///
/// # Errors
/// The exit code, when everything has been said.
pub(super) fn file(path: &Path) -> Result<Config, u8> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| {
        eprintln!("{name}: cannot read the configuration: {error}");
        EXIT_CONFIG
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        eprintln!("{name}:{line}: not valid TOML: a byte that is not UTF-8");
        EXIT_CONFIG
    })?;
    self::text(&text, &name)
}

/// Checks a text, which messages call `name`.
///
/// # Errors
/// The exit code, when everything has been said.
pub(super) fn text(text: &str, name: &str) -> Result<Config, u8> {
    match Config::parse(text, name, &environment()) {
        Ok((config, warnings)) => {
            warnings.iter().for_each(|warning| eprintln!("{warning}"));
            Ok(config)
        }
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            let plural = if problems.len() == 1 { "" } else { "s" };
            eprintln!("{name}: {} problem{plural}", problems.len());
            Err(EXIT_CONFIG)
        }
    }
}

/// What this process may use: affinity, cgroup quota and limits included.
fn environment() -> Environment {
    Environment {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        descriptors: raise_descriptors(),
    }
}

/// Raises the soft limit of descriptors to the hard one, as servers do, and says what holds then. Nothing here uses
/// select(2), for whose sake the soft limit is low.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let now = if raised.is_ok() { limit.maximum } else { limit.current };
    now.unwrap_or(u64::MAX)
}
