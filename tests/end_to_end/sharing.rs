//! A few connections keep every worker busy, whatever the kernel's hash makes of them.

use std::net::SocketAddr;

use ringway_backends::{Addresses, start};

use crate::support::{OneUpstream, PATIENCE, Proxy, runtimes, tool, wait_for};

/// The kernel alone would put two connections on one of two workers every other time.
const ROUNDS: usize = 8;

#[test]
fn two_connections_of_ab_are_served_by_two_workers() {
    both_workers_wake_up(|url| {
        let report = tool("ab", &["-q", "-k", "-s", "60", "-n", "2000", "-c", "2", url]);
        assert!(report.contains("Complete requests:      2000"), "{report}");
    });
}

#[test]
fn four_connections_of_wrk_are_served_by_two_workers() {
    both_workers_wake_up(|url| {
        let report = tool("wrk", &["-t", "2", "-c", "4", "-d", "1s", "--timeout", "10s", url]);
        assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    });
}

fn both_workers_wake_up(load: impl Fn(&str)) {
    if !runtimes::is_allowed("ring") {
        return;
    }
    let backends = start(&Addresses::ephemeral(2)).unwrap();
    let setup = OneUpstream::new(&backends.addresses().cluster);
    assert!(setup.config().contains("workers = 2\n"));
    let proxy = setup.run("ring");
    for round in 0..ROUNDS {
        // A connection counts until the proxy has seen its end.
        wait_for("the clients before are gone", PATIENCE, || (!has_clients(setup.listener)).then_some(()));
        let before = turns(&proxy);
        load(&setup.url("/"));
        let turns: Vec<u64> =
            turns(&proxy).iter().zip(before).map(|(after, before)| after - before).collect();
        // An idle worker wakes up once a second, to look through its idle connections.
        assert!(turns.len() == 2 && turns.iter().all(|&turns| turns > 100), "round {round}: {turns:?}");
    }
}

/// Whether the proxy has a connection on this listener that it has not closed (proc_pid_net(5); ESTABLISHED, CLOSE_WAIT).
fn has_clients(listener: SocketAddr) -> bool {
    let port = format!(":{:04X}", listener.port());
    std::fs::read_to_string("/proc/net/tcp").unwrap().lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&port) && matches!(fields[3], "01" | "08")
    })
}

/// How often each worker was given the processor.
fn turns(proxy: &Proxy) -> Vec<u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
    let status = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
    let mut workers: Vec<_> = status.filter(|status| status.starts_with("Name:\tworker-")).collect();
    workers.sort();
    workers.iter().map(|status| status.lines().filter_map(switches).sum()).collect()
}

/// The value of `voluntary_ctxt_switches` and `nonvoluntary_ctxt_switches` (proc_pid_status(5)).
fn switches(line: &str) -> Option<u64> {
    let (name, value) = line.split_once(':')?;
    name.ends_with("voluntary_ctxt_switches").then(|| value.trim().parse().unwrap())
}
