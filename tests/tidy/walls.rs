//! The walls between the parts: who may import whom, and what may be used where. See `docs/architecture.md`.

use super::source::Source;

/// What each part may import, itself aside. What is not listed may import everything.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("http1", &[]),
    ("balance", &[]),
    ("route", &["config", "http1"]),
    ("config", &["balance", "http1", "route"]),
    ("upstream", &["balance", "config"]),
    ("telemetry", &["config"]),
    ("runtime", &[]),
    ("proxy", &["http1", "route", "balance", "upstream", "config", "runtime", "telemetry"]),
    ("control", &["http1", "route", "balance", "upstream", "config", "runtime", "telemetry", "proxy"]),
];

/// Parts that know no clock, no socket and no `async`.
const PURE: &[&str] = &["http1", "balance", "route", "config", "upstream"];

/// What is not pure, and what it is.
const IMPURE: &[(&str, &str)] = &[
    ("Instant::now", "reads a clock"),
    ("SystemTime", "reads a clock"),
    ("async ", "is asynchronous"),
    (".await", "is asynchronous"),
    ("TcpStream", "is a socket"),
    ("TcpListener", "is a socket"),
    ("UdpSocket", "is a socket"),
    ("socket2", "is a socket"),
    ("std::thread", "is a thread"),
    ("println!", "is output"),
];

/// Things that have their rooms: `(thing, rooms, also good inside a word)`.
const ROOMS: &[(&str, &[&str])] = &[
    ("io_uring::", &["src/runtime/"]),
    ("monoio::", &["src/runtime/"]),
    ("tokio_uring::", &["src/runtime/"]),
    (
        "unsafe ",
        &["src/runtime/ring/", "src/runtime/buf.rs", "src/runtime/monoio.rs", "src/runtime/tokio_uring.rs"],
    ),
    ("tokio::", &["src/control/", "src/runtime/tokio_uring.rs"]),
];

/// Imports that run the wrong way.
pub(crate) fn wrong_imports(source: &Source) -> Vec<String> {
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == source.module()) else {
        return Vec::new();
    };
    let is_wrong =
        |name: &str| name != source.module() && !allowed.contains(&name) && MODULES.contains(&name);
    let found = |(number, line): (usize, &str)| {
        imported(line)
            .into_iter()
            .filter(|name| is_wrong(name))
            .map(move |name| (number, name))
            .collect::<Vec<_>>()
    };
    let tell = |(number, name)| format!("{}: {} must not import {name}", source.at(number), source.module());
    source.lines().flat_map(found).map(tell).collect()
}

/// The parts of the crate.
const MODULES: &[&str] =
    &["http1", "balance", "route", "config", "upstream", "telemetry", "runtime", "proxy", "control", "cli"];

/// The parts named behind `crate::` in a line.
fn imported(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (_, rest) in line.match_indices("crate::").map(|(at, word)| (at, &line[at + word.len()..])) {
        let list = rest.strip_prefix('{').and_then(|inside| inside.split('}').next()).unwrap_or(rest);
        let parts = if list.len() < rest.len() { list.split(',').collect() } else { vec![rest] };
        names.extend(parts.into_iter().map(|part| {
            part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        }));
    }
    names
}

/// Clocks, sockets, `async`, threads and output in pure code.
pub(crate) fn impurities(source: &Source) -> Vec<String> {
    if !PURE.contains(&source.module()) {
        return Vec::new();
    }
    let found = |(number, line): (usize, &str)| {
        let of_line = IMPURE.iter().filter(|(word, _)| line.contains(word));
        of_line
            .map(|(word, what)| format!("{}: {} {what}", source.at(number), word.trim()))
            .collect::<Vec<_>>()
    };
    source.lines().flat_map(found).collect()
}

/// Engines, `unsafe` and tokio outside of their rooms.
pub(crate) fn strays(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in source.lines() {
        for (word, rooms) in ROOMS {
            let stands = line.match_indices(word).any(|(at, _)| {
                !line[..at]
                    .ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
            });
            if stands && !rooms.iter().any(|room| source.path.starts_with(room)) {
                findings.push(format!(
                    "{}: {} belongs in {}",
                    source.at(number),
                    word.trim(),
                    rooms.join(" or ")
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, code: &str) -> Source {
        Source::new(path.to_owned(), code.to_owned())
    }

    #[test]
    fn an_arrow_that_runs_the_other_way_is_found() {
        let findings = |path, code| wrong_imports(&source(path, code)).len();
        assert_eq!(findings("src/http1/head.rs", "use crate::runtime::Buf;"), 1);
        assert_eq!(findings("src/runtime/mod.rs", "use crate::{proxy::Shared, config};"), 2);
        assert_eq!(
            findings("src/upstream/mod.rs", "use crate::balance::Policy;\nuse crate::config::Config;"),
            0
        );
        assert_eq!(findings("src/control/mod.rs", "use crate::proxy::Shared; use crate::cli;"), 1);
        assert_eq!(findings("src/http1/head.rs", "//! See [`crate::proxy`].\nuse super::fields;"), 0);
    }

    #[test]
    fn impurities_and_strays_are_found() {
        assert_eq!(impurities(&source("src/route.rs", "let now = Instant::now();")).len(), 1);
        assert_eq!(impurities(&source("src/proxy/http.rs", "async fn a() {}")).len(), 0);
        assert_eq!(strays(&source("src/proxy/http.rs", "unsafe { x() }")).len(), 1);
        assert_eq!(strays(&source("src/runtime/ring/ops.rs", "unsafe { io_uring::x() }")).len(), 0);
        assert_eq!(strays(&source("src/lib.rs", "use io_uring::IoUring;")).len(), 1);
    }
}
