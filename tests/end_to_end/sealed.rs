//! The seal: a program that serves can make no further ring, on none of its threads.

use std::fs;

use ringway_backends::{Addresses, start};

use crate::support::curl::curl;
use crate::support::{OneUpstream, PATIENCE, wait_for};

on_each_runtime!(no_thread_can_make_another_ring);

fn no_thread_can_make_another_ring(runtime: &str) {
    let backends = start(&Addresses::ephemeral(1)).unwrap();
    let setup = OneUpstream::new(&backends.addresses().cluster);
    let proxy = setup.run(runtime);
    let said = wait_for("it says what it is held to", PATIENCE, || {
        proxy.stderr().into_iter().find(|line| line.contains("asked for; "))
    });
    assert!(said.ends_with("sealed: this process can make no other ring"), "{said}");
    assert_eq!(said.contains("each ring is restricted to "), runtime == "ring", "{said}");
    let filters = |path: &str| -> u32 {
        let status = fs::read_to_string(path).unwrap();
        let value = |key| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        assert_eq!((value("Seccomp:"), value("NoNewPrivs:")), (Some("2"), Some("1")), "{path}: {status}");
        value("Seccomp_filters:").unwrap().parse().unwrap()
    };
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let inherited = own.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")).unwrap().trim();
    // Also the threads that come after the seal.
    assert_eq!(curl(&[&setup.url("/")]).status, 200);
    let threads = fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
    let mut count = 0;
    for thread in threads {
        let status = thread.unwrap().path().join("status");
        assert_eq!(filters(status.to_str().unwrap()), inherited.parse::<u32>().unwrap() + 1);
        count += 1;
    }
    assert!(count > 2, "{count} threads");
}
