//! The admin API, asked by curl and by the program's own commands.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use ringway_backends::{Addresses, Running, start};
use serde_json::Value;

use crate::support::curl::curl;
use crate::support::{OneUpstream, PATIENCE, Proxy, free_address, ringway_ends, tool, wait_for};

on_each_runtime!(
    latency_counts_every_exchange_and_its_phases_sum,
    two_readers_see_each_exchange_once_each,
    upstreams_and_backends_are_of_one_moment,
    metrics_pass_promtool,
    state_is_told,
    what_is_asked_for_wrongly_is_told,
    pipelined_questions_are_all_answered,
    half_sent_requests_are_closed_and_idle_connections_are_kept,
    one_connection_too_many_is_refused_if_none_is_idle,
    a_unix_socket_serves_too_and_is_removed,
    a_drain_is_told,
    the_control_plane_gives_way_to_the_workers,
    commands_show_what_the_api_tells,
);

const REQUESTS: usize = 50;

struct Scene {
    backends: Running,
    setup: OneUpstream,
    admin: SocketAddr,
    proxy: Proxy,
}

impl Scene {
    fn new(runtime: &str, more: &str) -> Self {
        let backends = start(&Addresses::ephemeral(5)).unwrap();
        let setup = OneUpstream::new(&backends.addresses().cluster);
        let admin = free_address();
        let config = format!("{}[admin]\naddress = \"{admin}\"\n{more}", setup.config());
        let proxy = Proxy::run(runtime, &config, &[setup.listener]);
        Self { backends, setup, admin, proxy }
    }

    fn exchange(&self, count: usize) {
        tool("curl", &["-sS", "-m", "60", "-o", "/dev/null", &self.setup.url(&format!("/[1-{count}]"))]);
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    fn text(&self, path: &str) -> String {
        let answer = curl(&[&self.url(path)]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text().to_owned()
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    /// Exchanges of the total, in an answer of `/latency`, once there are as many: the client has its answer a moment
    /// before the record is taken.
    fn wait_for_count(&self, path: &str, expected: u64) -> Value {
        wait_for(&format!("{expected} exchanges"), PATIENCE, || {
            let answer = self.json(path);
            (count(&answer) >= expected).then_some(answer)
        })
    }
}

fn rows<'a>(answer: &'a Value, phase: &'a str) -> impl Iterator<Item = &'a Value> {
    answer["series"].as_array().unwrap().iter().filter(move |row| row["phase"] == phase)
}

fn count(answer: &Value) -> u64 {
    rows(answer, "total").map(|row| row["count"].as_u64().unwrap()).sum()
}

fn latency_counts_every_exchange_and_its_phases_sum(runtime: &str) {
    let scene = Scene::new(runtime, "");
    scene.exchange(REQUESTS);
    let answer = scene.wait_for_count("/latency", REQUESTS as u64);
    assert_eq!(answer["unit"], "us");
    let counts: Vec<_> = rows(&answer, "total").map(|row| row["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [10; 5], "by backend");
    let all = scene.json("/latency?by=all");
    let mean = |phase: &str| rows(&all, phase).next().unwrap()["mean"].as_f64().unwrap();
    let sum: f64 = ["head", "queue", "connect", "request", "first-byte", "response"].map(mean).iter().sum();
    assert!((sum - mean("total")).abs() < 0.01 && sum > 0.0, "{sum} of {}", mean("total"));
    let total = rows(&all, "total").next().unwrap();
    let values =
        ["p50", "p75", "p90", "p99", "p99.9", "p99.99", "max"].map(|name| total[name].as_u64().unwrap());
    assert!(values.is_sorted() && values[0] > 0, "{total}");
    let saved = scene.text("/latency.hgrm?upstream=all&phase=total");
    assert!(saved.contains(&format!("Total count    = {REQUESTS:>12}]")), "{saved}");
    assert!(scene.text("/latency.hlog").contains("Tag=all/"), "an interval log");
    assert_eq!(curl(&[&scene.url("/latency.hgrm?upstream=none")]).status, 404);
}

fn two_readers_see_each_exchange_once_each(runtime: &str) {
    let scene = Scene::new(runtime, "");
    let begin = || scene.json("/latency")["id"].as_str().unwrap().to_owned();
    let mut ids = [begin(), begin()];
    let mut seen = [0, 0];
    for round in 0..6 {
        scene.exchange(7);
        // The second one reads every other time.
        for reader in (0..2).filter(|reader| *reader == 0 || round % 2 == 1) {
            let answer = scene.json(&format!("/latency?since={}", ids[reader]));
            assert_eq!(answer["since"], ids[reader].as_str());
            seen[reader] += count(&answer);
            ids[reader] = answer["id"].as_str().unwrap().to_owned();
        }
    }
    for reader in 0..2 {
        let rest = |answer: &Value| seen[reader] + count(answer);
        wait_for("each exchange was seen", PATIENCE, || {
            (rest(&scene.json(&format!("/latency?since={}", ids[reader]))) == 42).then_some(())
        });
    }
    assert_eq!(curl(&[&scene.url("/latency?since=1-1")]).status, 410);
}

/// What `top` shows beside each other: with two answers a lone backend would have had more or less than all of it.
fn upstreams_and_backends_are_of_one_moment(runtime: &str) {
    let scene = Scene::new(runtime, "");
    let mut load = Command::new("curl");
    load.args(["-sS", "-m", "60", "-o", "/dev/null"]).arg(scene.setup.url("/[1-20000]"));
    let mut load = load.spawn().unwrap();
    scene.wait_for_count("/latency", 1);
    let mut since = String::new();
    let mut seen = 0;
    while seen < 500 {
        let answer = scene.json(&format!("/latency?by=both{since}"));
        let (upstreams, backends): (Vec<_>, Vec<_>) =
            rows(&answer, "total").partition(|row| row["backend"].is_null());
        let sum = |rows: &[&Value]| rows.iter().map(|row| row["count"].as_u64().unwrap()).sum::<u64>();
        assert_eq!((upstreams.len(), backends.len()), (1, 5));
        assert_eq!(sum(&upstreams), sum(&backends));
        assert!(load.try_wait().unwrap().is_none(), "it is too short");
        seen += sum(&upstreams);
        since = format!("&since={}", answer["id"].as_str().unwrap());
    }
    load.kill().unwrap();
    load.wait().unwrap();
}

fn metrics_pass_promtool(runtime: &str) {
    let scene = Scene::new(runtime, "");
    scene.exchange(REQUESTS);
    scene.wait_for_count("/latency", REQUESTS as u64);
    let text = scene.text("/metrics");
    let sum = |name: &str| -> f64 {
        let values =
            text.lines().filter(|line| line.starts_with(name)).map(|line| line.rsplit(' ').next().unwrap());
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    };
    assert!(sum("ringway_requests_total{") >= REQUESTS as f64, "{text}");
    assert!(text.contains(&format!("ringway_runtime_info{{runtime=\"{runtime}\",reason=\"")), "{text}");
    promtool_takes(&text);
}

pub(crate) fn promtool_takes(metrics: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), metrics).unwrap();
    let stdin = std::fs::File::open(file.path()).unwrap();
    let checked = Command::new("promtool").args(["check", "metrics"]).stdin(stdin).output();
    let output = checked.expect("promtool is not installed: scripts/test installs it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// The counters have room for 16 workers here, however few event loops the runtime has: there are more upstreams than series.
#[test]
fn upstreams_that_share_a_series_are_told_and_pass_promtool() {
    let (listener, admin) = (free_address(), free_address());
    let mut config = format!(
        "[runtime]\nworkers = 16\n[log]\naccess = \"off\"\n[admin]\naddress = \"{admin}\"\n\
         [[listener]]\naddress = \"{listener}\"\n"
    );
    let backends = start(&Addresses::ephemeral(0)).unwrap();
    for number in 0..24 {
        config += &format!(
            "[[route]]\npath = \"/{number}/\"\nupstream = \"u{number}\"\n\
             [[upstream]]\nname = \"u{number}\"\nbackends = [\"{}\"]\n",
            backends.addresses().default
        );
    }
    let proxy = Proxy::run("threads", &config, &[listener]);
    for path in ["", "0/", "20/", "23/"] {
        curl(&[&format!("http://{listener}/{path}")]);
    }
    let text = wait_for("four exchanges are counted", PATIENCE, || {
        let text = curl(&[&format!("http://{admin}/metrics")]).text().to_owned();
        let mut shared = text.lines().filter(|line| line.contains("code=") && line.contains("(others)\",b"));
        shared.any(|line| line.ends_with(" 1")).then_some(text)
    });
    let samples: Vec<_> =
        text.lines().filter_map(|line| line.split_once("} ")).map(|(name, _)| name).collect();
    let unique: std::collections::BTreeSet<_> = samples.iter().collect();
    assert_eq!(unique.len(), samples.len());
    promtool_takes(&text);
    let admin = admin.to_string();
    let said = ringway_ends(&["latency", "--admin", &admin, "--upstream", "u23"]);
    assert_eq!(said.0, Some(1));
    assert!(said.2.contains("u23 has no series of its own: there is room for 18 backends"), "{said:?}");
    let (code, said, _) =
        ringway_ends(&["latency", "--admin", &admin, "--by", "backend", "--phase", "total"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("\nu20 (others) ") && said.contains("\n(others) "), "{said}");
    drop(proxy);
}

fn state_is_told(runtime: &str) {
    let scene = Scene::new(runtime, "");
    scene.exchange(12);
    let upstreams = scene.json("/upstreams");
    let backends = upstreams[0]["backends"].as_array().unwrap();
    let picks: u64 = backends.iter().map(|backend| backend["picks"].as_u64().unwrap()).sum();
    assert_eq!((&upstreams[0]["upstream"], backends.len()), (&"all".into(), 5));
    assert!(picks >= 12 && backends.iter().all(|backend| backend["state"] == "eligible"), "{upstreams}");
    assert_eq!(backends[0]["backend"], scene.backends.addresses().cluster[0].to_string());
    let _open = TcpStream::connect(scene.setup.listener).unwrap();
    let connections = wait_for("one connection is open, and its worker is told", PATIENCE, || {
        let connections = scene.json("/connections");
        let loads = connections["workers"].as_array().unwrap().iter().map(|load| load.as_u64().unwrap());
        (connections["open"] == 1 && loads.sum::<u64>() == 1).then_some(connections)
    });
    assert!(connections["accepted"].as_u64() >= Some(2), "{connections}");
    assert_eq!(scene.json("/version")["runtime"], runtime);
    assert_eq!(scene.text("/ready"), "ready\n");
}

/// A connection to the admin API that has sent this.
fn sent(admin: SocketAddr, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    stream
}

/// What comes until the other side closes the connection.
fn until_closed(mut stream: TcpStream) -> String {
    let mut came = Vec::new();
    match stream.read_to_end(&mut came) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it is not closed: {error}"),
        _ => String::from_utf8(came).unwrap(),
    }
}

fn what_is_asked_for_wrongly_is_told(runtime: &str) {
    let scene = Scene::new(runtime, "");
    let none = curl(&[&scene.url("/latencies")]);
    assert_eq!(none.status, 404);
    assert!(none.text().contains("/latency.hgrm"), "{}", none.text());
    let posted = curl(&["-X", "POST", &scene.url("/metrics")]);
    assert_eq!((posted.status, posted.field("Allow")), (405, Some("GET,HEAD")), "{}", posted.text());
    let head = curl(&["-I", &scene.url("/metrics")]);
    assert_eq!(head.status, 200);
    let misspelt = curl(&[&scene.url("/latency?upsteam=all")]);
    assert_eq!(misspelt.status, 400);
    assert!(misspelt.text().contains("`upsteam`"), "{}", misspelt.text());
    for unknown in ["upstream=none", "backend=none", "phase=none"] {
        assert_eq!(curl(&[&scene.url(&format!("/latency?{unknown}"))]).status, 404, "{unknown}");
    }
    for wrong in ["/latency?by=none", "/latency.hlog?by=all", "/latency.hgrm?by=all", "/latency.hlog?of=all"]
    {
        assert_eq!(curl(&[&scene.url(wrong)]).status, 400, "{wrong}");
    }
    for unknown in ["upstream=none", "backend=none", "phase=none"] {
        assert_eq!(curl(&[&scene.url(&format!("/latency.hlog?{unknown}"))]).status, 404, "{unknown}");
    }
    let filtered = scene.json("/latency?upstream=all&by=upstream&phase=added");
    assert_eq!(filtered["series"].as_array().map(Vec::len), Some(1), "{filtered}");
}

fn pipelined_questions_are_all_answered(runtime: &str) {
    let scene = Scene::new(runtime, "");
    scene.exchange(REQUESTS);
    let ask = "GET /latency?by=all HTTP/1.1\r\nHost: admin\r\n\r\n".repeat(49);
    let last = "GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n";
    let came = until_closed(sent(scene.admin, &format!("{ask}{last}")));
    assert_eq!(came.matches("HTTP/1.1 200 OK").count(), 50);
    assert_eq!(came.matches("\"accept_wait\":{\"count\":").count(), 49);
    assert!(came.contains("\nringway_accept_wait_seconds_sum "), "the last one too");
}

fn half_sent_requests_are_closed_and_idle_connections_are_kept(runtime: &str) {
    let scene = Scene::new(runtime, "");
    let ready = "GET /ready HTTP/1.1\r\nHost: admin\r\n\r\n";
    let mut idle = sent(scene.admin, ready);
    let halves = ["", "GET /version HTTP/1.1\r\nHost: ad"].map(|half| sent(scene.admin, half));
    for half in halves {
        let came = until_closed(half);
        assert!(!came.contains(" 200 "), "{came}");
    }
    idle.write_all(ready.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let came = until_closed(idle);
    assert_eq!(came.matches("HTTP/1.1 200 OK").count(), 2, "{came}");
}

fn one_connection_too_many_is_refused_if_none_is_idle(runtime: &str) {
    let scene = Scene::new(runtime, "");
    let mut idle = sent(scene.admin, "GET /ready HTTP/1.1\r\nHost: admin\r\n\r\n");
    idle.read_exact(&mut [0]).unwrap();
    let mut held: Vec<_> = (0..64).map(|_| sent(scene.admin, "GET /ready HTTP/1.1\r\nHost: ad")).collect();
    let came = until_closed(idle);
    assert!(came.ends_with("ready\n"), "it had its answer, and gave way: {came}");
    assert_eq!(until_closed(sent(scene.admin, "")), "", "it is closed without a word");
    scene.exchange(5);
    // It was not late: one that came before it is still served.
    let mut earlier = held.remove(0);
    earlier.write_all(b"min\r\nConnection: close\r\n\r\n").unwrap();
    assert!(until_closed(earlier).starts_with("HTTP/1.1 200 "));
    drop(held);
    let latency = ["latency", "--admin", &scene.admin.to_string()];
    wait_for("there is room again", PATIENCE, || (ringway_ends(&latency).0 == Some(0)).then_some(()));
    assert!(scene.text("/metrics").contains("\nringway_admin_connections_refused_total 1\n"));
}

fn a_unix_socket_serves_too_and_is_removed(runtime: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let setup = OneUpstream::new(&[free_address()]);
    let config = format!("{}[admin]\naddress = \"unix:{}\"\n", setup.config(), path.display());
    let mut proxy = Proxy::run(runtime, &config, &[setup.listener]);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660, "{mode:o}");
    let answer = curl(&["--unix-socket", path.to_str().unwrap(), "http://admin/version"]);
    assert_eq!(answer.status, 200);
    let admin = format!("unix:{}", path.display());
    let (code, said, _) = ringway_ends(&["latency", "--admin", &admin]);
    assert_eq!((code, said.as_str()), (Some(0), "no exchanges since the start"));
    proxy.interrupt();
    assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
    assert!(!path.exists());
}

fn a_drain_is_told(runtime: &str) {
    let backends = start(&Addresses::ephemeral(0)).unwrap();
    let (setup, admin) = (OneUpstream::new(&[backends.addresses().default]), free_address());
    let config = format!("{}[admin]\naddress = \"{admin}\"\n", setup.config());
    let mut proxy = Proxy::run(runtime, &config, &[setup.listener]);
    let mut slow = Command::new("curl")
        .args(["-sS", "-m", "30", &setup.url("/slow?ms=3000")])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    proxy.interrupt();
    let ready = format!("http://{admin}/ready");
    wait_for("503", Duration::from_secs(2), || (curl(&[&ready]).status == 503).then_some(()));
    assert!(slow.wait().unwrap().success());
    assert_eq!(proxy.ended(PATIENCE).code(), Some(0));
    let said = proxy.stderr().join("\n");
    assert!(said.contains("what was served:") && said.contains("p99.99"), "{said}");
}

/// proc_pid_stat(5): nice is field 19.
fn the_control_plane_gives_way_to_the_workers(runtime: &str) {
    let scene = Scene::new(runtime, "");
    assert_eq!(scene.text("/ready"), "ready\n");
    let pid = scene.proxy.pid().to_string();
    let threads =
        std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    let (main, others): (Vec<_>, Vec<_>) = threads.partition(|thread| thread.ends_with(&pid));
    let nice = |thread: &std::path::PathBuf| {
        let stat = std::fs::read_to_string(thread.join("stat")).unwrap();
        let (name, fields) = stat.rsplit_once(')').unwrap();
        let nice: i32 = fields.split_whitespace().nth(19 - 3).unwrap().parse().unwrap();
        (name.split_once('(').unwrap().1.to_owned(), nice)
    };
    let workers: Vec<_> = others.iter().map(nice).filter(|(name, _)| name.starts_with("worker")).collect();
    let (_, most) = workers.iter().max_by_key(|(_, nice)| *nice).unwrap();
    assert_eq!(nice(&main[0]).1, (most + 10).min(19), "{workers:?}");
}

fn commands_show_what_the_api_tells(runtime: &str) {
    let scene = Scene::new(runtime, "");
    scene.exchange(REQUESTS);
    scene.wait_for_count("/latency", REQUESTS as u64);
    let (admin, folder) = (scene.admin.to_string(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let latency = |arguments: &[&str]| {
        let (code, said, errors) = ringway_ends(&[&["latency", "--admin", &admin], arguments].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        said
    };
    let table = latency(&[]);
    assert!(table.contains("first-byte") && table.contains("p99.99") && table.contains(" 50 "), "{table}");
    latency(&["--plot", &path("a.svg"), "--hgrm", &path("a.hgrm")]);
    assert!(std::fs::read_to_string(path("a.svg")).unwrap().starts_with("<svg"));
    scene.exchange(10);
    scene.wait_for_count("/latency", 60);
    latency(&["--hgrm", &path("b.hgrm")]);
    let diff = latency(&["--diff", &path("a.hgrm"), &path("b.hgrm"), "--plot", &path("both.svg")]);
    assert!(diff.contains("p99.9") && diff.contains("50") && diff.contains("60"), "{diff}");
    let (code, _, said) = ringway_ends(&["latency", "--admin", "127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is the proxy running, with `[admin]`"), "{said}");
    drop(scene.proxy);
}
