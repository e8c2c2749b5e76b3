//! `ringway demo`: its listeners, routes and files, as the first page of the documentation promises them.

use std::net::TcpListener;
use std::process::Command;

use ringway_backends::{Addresses, IMAGES, PDF};

use crate::support::curl::curl;
use crate::support::{DemoPorts, PATIENCE, Proxy, ringway_ends, tool, wait_for, web};

on_each_runtime!(
    says_where_to_look,
    lists_and_files_come_whole,
    a_missing_slash_is_added_and_whole_segments_match,
    a_redirect_comes_back_with_the_prefix,
    ranges_and_conditions_pass,
    host_names_choose_a_server,
    the_cluster_takes_turns,
    each_exchange_is_a_line_on_the_terminal,
    the_printed_configuration_runs,
);

const WEB: &str = "http://127.0.0.1:8080";
const CLUSTER: &str = "http://127.0.0.1:8081";

fn says_where_to_look(runtime: &str) {
    let _ports = DemoPorts::lock();
    let proxy = Proxy::demo(runtime);
    for url in ["http://127.0.0.1:8080/images/", "http://127.0.0.1:8080/pdf/", "http://127.0.0.1:8081/"] {
        wait_for(&format!("the demo prints {url}"), PATIENCE, || {
            let said = [proxy.stdout(), proxy.stderr()].concat();
            said.iter().any(|line| line.contains(url)).then_some(())
        });
    }
    for port in [8888, 8889, 8890, 9000, 9001, 9002, 9003, 9004] {
        assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200, "port {port}");
    }
}

fn lists_and_files_come_whole(runtime: &str) {
    let _ports = DemoPorts::lock();
    let _proxy = Proxy::demo(runtime);
    let start = curl(&[&format!("{WEB}/")]);
    assert_eq!(start.status, 200);
    assert!(start.text().contains("The Ringway demo runs"));
    for (prefix, samples) in [("/images/", IMAGES), ("/pdf/", PDF)] {
        let list = curl(&[&format!("{WEB}{prefix}")]);
        assert_eq!(list.status, 200);
        for sample in samples {
            assert!(list.text().contains(&format!("href=\"{}\"", sample.name)), "{}", sample.name);
            let file = tempfile::NamedTempFile::new().unwrap();
            let url = format!("{WEB}{prefix}{}", sample.name);
            let saved =
                Command::new("curl").args(["-sS", "-m", "30", "-o"]).arg(file.path()).arg(&url).status();
            assert!(saved.unwrap().success());
            assert!(std::fs::read(file.path()).unwrap() == sample.bytes, "{url} differs");
        }
    }
}

fn a_missing_slash_is_added_and_whole_segments_match(runtime: &str) {
    let _ports = DemoPorts::lock();
    let _proxy = Proxy::demo(runtime);
    let answer = curl(&[&format!("{WEB}/images?size=2&x=/")]);
    assert_eq!(answer.status, 308);
    assert!(answer.field("Location").unwrap().ends_with("/images/?size=2&x=/"), "{}", answer.head);
    assert_eq!(followed(&format!("{WEB}/images")), "200 text/html; charset=utf-8");
    let other = curl(&[&format!("{WEB}/imagesX")]);
    assert_eq!((other.status, other.text()), (404, "There is no such file here.\n"));
    assert_eq!(curl(&[&format!("{WEB}/images/rings.jpg")]).status, 404);
}

fn a_redirect_comes_back_with_the_prefix(runtime: &str) {
    let _ports = DemoPorts::lock();
    let _proxy = Proxy::demo(runtime);
    let location = |url: &str| {
        let answer = curl(&[url]);
        assert_eq!(answer.status, 302, "{}", answer.head);
        answer.field("Location").unwrap().to_owned()
    };
    assert_eq!(location(&format!("{WEB}/images/redirect")), "/images/rings.png");
    assert_eq!(location(&format!("{WEB}/pdf/redirect")), "/pdf/tour.pdf");
    assert_eq!(location(&format!("{WEB}/redirect")), "/about.txt");
    assert_eq!(followed(&format!("{WEB}/images/redirect")), "200 image/png");
}

/// Follows redirects and says what comes at the end: status and media type.
fn followed(url: &str) -> String {
    tool("curl", &["-sSL", "-m", "30", "-o", "/dev/null", "-w", "%{http_code} %{content_type}", url])
}

fn ranges_and_conditions_pass(runtime: &str) {
    let _ports = DemoPorts::lock();
    let _proxy = Proxy::demo(runtime);
    let url = format!("{WEB}/images/rings.png");
    let rings = IMAGES.iter().find(|sample| sample.name == "rings.png").unwrap();
    let part = curl(&["--range", "1000-1999", &url]);
    assert_eq!(part.status, 206);
    assert_eq!(part.field("Content-Range").unwrap(), format!("bytes 1000-1999/{}", rings.bytes.len()));
    assert!(part.body == rings.bytes[1000..2000]);
    let whole = curl(&["--head", &url]);
    assert_eq!(whole.field("Content-Length").unwrap(), rings.bytes.len().to_string());
    let same = format!("If-None-Match: {}", whole.field("ETag").unwrap());
    let since = format!("If-Modified-Since: {}", whole.field("Last-Modified").unwrap());
    for condition in [same, since] {
        let answer = curl(&["--header", &condition, &url]);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{condition}");
    }
}

fn host_names_choose_a_server(runtime: &str) {
    let _ports = DemoPorts::lock();
    let _proxy = Proxy::demo(runtime);
    for (host, samples) in [("pictures.localhost", IMAGES), ("docs.localhost", PDF)] {
        let resolve = format!("{host}:8080:127.0.0.1");
        let list = curl(&["--resolve", &resolve, &format!("http://{host}:8080/")]);
        assert_eq!(list.status, 200);
        let sample = samples.last().unwrap();
        assert!(list.text().contains(sample.name), "{host}: {}", list.text());
        let file = curl(&["--resolve", &resolve, &format!("http://{host}:8080/{}", sample.name)]);
        assert!(file.body == sample.bytes, "{host}: {} differs", sample.name);
    }
}

fn the_cluster_takes_turns(runtime: &str) {
    let _ports = DemoPorts::lock();
    let _proxy = Proxy::demo(runtime);
    let ask = || curl(&[&format!("{CLUSTER}/")]).field("X-Backend").unwrap().parse::<u16>().unwrap();
    let mut seen: Vec<u16> = (0..5).map(|_| ask()).collect();
    seen.sort_unstable();
    assert_eq!(seen, [9000, 9001, 9002, 9003, 9004]);
}

fn each_exchange_is_a_line_on_the_terminal(runtime: &str) {
    let _ports = DemoPorts::lock();
    let proxy = Proxy::demo(runtime);
    curl(&[&format!("{WEB}/pdf/tour.pdf?page=2")]);
    let line = wait_for("a line in the access log", PATIENCE, || {
        proxy.stdout().into_iter().find(|line| line.contains("tour.pdf?page=2"))
    });
    assert!(line.contains("127.0.0.1:8890") && line.contains("200"), "{line}");
}

fn the_printed_configuration_runs(runtime: &str) {
    let _ports = DemoPorts::lock();
    let (code, config, _) = ringway_ends(&["demo", "--print-config"]);
    assert_eq!(code, Some(0));
    let _backends = ringway_backends::start(&Addresses::default()).unwrap();
    let _proxy = Proxy::run(runtime, &config, &[web(), crate::support::cluster()]);
    assert_eq!(curl(&[&format!("{WEB}/images/")]).status, 200);
    assert_eq!(curl(&[&format!("{CLUSTER}/")]).status, 200);
}

#[test]
fn a_port_in_use_is_named() {
    let _ports = DemoPorts::lock();
    for port in [8081, 8889] {
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (code, _, said) = ringway_ends(&["demo"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&port.to_string()) && said.contains("in use"), "{said}");
    }
}
