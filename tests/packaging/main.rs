//! What lies in `packaging/`, put to use: the filters are installed, the unit is verified, the paths are followed.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod compose;
mod containerfile;
mod filter;
mod seccomp;
mod traffic;
mod unit;

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use support::ringway_ends;

/// A file or folder of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A configuration as `ringway check` shows it in full; it has to be a good one.
fn checked(path: &Path) -> toml::Table {
    let (code, shown, said) = ringway_ends(&["check", path.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{}", path.display());
    shown.parse().unwrap()
}

/// Whole seconds, as configurations, compose files and units write them: `30s`.
fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}: not NNs"))
}

/// What the access log may take behind the drain, in seconds.
const LOG_SECONDS: u64 = 2;

/// Says that a check is left out, and why: on standard error itself, since the harness keeps what a good test says.
fn skipped(check: &str, why: &str) {
    use std::io::Write as _;
    // With nowhere to say it, the check is left out all the same.
    let _ = writeln!(std::io::stderr(), "skipped: {check}: {why}");
}
