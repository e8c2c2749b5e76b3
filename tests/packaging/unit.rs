//! `packaging/ringway.service`: what systemd says of it, and every runtime under its filter of system calls.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use crate::filter::Filter;
use crate::traffic::{Site, runtimes};

/// The exposure, of 10, that `systemd-analyze security` may find: its own "OK" ends at 4.0, and a service that has to
/// reach the network and its configuration cannot come far below 1.5.
const EXPOSURE: f64 = 2.0;

/// What stands behind `key=` in the unit, line by line.
fn values(key: &str) -> Vec<String> {
    let unit = crate::read("packaging/ringway.service");
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned).collect()
}

fn analyze(arguments: &[&str]) -> Option<Output> {
    Command::new("systemd-analyze").args(arguments).env("SYSTEMD_COLORS", "0").output().ok()
}

/// The unit with the program under test in the place of the installed one, in a directory.
fn installed() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ringway.service");
    let unit = crate::read("packaging/ringway.service");
    std::fs::write(&path, unit.replace("/usr/bin/ringway", env!("CARGO_BIN_EXE_ringway"))).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn systemd_finds_no_fault_with_it() {
    let (_directory, path) = installed();
    let Some(output) = analyze(&["verify", "--man=no", &path]) else {
        return crate::skipped("the unit", "systemd-analyze is not here");
    };
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn it_is_hardened() {
    let (_directory, path) = installed();
    let Some(output) = analyze(&["security", "--offline=true", "--no-pager", &path]) else {
        return crate::skipped("the unit's exposure", "systemd-analyze is not here");
    };
    let table = String::from_utf8(output.stdout).unwrap();
    let overall = table.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let exposure: f64 = overall.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(exposure <= EXPOSURE, "{table}");
}

#[test]
fn every_runtime_works_under_its_filter() {
    let Some(allowed) = allowed() else {
        return crate::skipped("the unit's SystemCallFilter", "systemd-analyze is not here");
    };
    assert_eq!(values("SystemCallErrorNumber"), ["EPERM"]);
    let filter = Filter { allowed, errno: rustix::io::Errno::PERM.raw_os_error() };
    for name in ["io_uring_setup", "io_uring_enter", "io_uring_register", "seccomp"] {
        assert!(filter.allowed.contains(name), "{name}");
    }
    for name in ["mount", "ptrace", "setuid", "chown", "mlockall"] {
        assert!(!filter.allowed.contains(name), "{name}");
    }
    for runtime in runtimes() {
        let site = Site::new();
        let said = site.serve(filter.command(&site.command_line(runtime)));
        assert!(said[0].contains(&format!("runtime {runtime}")), "{said:?}");
    }
}

/// The names that `SystemCallFilter=` leaves: its lines are applied in order, `~` takes away.
fn allowed() -> Option<BTreeSet<String>> {
    let mut allowed = expand("@default")?;
    for line in values("SystemCallFilter") {
        let (is_less, words) = line.strip_prefix('~').map_or((false, line.as_str()), |rest| (true, rest));
        for word in words.split_whitespace() {
            let names = expand(word)?;
            if is_less {
                allowed.retain(|name| !names.contains(name));
            } else {
                allowed.extend(names);
            }
        }
    }
    Some(allowed)
}

/// A name, or all names of one of systemd's sets.
fn expand(word: &str) -> Option<BTreeSet<String>> {
    if !word.starts_with('@') {
        return Some([word.to_owned()].into());
    }
    let list = String::from_utf8(analyze(&["syscall-filter", word])?.stdout).unwrap();
    let members =
        list.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut names = BTreeSet::new();
    for member in members {
        names.extend(expand(member)?);
    }
    assert!(!names.is_empty(), "systemd knows no {word}");
    Some(names)
}

/// Everything else is read-only.
#[test]
fn it_may_make_the_socket_of_the_admin_api_that_the_documentation_names() {
    let folder = format!("unix:/run/{}/", values("RuntimeDirectory")[0]);
    for page in ["docs/configuration.md", "docs/deployment.md"] {
        let text = crate::read(page);
        let sockets: Vec<_> = text.match_indices("unix:/").map(|(at, _)| &text[at..]).collect();
        assert!(!sockets.is_empty(), "{page}");
        assert!(sockets.iter().all(|socket| socket.starts_with(&folder)), "{page}");
    }
}

/// A drain that is killed half way cuts what it was to finish.
#[test]
fn it_waits_for_the_drain() {
    let site = Site::new();
    let drain = crate::checked(site.config())["timeouts"]["drain"].as_str().map(crate::seconds).unwrap();
    let stop = crate::seconds(&values("TimeoutStopSec")[0]);
    assert!(stop > drain + crate::LOG_SECONDS, "{stop} s to stop, {drain} s to drain");
    assert_eq!(values("KillSignal"), ["SIGTERM"]);
    assert_eq!(values("RestartPreventExitStatus"), [ringway::cli::EXIT_CONFIG.to_string()]);
}

#[test]
fn it_may_have_the_descriptors_of_all_connections() {
    let descriptors: u64 = values("LimitNOFILE")[0].parse().unwrap();
    // What the configuration takes as its default, from limits.connections of docs/configuration.md.
    assert!((descriptors - 256) / 2 >= 10_000, "{descriptors}");
}
