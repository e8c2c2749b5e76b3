//! `ringway latency` and `ringway top` as they are used: in pipes, on a terminal, over a restart of the proxy, and what another
//! program reads from the files that they save.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use ringway_backends::{Addresses, Running, start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{OneUpstream, PATIENCE, Proxy, free_address, ringway, ringway_ends, tool, wait_for};

/// Backends, and a proxy before them that can be started more than once.
struct Scene {
    backends: Running,
    setup: OneUpstream,
    admin: SocketAddr,
}

impl Scene {
    fn new() -> Self {
        let backends = start(&Addresses::ephemeral(5)).unwrap();
        let setup = OneUpstream::new(&backends.addresses().cluster);
        Self { backends, setup, admin: free_address() }
    }

    fn proxy(&self) -> Proxy {
        let config = format!("{}[admin]\naddress = \"{}\"\n", self.setup.config(), self.admin);
        Proxy::run("auto", &config, &[self.setup.listener])
    }

    fn exchange(&self, count: usize) {
        tool("curl", &["-sS", "-m", "60", "-o", "/dev/null", &self.setup.url(&format!("/[1-{count}]"))]);
    }

    /// `ringway latency`, which ends by itself.
    fn latency(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        ringway_ends(&[&["latency", "--admin", &self.admin.to_string()], arguments].concat())
    }

    /// What it prints where all is well.
    fn says(&self, arguments: &[&str]) -> String {
        let (code, said, errors) = self.latency(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        said
    }

    /// `ringway top` on a terminal, which script(1) of util-linux gives it; the modes of that terminal are told behind it.
    fn top(&self) -> (Child, Screen) {
        let top = format!("{} top --admin {}", env!("CARGO_BIN_EXE_ringway"), self.admin);
        let shell =
            format!("stty cols 80 rows 24; {top}; code=$?; echo ended $code, modes: $(stty -a); exit $code");
        let mut script = Command::new("script");
        script.args(["-qec", &shell, "/dev/null"]).env("TERM", "xterm-256color");
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let screen = Screen::of(script.stdout.take().unwrap());
        (script, screen)
    }

    /// Each exchange is counted a moment after the client has its answer.
    fn wait_for_count(&self, count: usize) {
        wait_for(&format!("{count} exchanges"), PATIENCE, || {
            let said = self.says(&["--phase", "total"]);
            said.contains(&format!(" {count} ")).then_some(())
        });
    }
}

#[test]
fn a_watch_in_a_pipe_goes_on_over_a_restart_and_writes_no_escapes() {
    let scene = Scene::new();
    let proxy = scene.proxy();
    let arguments = ["latency", "--watch", "--admin", &scene.admin.to_string()];
    let watch = Proxy::through(ringway(&arguments), &[]);
    let told = |what: &str| watch.stdout().iter().filter(|line| line.contains(what)).count();
    wait_for("a first table", PATIENCE, || (told("since the start") == 1).then_some(()));
    wait_for("one of a second", PATIENCE, || (told("in the last ") >= 1).then_some(()));
    drop(proxy);
    wait_for("it notices", PATIENCE, || watch.stderr().concat().contains("trying again").then_some(()));
    let _proxy = scene.proxy();
    wait_for("it begins anew", PATIENCE, || (told("since the start") == 2).then_some(()));
    let before = told("in the last ");
    wait_for("and goes on", PATIENCE, || (told("in the last ") > before).then_some(()));
    assert!(!watch.stdout().concat().contains('\x1b'), "{:?}", watch.stdout());
    assert_eq!(watch.stderr().len(), 1, "one notice a silence: {:?}", watch.stderr());
}

#[test]
fn a_watch_ends_when_nobody_reads_it() {
    let scene = Scene::new();
    let _proxy = scene.proxy();
    let mut watch = ringway(&["latency", "--watch", "--admin", &scene.admin.to_string()]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ended = wait_for("it ends", PATIENCE, || watch.try_wait().unwrap());
    assert_eq!((ended.code(), line.as_str()), (Some(0), "no exchanges since the start\n"));
}

#[test]
fn top_keeps_its_figures_while_the_proxy_is_away() {
    let scene = Scene::new();
    let proxy = scene.proxy();
    let (mut script, screen) = scene.top();
    let begun = screen.until("figuressincethestart", 0);
    drop(proxy);
    let lost = screen.until("cannotbereachedsince", begun);
    let _proxy = scene.proxy();
    screen.until("figuressincethestart", lost);
    // The first key means nothing.
    script.stdin.take().unwrap().write_all(b"xq").unwrap();
    let ended = wait_for("q ends it", PATIENCE, || script.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn top_gives_the_terminal_back_when_it_is_told_to_end() {
    let scene = Scene::new();
    let _proxy = scene.proxy();
    let (mut script, screen) = scene.top();
    let begun = screen.until("figuressincethestart", 0);
    let top = process(&format!("{} top --admin {}", env!("CARGO_BIN_EXE_ringway"), scene.admin));
    kill_process(top, Signal::TERM).unwrap();
    let ended = wait_for("SIGTERM ends it", PATIENCE, || script.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
    let modes = screen.until("ended0,modes:", begun);
    screen.until("isigicanoniexten", modes);
}

/// The process with this command line, which begins no other one.
fn process(line: &str) -> Pid {
    let is_it = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ").trim() == line
    };
    let names = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let pid = names.filter_map(|name| name.to_str()?.parse().ok()).find(is_it).unwrap();
    Pid::from_raw(pid).unwrap()
}

/// What was written to a terminal, without blanks, which may as well be jumped over, and escapes.
struct Screen(Arc<Mutex<String>>);

impl Screen {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let seen = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            let (mut all, mut some) = (Vec::new(), [0; 4096]);
            while let Some(count) = pipe.read(&mut some).ok().filter(|count| *count > 0) {
                all.extend(&some[..count]);
                *into.lock().unwrap() = plain(&String::from_utf8_lossy(&all));
            }
        });
        Self(seen)
    }

    /// Waits for a text behind a place, and gives the place behind it.
    fn until(&self, what: &str, from: usize) -> usize {
        wait_for(what, PATIENCE, || {
            let seen = self.0.lock().unwrap();
            seen.get(from..)?.find(what).map(|at| from + at + what.len())
        })
    }
}

/// Without `ESC [ … letter` and blanks. What is cut off at the end comes whole the next time.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    let shown =
        parts.map(|part| part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, shown)| shown));
    (first + &shown.collect::<String>()).replace(' ', "")
}

#[test]
fn top_wants_a_terminal() {
    let (code, _, errors) = ringway_ends(&["top"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("`ringway latency --watch`"), "{errors}");
}

#[test]
fn names_that_do_not_exist_are_told_and_not_taken_for_idleness() {
    let scene = Scene::new();
    let _proxy = scene.proxy();
    let backend = scene.backends.addresses().cluster[0].to_string();
    for (arguments, says) in [
        (&["--upstream", "al"][..], "there is no upstream \"al\"; did you mean \"all\"?\n  known: \"all\""),
        (&["--by", "all", "--upstream", "none"], "there is no upstream \"none\""),
        (&["--watch", "--upstream", "none"], "there is no upstream \"none\""),
        (&["--backend", "127.0.0.1:1"], backend.as_str()),
        (&["--phase", "totl"], "a similar value exists: 'total'"),
        (&["--hgrm", "never-written", "--by", "backend"], "--hgrm saves one distribution"),
        (&["--hgrm", "/nowhere/a"], "no exchanges yet"),
        (&["--plot", "never-written.png"], "name the file never-written.svg"),
        (&["--diff", "a", "b", "--plot", "never-written.png"], "--plot draws SVG"),
        (&["--for", "30"], "30s"),
        (&["--for", "1s", "--watch"], "cannot be used with"),
        (&["--diff", "a", "b", "--upstream", "all"], "cannot be used with"),
    ] {
        let (code, said, errors) = scene.latency(arguments);
        assert_eq!((code, said.as_str()), (Some(1), ""), "{arguments:?}: {errors}");
        assert!(errors.contains(says), "{arguments:?}: {errors}");
    }
}

#[test]
fn rows_and_curves_are_what_was_asked_for() {
    let scene = Scene::new();
    let _proxy = scene.proxy();
    scene.exchange(50);
    scene.wait_for_count(50);
    let backend = scene.backends.addresses().cluster[0].to_string();
    let names = |arguments: &[&str]| {
        let said = scene.says(&[&["--phase", "total"], arguments].concat());
        said.lines().skip(2).map(|line| line.split("  ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["all"]);
    assert_eq!(names(&["--by", "all"]), ["all upstreams"]);
    assert_eq!(names(&["--by", "all", "--upstream", "all"]), ["all"], "all of that upstream");
    assert_eq!(names(&["--by", "backend"]).len(), 5);
    assert_eq!(names(&["--backend", &backend]), [format!("all {backend}")]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.svg").to_str().unwrap().to_owned();
    let said = scene.says(&["--plot", &path, "--by", "backend"]);
    assert_eq!(
        said.lines().filter(|line| line.ends_with(", 10 exchanges since the start")).count(),
        5,
        "{said}"
    );
    let svg = fs::read_to_string(&path).unwrap();
    assert!(svg.contains(&format!("all {backend}: 10 exchanges")), "{svg}");
}

#[test]
fn an_interval_holds_what_came_meanwhile_and_no_more() {
    let scene = Scene::new();
    let _proxy = scene.proxy();
    scene.exchange(50);
    scene.wait_for_count(50);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [hgrm, svg, hlog, all] = ["part.hgrm", "part.svg", "part.hlog", "all.hgrm"].map(path);
    let arguments = ["--for", "1s", "--by", "all", "--hgrm", &hgrm, "--plot", &svg, "--hlog", &hlog];
    let said = std::thread::scope(|scope| {
        let part = scope.spawn(|| scene.says(&arguments));
        while !part.is_finished() {
            scene.exchange(1);
        }
        part.join().unwrap()
    });
    assert!(said.lines().count() == 3 && said.lines().all(|line| line.ends_with(" s")), "{said}");
    scene.says(&["--hgrm", &all]);
    let diff = scene.says(&["--diff", &hgrm, &all]);
    let counts: Vec<u64> =
        diff.lines().nth(1).unwrap().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] > 0 && counts[0] + 50 <= counts[1], "{diff}");
    assert!(diff.contains("all holds everything since the start"), "{diff}");
    assert!(fs::read_to_string(&svg).unwrap().contains("total, in "));
    let (code, _, errors) = scene.latency(&["--diff", &hgrm, &hlog]);
    assert!(code == Some(1) && errors.contains("part.hlog: an interval log"), "{errors}");
    let table = scene.says(&["--for", "10ms"]);
    assert!(table.starts_with("in the last ") || table.starts_with("no exchanges in the last "), "{table}");
}

/// Each tag of an interval log with its count and percentiles, by the values and counts that the reader gives.
const READER: &str = "
import json, math, sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 3600000000, 3))
read = {}
while (histogram := reader.get_next_interval_histogram()) is not None:
    steps = [(item.value_iterated_to, item.count_added_in_this_iter_step)
             for item in histogram.get_recorded_iterator()]
    def at(quantile):
        rank, passed = math.ceil(quantile * histogram.get_total_count()), 0
        for value, count in steps:
            passed += count
            if passed >= rank:
                return histogram.get_highest_equivalent_value(value)
        return 0
    read[histogram.get_tag()] = [histogram.get_total_count()] + [at(q) for q in (0.5, 0.9, 0.99, 0.999)]
print(json.dumps(read))
";

/// `scripts/hdr` installs the reader, which is none of ours: `hdrhistogram` of PyPI.
#[test]
fn an_interval_log_is_read_by_another_program_with_the_same_figures() {
    let Some(python) = std::env::var_os("HDR_PYTHON") else {
        eprintln!("skipped: HDR_PYTHON names no python with hdrhistogram of PyPI: scripts/hdr does");
        return;
    };
    let scene = Scene::new();
    let _proxy = scene.proxy();
    scene.exchange(500);
    scene.wait_for_count(500);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("all.hlog").to_str().unwrap().to_owned();
    scene.says(&["--hlog", &log]);
    let read = tool(python.to_str().unwrap(), &["-c", READER, &log]);
    let read: Value = serde_json::from_str(&read).unwrap();
    let answer = tool("curl", &["-sS", &format!("http://{}/latency", scene.admin)]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let rows = answer["series"].as_array().unwrap();
    assert_eq!(read.as_object().unwrap().len(), rows.len(), "{read}");
    for row in rows {
        let name = |key: &str| row[key].as_str().unwrap();
        let theirs = &read[format!("{}/{}/{}", name("upstream"), name("backend"), name("phase"))];
        assert_eq!(theirs[0], row["count"], "{row}");
        for (index, percentile) in ["p50", "p90", "p99", "p99.9"].into_iter().enumerate() {
            // The upper end of a bucket may lie above the largest value, which we know.
            let theirs = theirs[index + 1].as_u64().unwrap().min(row["max"].as_u64().unwrap());
            assert_eq!(row[percentile], theirs, "{percentile} of {row}");
        }
    }
}
