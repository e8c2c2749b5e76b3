//! Attempts that failed: each is counted for the backend that failed it, whoever has answered in the end.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ringway_backends::{Addresses, start};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::admin::promtool_takes;
use crate::support::curl::curl;
use crate::support::{OneUpstream, PATIENCE, Proxy, free_address, tool, wait_for};

on_each_runtime!(
    dead_backends_are_counted_although_another_one_answers,
    an_attempt_that_nothing_follows_is_counted_with_its_exchange,
    a_connection_that_was_closed_meanwhile_is_counted_although_its_backend_answers,
);

struct Scene {
    setup: OneUpstream,
    admin: SocketAddr,
    _proxy: Proxy,
}

impl Scene {
    fn new(runtime: &str, backends: &[SocketAddr]) -> Self {
        let (setup, admin) = (OneUpstream::new(backends), free_address());
        let more = format!("[timeouts]\nconnect = \"300ms\"\n[admin]\naddress = \"{admin}\"\n");
        let proxy = Proxy::run(runtime, &format!("{}{more}", setup.config()), &[setup.listener]);
        Self { setup, admin, _proxy: proxy }
    }

    /// What `attempts=` of the access log sums to, once so many exchanges are over.
    fn attempts(&self, exchanges: usize) -> u64 {
        let lines = self.setup.log_lines(exchanges);
        let of_line = |line: &String| -> u64 {
            line.split(' ').find_map(|field| field.strip_prefix("attempts=")).unwrap().parse().unwrap()
        };
        lines.iter().map(of_line).sum()
    }

    fn page(&self, path: &str) -> String {
        let answer = curl(&[&format!("http://{}{path}", self.admin)]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text().to_owned()
    }

    fn metrics(&self) -> Metrics {
        let text = self.page("/metrics");
        promtool_takes(&text);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        Metrics(samples.map(sample).collect())
    }

    fn backends(&self) -> Vec<Value> {
        let upstreams: Value = serde_json::from_str(&self.page("/upstreams")).unwrap();
        upstreams[0]["backends"].as_array().unwrap().clone()
    }
}

/// Samples by their names with labels.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// A sample of a backend, or of one label of it.
    fn of(&self, name: &str, backend: SocketAddr, failure: Option<&str>) -> Option<u64> {
        let failure = failure.map_or_else(String::new, |failure| format!(",failure=\"{failure}\""));
        let value = self.0.get(&format!("{name}{{upstream=\"all\",backend=\"{backend}\"{failure}}}"))?;
        Some(*value as u64)
    }

    /// All samples of a metric, by their labels.
    fn all(&self, name: &str) -> BTreeMap<&str, f64> {
        self.0.iter().filter_map(|(key, value)| Some((key.strip_prefix(name)?, *value))).collect()
    }
}

/// A listener whose backlog is full: the kernel drops what asks for a connection. It is so for as long as this lives.
struct Silent {
    address: SocketAddr,
    _held: (Socket, Vec<std::io::Result<TcpStream>>),
}

impl Silent {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(100));
        Self { address, _held: (socket, (0..4).map(connect).collect()) }
    }
}

/// A backend that answers so many requests on each connection, and closes it when one more has come.
fn closing_after(answers: usize) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                for _ in 0..answers {
                    if matches!(stream.read(&mut bytes), Ok(0) | Err(_)) {
                        return;
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
                let _ = stream.read(&mut bytes);
            });
        }
    });
    address
}

const FAILED: &str = "ringway_attempt_failures_total";

fn dead_backends_are_counted_although_another_one_answers(runtime: &str) {
    const REQUESTS: usize = 6;
    let (silent, refusing) = (Silent::new(), free_address());
    let backends = start(&Addresses::ephemeral(1)).unwrap();
    let good = backends.addresses().cluster[0];
    let scene = Scene::new(runtime, &[silent.address, refusing, good]);
    for _ in 0..REQUESTS {
        assert_eq!(curl(&[&scene.setup.url("/")]).status, 200);
    }
    let attempts = scene.attempts(REQUESTS);
    let metrics = scene.metrics();
    assert!(metrics.all("ringway_failures_total").is_empty(), "every client has its answer");
    let mut tried = metrics.of("ringway_attempts_total", good, None).unwrap();
    assert_eq!(tried, REQUESTS as u64, "the good one is tried once for each");
    let dead = [(silent.address, "backend.connect.timed-out"), (refusing, "backend.connect.refused")];
    for (number, (address, label)) in dead.into_iter().enumerate() {
        let failed = metrics.of(FAILED, address, Some(label)).unwrap();
        tried += failed;
        assert!(failed > 0, "{address}");
        assert_eq!(metrics.of("ringway_attempts_total", address, None), Some(failed));
        assert_eq!(metrics.of("ringway_backend_ejections_total", address, None), Some(failed));
        let told = &scene.backends()[number];
        assert_eq!(told["failed_attempts"], json!({ label: failed }));
        assert_eq!(told["ejections"], failed);
    }
    assert_eq!(tried, attempts);
    assert_eq!(metrics.all(FAILED).len(), 2);
    assert_eq!(metrics.of("ringway_backend_ejections_total", good, None), Some(0));
    assert_eq!(scene.backends()[2]["failed_attempts"], json!({}));
    // Nobody has asked again: that it is taken for alive says nothing.
    let all_eligible = || scene.backends().iter().all(|backend| backend["state"] == "eligible").then_some(());
    wait_for("fail-for is over", PATIENCE, all_eligible);
}

fn an_attempt_that_nothing_follows_is_counted_with_its_exchange(runtime: &str) {
    let backend = closing_after(0);
    let scene = Scene::new(runtime, &[backend]);
    let body = tempfile::NamedTempFile::new().unwrap();
    body.as_file().set_len(4 << 20).unwrap();
    assert_eq!(curl(&[&scene.setup.url("/")]).status, 502);
    let upload = format!("@{}", body.path().display());
    assert_eq!(curl(&["-H", "Expect:", "--data-binary", &upload, &scene.setup.url("/")]).status, 502);
    assert_eq!(scene.attempts(2), 2);
    let metrics = scene.metrics();
    let failed = metrics.all(FAILED);
    assert_eq!(failed.values().sum::<f64>(), 2.0, "{failed:?}");
    assert_eq!(failed, metrics.all("ringway_failures_total"));
    assert_eq!(metrics.of("ringway_attempts_total", backend, None), Some(2));
    assert_eq!(metrics.of("ringway_backend_ejections_total", backend, None), Some(0), "it has refused none");
}

fn a_connection_that_was_closed_meanwhile_is_counted_although_its_backend_answers(runtime: &str) {
    let backend = closing_after(1);
    let scene = Scene::new(runtime, &[backend]);
    // Both over one connection of the client: the second one meets the backend's connection of the first.
    let said = tool("curl", &["-sS", "-m", "60", "-w", "%{http_code} ", &scene.setup.url("/[1-2]")]);
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["200", "200"]);
    assert_eq!(scene.attempts(2), 3);
    let metrics = scene.metrics();
    let label = "backend.response-head.closed";
    assert_eq!(metrics.of(FAILED, backend, Some(label)), Some(1), "{:?}", metrics.all(FAILED));
    assert_eq!(metrics.of("ringway_attempts_total", backend, None), Some(3));
    assert!(metrics.all("ringway_failures_total").is_empty());
}
