//! A machine on which io_uring is denied: the program serves nevertheless, says why, and tells what to change.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::support::curl::curl;
use crate::support::denied::without_io_uring;
use crate::support::{DemoPorts, OneUpstream, PATIENCE, Proxy, free_address, ringway, wait_for};

/// What container runtimes answer, and the word for it on the page.
const REFUSALS: [(i32, &str); 2] = [(libc::EPERM, "(EPERM)"), (libc::ENOSYS, "(ENOSYS)")];

/// Runs the program to its end where io_uring is refused.
fn ends(errno: i32, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = without_io_uring(errno, || ringway(arguments).output()).unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_demo_serves_and_says_why_it_is_not_the_best() {
    for (errno, refusal) in REFUSALS {
        let _ports = DemoPorts::lock();
        let proxy = without_io_uring(errno, || Proxy::demo("auto"));
        let answer = curl(&["http://127.0.0.1:8080/"]);
        assert_eq!(answer.status, 200);
        let said = wait_for("it says what it runs on", PATIENCE, || {
            let said = proxy.stderr().join("\n");
            said.contains("sealed: ").then_some(said)
        });
        assert!(said.contains("runtime ring: io_uring is ") && said.contains(refusal), "{said}");
        assert!(said.contains("io_uring_setup, io_uring_enter and io_uring_register"), "{said}");
        assert!(!said.contains("runtime ring, listening"), "{said}");
        assert!(said.contains(": the best that this machine allows"), "{said}");
    }
}

/// Memory that is enough for the ring of one worker and not for those of all: an ordinary user's locked memory is
/// counted, root's is not.
#[test]
fn what_has_memory_for_some_workers_only_is_not_taken() {
    let Ok(found) = Command::new("setpriv").args(["--reuid=65534", "--clear-groups", "true"]).output() else {
        eprintln!("skipped: there is no setpriv");
        return;
    };
    if !found.status.success() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("ringway");
    std::fs::copy(env!("CARGO_BIN_EXE_ringway"), &program).unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let found = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "prlimit", "--memlock=250000:250000"])
        .arg(&program)
        .args(["doctor", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8(found.stdout).unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let workers = said["machine"]["cores"].as_u64().unwrap();
    let has_memory = workers == 1;
    let ring = &said["runtimes"][0];
    assert!(has_memory || ring["available"] == false, "{ring}");
    let is_why = |why: &str| ["memory", "denied", "missing"].iter().any(|word| why.contains(word));
    assert!(has_memory || is_why(ring["why"].as_str().unwrap()), "{ring}");
}

#[test]
fn the_ring_fails_with_the_reason_when_it_is_asked_for() {
    for (errno, refusal) in REFUSALS {
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), OneUpstream::new(&[free_address()]).config()).unwrap();
        let path = config.path().to_str().unwrap();
        let (code, _, said) = ends(errno, &["run", "--config", path, "--runtime", "ring"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("runtime ring: io_uring is ") && said.contains(refusal), "{said}");
    }
}

#[test]
fn doctor_names_the_refusal_and_the_way_out() {
    for (errno, refusal) in REFUSALS {
        let (code, page, said) = ends(errno, &["doctor"]);
        assert_eq!((code, said.as_str()), (Some(1), ""));
        for part in [
            "`auto` takes the runtime ",
            "Better ones cannot be had here",
            refusal,
            "seccomp profile",
            "a filter holds this process",
            "not tried without set-up",
            "What to change",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}

#[test]
fn doctor_tells_machines_the_same() {
    for (errno, refusal) in REFUSALS {
        let (code, json, _) = ends(errno, &["doctor", "--json"]);
        let found: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((code, &found["ok"]), (Some(1), &false.into()));
        assert_eq!(found["machine"]["seccomp_filter"], true);
        let ring = &found["runtimes"][0];
        assert_eq!((&ring["name"], &ring["available"]), (&"ring".into(), &false.into()));
        assert_eq!(ring["features"][0]["outcome"], "unavailable");
        assert!(ring["features"][0]["why"].as_str().unwrap().contains(refusal), "{json}");
        let auto = found["auto"]["runtime"].as_str().unwrap();
        let taken =
            found["runtimes"].as_array().unwrap().iter().find(|runtime| runtime["name"] == auto).unwrap();
        assert_eq!(taken["available"], true);
    }
}
