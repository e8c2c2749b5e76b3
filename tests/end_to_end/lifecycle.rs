//! How the program starts and ends: ports in use, and a drain that lets running exchanges finish.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use ringway_backends::{Addresses, start};

use crate::support::curl::curl;
use crate::support::{OneUpstream, PATIENCE, free_address, ringway_ends, wait_for};

on_each_runtime!(
    a_drain_lets_a_slow_exchange_finish,
    a_drain_does_not_wait_for_idle_connections,
    a_drain_writes_the_whole_access_log,
    a_port_in_use_is_named,
);

fn a_drain_lets_a_slow_exchange_finish(runtime: &str) {
    let backends = start(&Addresses::ephemeral(0)).unwrap();
    let setup = OneUpstream::new(&[backends.addresses().default]);
    let mut proxy = setup.run(runtime);
    let url = setup.url("/slow?ms=2000");
    let slow = thread::spawn(move || curl(&[&url]));
    thread::sleep(Duration::from_millis(500));
    proxy.interrupt();
    wait_for("nothing is accepted any more", Duration::from_secs(1), || {
        TcpStream::connect(setup.listener).is_err().then_some(())
    });
    assert!(!slow.is_finished(), "the listener closes while the exchange still runs");
    let answer = slow.join().unwrap();
    assert_eq!((answer.status, answer.text()), (200, "That took 2000 ms.\n"));
    assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
    assert_eq!(setup.log_lines(1).len(), 1);
}

fn a_drain_does_not_wait_for_idle_connections(runtime: &str) {
    let backends = start(&Addresses::ephemeral(1)).unwrap();
    let setup = OneUpstream::new(&backends.addresses().cluster);
    let mut proxy = setup.run(runtime);
    let mut idle = TcpStream::connect(setup.listener).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 4096];
    assert!(idle.read(&mut answer).unwrap() > 0);
    proxy.interrupt();
    assert_eq!(proxy.ended(Duration::from_secs(5)).code(), Some(0));
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
}

fn a_drain_writes_the_whole_access_log(runtime: &str) {
    let backends = start(&Addresses::ephemeral(1)).unwrap();
    let setup = OneUpstream::new(&backends.addresses().cluster);
    let mut proxy = setup.run(runtime);
    crate::support::tool("curl", &["-sS", "-m", "60", "-o", "/dev/null", &setup.url("/[1-500]")]);
    proxy.interrupt();
    assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
    assert_eq!(setup.log_lines(500).len(), 500);
}

fn a_port_in_use_is_named(runtime: &str) {
    let setup = OneUpstream::new(&[free_address()]);
    let _taken = TcpListener::bind(setup.listener).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), setup.config()).unwrap();
    let path = file.path().to_str().unwrap();
    let (code, _, said) = ringway_ends(&["run", "--config", path, "--runtime", runtime]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&setup.listener.to_string()) && said.contains("in use"), "{said}");
}

/// A second proxy does not share the first one's address, though both would set `SO_REUSEPORT`.
#[test]
fn two_proxies_do_not_share_an_address() {
    let setup = OneUpstream::new(&[free_address()]);
    let _first = setup.run("threads");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), setup.config()).unwrap();
    let (code, _, said) = ringway_ends(&["run", "--config", file.path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&setup.listener.to_string()), "{said}");
}
