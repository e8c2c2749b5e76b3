//! Round robin is exact: ten thousand requests to five backends are two thousand each, whoever asks and however.

use ringway_backends::{Addresses, Running, start};

use crate::support::{OneUpstream, PATIENCE, tool, wait_for};

on_each_runtime!(
    ab_with_a_connection_each,
    ab_with_connections_kept,
    curl_on_one_connection,
    wrk_on_many_connections,
    a_weight_is_a_share,
);

const REQUESTS: usize = 10_000;

fn five() -> (Running, OneUpstream) {
    let backends = start(&Addresses::ephemeral(5)).unwrap();
    let setup = OneUpstream::new(&backends.addresses().cluster);
    (backends, setup)
}

/// Both the backends and the access log counted two thousand each.
fn assert_two_thousand_each(backends: &Running, setup: &OneUpstream) {
    assert_eq!(backends.answered(), [2000; 5]);
    let lines = setup.log_lines(REQUESTS);
    assert_eq!(lines.len(), REQUESTS, "one line an exchange");
    for backend in &backends.addresses().cluster {
        let count =
            lines.iter().filter(|line| line.contains(&format!("backend={backend} status=200"))).count();
        assert_eq!(count, 2000, "{backend} in the access log");
    }
}

/// Runs ab and asserts that it got what it wanted, every time.
pub(crate) fn ab(arguments: &[&str], url: &str) {
    let count = REQUESTS.to_string();
    let fixed = ["-q", "-s", "60", "-n", &count, "-c", "10"];
    let report = tool("ab", &[&fixed, arguments, &[url]].concat());
    let has = |name: &str, value: &str| {
        report.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.trim() == value))
    };
    assert!(has("Complete requests:", &count) && has("Failed requests:", "0"), "{report}");
    assert!(!report.contains("Non-2xx"), "{report}");
}

fn ab_with_a_connection_each(runtime: &str) {
    let (backends, setup) = five();
    let _proxy = setup.run(runtime);
    ab(&[], &setup.url("/"));
    assert_two_thousand_each(&backends, &setup);
}

fn ab_with_connections_kept(runtime: &str) {
    let (backends, setup) = five();
    let _proxy = setup.run(runtime);
    ab(&["-k"], &setup.url("/"));
    assert_two_thousand_each(&backends, &setup);
}

fn curl_on_one_connection(runtime: &str) {
    let (backends, setup) = five();
    let _proxy = setup.run(runtime);
    let bodies = tool("curl", &["-sS", "--fail", "-m", "100", &setup.url("/[1-10000]")]);
    assert_eq!(bodies.lines().count(), REQUESTS);
    assert_two_thousand_each(&backends, &setup);
}

fn wrk_on_many_connections(runtime: &str) {
    let (backends, setup) = five();
    let _proxy = setup.run(runtime);
    let report = tool("wrk", &["-t", "2", "-c", "64", "-d", "3s", "--timeout", "10s", &setup.url("/")]);
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    // wrk leaves with a request under way on each connection: the last of them may be answered a little later.
    let counts = wait_for("equal counts", PATIENCE, || {
        let counts = backends.answered();
        (counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1).then_some(counts)
    });
    let words: Vec<&str> = report.split_whitespace().collect();
    let place = words.windows(2).position(|pair| pair == ["requests", "in"]).unwrap();
    let completed: u64 = words[place - 1].parse().unwrap();
    let answered: u64 = counts.iter().sum();
    assert!((completed..=completed + 64).contains(&answered), "{answered} answered\n{report}");
}

fn a_weight_is_a_share(runtime: &str) {
    let backends = start(&Addresses::ephemeral(2)).unwrap();
    let [one, three] = backends.addresses().cluster[..] else { unreachable!("two were asked for") };
    let setup = OneUpstream::new(&[one, three]);
    let weighted =
        setup.config().replace(&format!("\"{three}\""), &format!("{{ address = \"{three}\", weight = 3 }}"));
    let _proxy = crate::support::Proxy::run(runtime, &weighted, &[setup.listener]);
    ab(&["-k"], &setup.url("/"));
    assert_eq!(backends.answered(), [2500, 7500]);
}
