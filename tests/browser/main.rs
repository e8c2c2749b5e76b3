//! The demo in a real browser: the lists show, and a click on a name opens the file.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod chromium;
#[path = "../support/mod.rs"]
mod support;

use ringway_backends::{IMAGES, PDF, Sample};

use chromium::Chromium;
use support::{DemoPorts, Proxy, leave_behind};

#[test]
fn browser_over_ring() {
    if support::runtimes::is_allowed("ring") {
        lists_show_and_clicks_open("ring");
    }
}

#[test]
fn browser_over_threads() {
    lists_show_and_clicks_open("threads");
}

fn lists_show_and_clicks_open(runtime: &str) {
    let _ports = DemoPorts::lock();
    let _proxy = Proxy::demo(runtime);
    let mut browser = Chromium::start();

    browser.open("http://127.0.0.1:8080/");
    assert_eq!(browser.evaluate("document.querySelector('h1').textContent"), "The Ringway demo runs");
    browser.screenshot(&leave_behind(&format!("browser-{runtime}-start.png")));

    for sample in IMAGES {
        browser.open("http://127.0.0.1:8080/images/");
        assert_listed(&mut browser, IMAGES);
        browser.screenshot(&leave_behind(&format!("browser-{runtime}-images.png")));
        browser.click(&format!("a[href=\"{}\"]", sample.name));
        browser.wait_until(&format!("location.pathname == '/images/{}'", sample.name));
        browser.wait_until("document.images.length == 1 && document.images[0].complete");
        let shown =
            browser.evaluate("document.images[0].naturalWidth + 'x' + document.images[0].naturalHeight");
        let (width, height) = size(sample.bytes);
        assert_eq!(shown, format!("{width}x{height}"), "{}", sample.name);
    }
    browser.screenshot(&leave_behind(&format!("browser-{runtime}-picture.png")));

    browser.open("http://127.0.0.1:8080/pdf/");
    assert_listed(&mut browser, PDF);
    browser.screenshot(&leave_behind(&format!("browser-{runtime}-pdf.png")));
    for sample in PDF {
        let fetched = format!(
            "fetch('{}').then(answer => answer.ok ? answer.arrayBuffer() : null).then(bytes => '' + bytes.byteLength)",
            sample.name
        );
        assert_eq!(browser.evaluate(&fetched), sample.bytes.len().to_string());
    }
    browser.open("http://pictures.localhost:8080/");
    assert_listed(&mut browser, IMAGES);
}

/// A link for each file, and every picture of the page has arrived.
fn assert_listed(browser: &mut Chromium, samples: &[Sample]) {
    browser.wait_until("[...document.images].every(image => image.complete)");
    let links = browser.evaluate("[...document.links].map(link => link.getAttribute('href')).join(' ')");
    let names: Vec<&str> = samples.iter().map(|sample| sample.name).collect();
    assert_eq!(links, names.join(" "));
    assert_eq!(
        browser.evaluate("'' + [...document.images].filter(image => image.naturalWidth == 0).length"),
        "0"
    );
}

/// Width and height of a picture, read from its file.
fn size(file: &[u8]) -> (u16, u16) {
    let number = |at: usize| u16::from_be_bytes([file[at], file[at + 1]]);
    if file.starts_with(b"\x89PNG") {
        // PNG section 11.2.1: the header begins with two numbers of four bytes each.
        return (number(18), number(22));
    }
    // ITU-T T.81 section B.2.2: segments with a length each, until the one that begins a frame.
    let mut at = 2;
    while !matches!(file[at + 1], 0xC0..=0xC2) {
        at += 2 + usize::from(number(at + 2));
    }
    (number(at + 7), number(at + 5))
}
