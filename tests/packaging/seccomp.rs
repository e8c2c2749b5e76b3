//! `packaging/seccomp.json`, installed: every runtime does all its work under it, and it allows nothing besides.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::filter::{Filter, is_known};
use crate::support::{PATIENCE, wait_for};
use crate::traffic::{Site, runtimes};

const RING: [&str; 3] = ["io_uring_enter", "io_uring_register", "io_uring_setup"];
/// How the comments of what this machine need not show begin.
const ELSEWHERE: &str = "Elsewhere: ";

/// One entry of the profile.
struct Group {
    comment: String,
    names: Vec<String>,
}

fn profile() -> Value {
    serde_json::from_str(&crate::read("packaging/seccomp.json")).unwrap()
}

fn groups() -> Vec<Group> {
    let profile = profile();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let group = |entry: &Value| {
        assert_eq!(entry["action"], "SCMP_ACT_ALLOW");
        let names = entry["names"].as_array().unwrap().iter().map(text).collect();
        Group { comment: text(&entry["comment"]), names }
    };
    profile["syscalls"].as_array().unwrap().iter().map(group).collect()
}

fn filter() -> Filter {
    let profile = profile();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let allowed = groups().into_iter().flat_map(|group| group.names).collect();
    Filter { allowed, errno: profile["defaultErrnoRet"].as_i64().unwrap() as i32 }
}

#[test]
fn the_profile_is_well_formed() {
    let groups = groups();
    let mut seen = BTreeSet::new();
    for group in &groups {
        assert!(group.comment.ends_with('.'), "every group says why it is there: {:?}", group.names);
        assert!(group.names.is_sorted(), "in order: {:?}", group.names);
        for name in &group.names {
            assert!(seen.insert(name), "{name} stands there twice");
        }
    }
    assert_eq!(profile()["architectures"], serde_json::json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]));
    if std::env::consts::ARCH == "x86_64" {
        let unknown: Vec<_> = seen.iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "no system calls of x86_64: {unknown:?}");
    }
}

#[test]
fn every_runtime_works_under_the_profile() {
    for runtime in runtimes() {
        let site = Site::new();
        let said = site.serve(filter().command(&site.command_line(runtime)));
        assert!(said[0].contains(&format!("runtime {runtime}")), "{said:?}");
    }
}

#[test]
fn check_works_under_the_profile() {
    let site = Site::new();
    let program = [env!("CARGO_BIN_EXE_ringway"), "check", site.config().to_str().unwrap()];
    let output = filter().command(&program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("[[listener]]"));
}

/// That the filter is in force at all: what it does not allow fails.
#[test]
fn what_is_not_allowed_is_refused() {
    let site = Site::new();
    let output = filter().without(&["socket"]).command(&site.command_line("auto")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Function not implemented"), "{said}");
}

/// With Docker's answer (EPERM), and with podman's and our own (ENOSYS).
#[test]
fn without_io_uring_it_falls_back_and_says_so() {
    for errno in [rustix::io::Errno::PERM, rustix::io::Errno::NOSYS] {
        let site = Site::new();
        let filter = Filter { errno: errno.raw_os_error(), ..filter().without(&RING) };
        let said = site.serve(filter.command(&site.command_line("auto")));
        let running = said.iter().find(|line| line.contains("listening on")).unwrap();
        assert!(!running.contains("runtime ring"), "{said:?}");
        assert!(said.iter().any(|line| line.contains("io_uring")), "it says why: {said:?}");
    }
}

/// Follows every system call of every runtime: all are allowed, and whatever is allowed is used, but for what is only
/// used elsewhere.
#[test]
fn the_profile_allows_what_is_used_and_nothing_besides() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success())
    {
        return crate::skipped("what the profile allows", "strace is not here, or may not trace");
    }
    let directory = tempfile::tempdir().unwrap();
    let runtimes = runtimes();
    let mut used = BTreeSet::new();
    for runtime in &runtimes {
        let site = Site::new();
        let trace = directory.path().join(runtime);
        // The tracer stands aside (-D), so that the child is the program and signals reach it.
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-o", trace.to_str().unwrap()]).args(site.command_line(runtime));
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        site.serve(command);
        used.extend(calls(&trace));
    }
    let allowed = filter().allowed;
    let missing: Vec<_> = used.difference(&allowed).collect();
    assert!(missing.is_empty(), "used and not allowed: {missing:?}; a new libc may use other calls");
    if runtimes.len() < ringway::runtime::RUNTIMES.len() {
        return crate::skipped("that all is used which the profile allows", "a runtime is missing here");
    }
    for group in groups().iter().filter(|group| !group.comment.starts_with(ELSEWHERE)) {
        let idle: Vec<_> = group.names.iter().filter(|name| !used.contains(*name)).collect();
        assert!(
            idle.is_empty() || std::env::consts::ARCH != "x86_64",
            "allowed and not used: {idle:?}; what another libc uses belongs Elsewhere"
        );
    }
}

/// The names of all system calls in a trace of strace, once it is complete.
fn calls(trace: &Path) -> BTreeSet<String> {
    let text = wait_for("the trace is complete", PATIENCE, || {
        let text = std::fs::read_to_string(trace).unwrap();
        let (first, last) = (text.lines().next()?, text.lines().last()?);
        let process = first.split(' ').next();
        (last.split(' ').next() == process && last.ends_with("+++ exited with 0 +++")).then_some(text)
    });
    let name = |line: &str| {
        let call = line.split_once(' ')?.1.trim_start();
        let call = call.strip_prefix("<... ").unwrap_or(call);
        let name: String = call.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        (!name.is_empty()).then_some(name)
    };
    text.lines().filter_map(name).collect()
}
