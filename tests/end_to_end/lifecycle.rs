//! How the program starts and ends: ports in use, and a drain that lets running exchanges finish.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use ringway_backends::{Addresses, start};

use crate::support::curl::curl;
use crate::support::{OneUpstream, PATIENCE, Proxy, free_address, ringway, ringway_ends, wait_for};

on_each_runtime!(
    a_drain_lets_a_slow_exchange_finish,
    a_drain_does_not_wait_for_idle_connections,
    a_drain_serves_whoever_is_connected,
    a_drain_does_not_wait_long_for_a_first_word,
    a_drain_writes_the_whole_access_log,
    a_signal_right_after_the_start_drains,
    nobody_who_reads_the_log_keeps_the_process,
    what_runs_when_the_drain_is_out_of_time_is_cut,
    what_runs_when_a_second_signal_comes_is_cut,
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

/// Whether the proxy had taken the connection or it waited in the backlog; the request may still be on its way.
fn a_drain_serves_whoever_is_connected(runtime: &str) {
    let backends = start(&Addresses::ephemeral(1)).unwrap();
    let setup = OneUpstream::new(&backends.addresses().cluster);
    let mut proxy = setup.run(runtime);
    let mut clients: Vec<_> = (0..200).map(|_| TcpStream::connect(setup.listener).unwrap()).collect();
    proxy.interrupt();
    thread::sleep(Duration::from_millis(200));
    for client in &mut clients {
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    for (place, client) in clients.iter_mut().enumerate() {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{place}: {answer:?}");
    }
    assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
}

fn a_drain_does_not_wait_long_for_a_first_word(runtime: &str) {
    let backends = start(&Addresses::ephemeral(1)).unwrap();
    let setup = OneUpstream::new(&backends.addresses().cluster);
    let mut proxy = setup.run(runtime);
    let mut silent = TcpStream::connect(setup.listener).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    proxy.interrupt();
    assert_eq!(silent.read(&mut [0; 64]).unwrap(), 0, "closed without a word");
    assert_eq!(proxy.ended(Duration::from_secs(8)).code(), Some(0), "before the time for a head is over");
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

fn a_signal_right_after_the_start_drains(runtime: &str) {
    for _ in 0..5 {
        let setup = OneUpstream::new(&[free_address()]);
        let mut proxy = setup.run(runtime);
        proxy.interrupt();
        assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
    }
}

/// A process that is killed when the test is over, if it has not ended.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself, which is what both errors would say.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Neither the log thread nor, where workers are told to wait for it, a worker.
fn nobody_who_reads_the_log_keeps_the_process(runtime: &str) {
    let backends = start(&Addresses::ephemeral(1)).unwrap();
    for when_full in ["drop", "wait"] {
        let setup = OneUpstream::new(&backends.addresses().cluster);
        let log_file = setup.config().lines().find(|line| line.starts_with("access = ")).unwrap();
        let config = setup.config().replace(log_file, "access = \"stdout\"").replace("wait", when_full);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{config}[timeouts]\ndrain = \"1s\"\n")).unwrap();
        let arguments = ["run", "--config", file.path().to_str().unwrap(), "--runtime", runtime];
        let mut proxy = Killed(ringway(&arguments).spawn().unwrap());
        wait_for("the proxy accepts", PATIENCE, || TcpStream::connect(setup.listener).ok());
        // More than a pipe and the queues hold, until a worker waits.
        let url = setup.url(&format!("/[1-1500]?{}", "x".repeat(2000)));
        let arguments = ["-sS", "-m", "2", "--fail-early", "-o", "/dev/null", &url];
        let curl = Command::new("curl").args(arguments).stderr(Stdio::null()).status().unwrap();
        assert_eq!(curl.success(), when_full == "drop");
        let pid = rustix::process::Pid::from_child(&proxy.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = wait_for("the proxy ends", Duration::from_secs(10), || proxy.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{when_full}");
        let mut said = String::new();
        proxy.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("nobody takes the access log"), "{when_full}: {said}");
    }
}

fn what_runs_when_the_drain_is_out_of_time_is_cut(runtime: &str) {
    let backends = start(&Addresses::ephemeral(0)).unwrap();
    let setup = OneUpstream::new(&[backends.addresses().default]);
    let config = format!("{}[timeouts]\ndrain = \"1s\"\n", setup.config());
    let mut proxy = Proxy::run(runtime, &config, &[setup.listener]);
    let mut client = TcpStream::connect(setup.listener).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // Without a length, FIN would be the end of the body.
    client.write_all(b"GET /bytes/1000000000 HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 1024]).unwrap();
    proxy.interrupt();
    assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
    let error = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let lines = setup.log_lines(1);
    assert!(lines[0].ends_with("end=proxy.response-body.stopped"), "{lines:?}");
}

fn what_runs_when_a_second_signal_comes_is_cut(runtime: &str) {
    let backends = start(&Addresses::ephemeral(0)).unwrap();
    let setup = OneUpstream::new(&[backends.addresses().default]);
    let mut proxy = setup.run(runtime);
    let mut client = TcpStream::connect(setup.listener).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // Without a length, FIN would be the end of the body.
    client.write_all(b"GET /bytes/1000000000 HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 1024]).unwrap();
    proxy.interrupt();
    wait_for("it drains", PATIENCE, || {
        proxy.stderr().iter().any(|line| line.contains("draining")).then_some(())
    });
    proxy.interrupt();
    assert_eq!(proxy.ended(PATIENCE).code(), Some(1));
    let error = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
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
