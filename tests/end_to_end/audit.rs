//! The access log as `ringway audit` reads it: whole, with a hole, rotated, of two processes; and one that cannot be written.

use std::process::{Command, Stdio};
use std::time::Duration;

use ringway_backends::{Addresses, start};

use crate::support::curl::curl;
use crate::support::{OneUpstream, PATIENCE, Proxy, free_address, ringway_ends, tool, wait_for};

on_each_runtime!(
    the_log_that_was_written_keeps_the_promise,
    a_log_that_was_rotated_while_an_exchange_ran_is_whole_with_the_next_one,
    lines_that_a_full_disk_does_not_take_are_counted,
);

fn the_log_that_was_written_keeps_the_promise(runtime: &str) {
    for format in ["text", "json"] {
        let backends = start(&Addresses::ephemeral(5)).unwrap();
        let setup = OneUpstream::new(&backends.addresses().cluster);
        let config = setup.config().replace("when-full", &format!("format = \"{format}\"\nwhen-full"));
        let _proxy = Proxy::run(runtime, &config, &[setup.listener]);
        let url = setup.url("/");
        tool("ab", &["-q", "-k", "-n", "500", "-c", "8", &url]);
        let lines = setup.log_lines(500);
        let log = tempfile::NamedTempFile::new().unwrap();
        let audited = |lines: &[String], options: &[&str]| {
            std::fs::write(log.path(), lines.join("\n") + "\n").unwrap();
            ringway_ends(&[&["audit", log.path().to_str().unwrap()], options].concat())
        };
        let (code, said, _) = audited(&lines, &[]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("upstream all: kept: 500 picks in 1 cycle"), "{said}");
        let holed = [&lines[..100], &lines[101..]].concat();
        let (code, said, _) = audited(&holed, &[]);
        assert_eq!(code, Some(75), "it may still run: {said}");
        assert!(said.contains("1 pick is not told yet"), "{said}");
        let (code, said, _) = audited(&holed, &["--stopped"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("lacks pick "), "{said}");
    }
}

fn a_log_that_was_rotated_while_an_exchange_ran_is_whole_with_the_next_one(runtime: &str) {
    let (one, other) = (start(&Addresses::ephemeral(0)).unwrap(), start(&Addresses::ephemeral(0)).unwrap());
    let setup = OneUpstream::new(&[one.addresses().default, other.addresses().default]);
    let folder = tempfile::tempdir().unwrap();
    let [log, old] = ["access.log", "access.log.1"].map(|name| folder.path().join(name));
    let (log, old) = (log.to_str().unwrap(), old.to_str().unwrap());
    let access = setup.config().lines().find(|line| line.starts_with("access = ")).unwrap();
    let config = setup.config().replace(access, &format!("access = \"{log}\""));
    let mut proxy = Proxy::run(runtime, &config, &[setup.listener]);
    let wait_for_lines = |path: &str, count: usize| {
        let lines = || std::fs::read_to_string(path).unwrap_or_default().lines().count();
        wait_for(&format!("{count} lines in {path}"), PATIENCE, || (lines() == count).then_some(()));
    };
    let exchange = |count: usize| {
        tool("curl", &["-sS", "-m", "60", "-o", "/dev/null", &setup.url(&format!("/bytes/[1-{count}]"))]);
    };
    exchange(1);
    let mut running = Command::new("curl")
        .args(["-sS", "-m", "30", &setup.url("/slow?ms=3000")])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1000));
    exchange(20);
    wait_for_lines(log, 21);
    std::fs::rename(log, old).unwrap();
    proxy.signal(rustix::process::Signal::USR1);
    assert!(running.wait().unwrap().success());
    wait_for_lines(log, 1);
    let (code, said, _) = ringway_ends(&["audit", old]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("1 pick is not told yet"), "{said}");
    let (code, said, _) = ringway_ends(&["audit", old, log]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("kept: 22 picks in 1 cycle"), "{said}");
    proxy.interrupt();
    assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
    let _next = Proxy::run(runtime, &config, &[setup.listener]);
    exchange(5);
    wait_for_lines(log, 6);
    let (code, said, _) = ringway_ends(&["audit", old, log]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("kept: 27 picks in 2 cycles"), "{said}");
    let (code, said, _) = ringway_ends(&["audit", old]);
    assert_eq!(code, Some(75), "{said}");
    std::fs::write(log, std::fs::read_to_string(log).unwrap().split_once('\n').unwrap().1).unwrap();
    let (code, said, _) = ringway_ends(&["audit", old, log]);
    assert_eq!(code, Some(1), "the later process tells that the earlier one has stopped: {said}");
    assert!(said.ends_with("lacks pick 1"), "{said}");
}

fn lines_that_a_full_disk_does_not_take_are_counted(runtime: &str) {
    let backends = start(&Addresses::ephemeral(0)).unwrap();
    let (setup, admin) = (OneUpstream::new(&[backends.addresses().default]), free_address());
    let access = setup.config().lines().find(|line| line.starts_with("access = ")).unwrap();
    let config = setup.config().replace(access, "access = \"/dev/full\"");
    let config = format!("{config}[admin]\naddress = \"{admin}\"\n");
    let mut proxy = Proxy::run(runtime, &config, &[setup.listener]);
    tool("curl", &["-sS", "-m", "60", "-o", "/dev/null", &setup.url("/bytes/[1-7]")]);
    let url = format!("http://{admin}/metrics");
    let is_counted = || curl(&[&url]).text().contains("\nringway_log_lines_dropped_total 7\n").then_some(());
    wait_for("seven lines are counted as dropped", PATIENCE, is_counted);
    proxy.interrupt();
    assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
    let said = proxy.stderr().join("\n");
    assert_eq!(said.matches("the access log cannot be written").count(), 1, "{said}");
}
