//! The table of options: every key that a configuration may hold, its shape, its default and its meaning.
//!
//! The reader takes shapes, ranges and suggestions from here, and the reference in the documentation is this table.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{alternatives, nearest};
use super::units::{show_duration, show_size};
use crate::balance::POLICIES;

/// The runtimes of this build, and `auto`; the first is the default.
pub const RUNTIME_KINDS: &[&str] = &[
    "auto",
    #[cfg(feature = "ring")]
    "ring",
    #[cfg(feature = "monoio")]
    "monoio",
    #[cfg(feature = "monoio")]
    "monoio-epoll",
    "threads",
    #[cfg(feature = "tokio-uring")]
    "tokio-uring",
];

/// How many event loops there may be.
pub const WORKERS: RangeInclusive<u64> = 1..=1024;

/// One key.
#[derive(Debug)]
pub struct ConfigOption {
    /// Its tables and its name, without positions in lists: `route.timeouts.body`.
    pub path: &'static str,
    /// What may be written.
    pub shape: Shape,
    /// What holds where it is absent, in words or as it would be written; empty: it must be written.
    pub default: &'static str,
    /// What it does, for people.
    pub about: &'static str,
}

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// `[table]`.
    Table,
    /// `[[table]]`.
    Tables,
    /// Addresses, or tables with an address and a weight.
    Backends,
    /// A name that is given.
    Name,
    /// The name of something else in the file.
    Reference,
    /// IP address and port to accept on.
    ListenAddress,
    /// IP address and port, or a unix socket, of the admin API.
    AdminAddress,
    /// IP address and port of a backend.
    BackendAddress,
    /// A host name, exact or with `*.` before it.
    Host,
    /// A path prefix.
    Path,
    /// `off`, `stdout` or a file.
    AccessLog,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole(RangeInclusive<u64>),
    /// A duration, in milliseconds.
    Duration(RangeInclusive<u64>),
    /// A size in bytes.
    Size(RangeInclusive<u64>),
    /// A size in bytes, or `none`.
    SizeOrNone(RangeInclusive<u64>),
    /// An IP address, or all that begin with the same bits.
    Prefix,
    /// A list of them.
    Prefixes,
    /// One of a list of words.
    Word(fn() -> Vec<&'static str>),
}

const TIMEOUT: Shape = Shape::Duration(1..=24 * 3_600_000);
const INHERITED: &str = "inherited";

/// Every option, in the order of the documentation.
pub static OPTIONS: &[ConfigOption] = &[
    row("runtime", Shape::Table, "all defaults", "The event loops."),
    row(
        "runtime.kind",
        Shape::Word(|| RUNTIME_KINDS.to_vec()),
        "\"auto\"",
        "Which event loop: `auto` takes the best that this kernel allows.",
    ),
    row(
        "runtime.workers",
        Shape::Whole(WORKERS),
        "the cores this process may use",
        "Event loops, each on a thread of its own.",
    ),
    row(
        "admin",
        Shape::Table,
        "no admin API",
        "The admin API: metrics, latency percentiles and state. See metrics.md.",
    ),
    row(
        "admin.address",
        Shape::AdminAddress,
        "\"127.0.0.1:9901\"",
        "Where it listens. It is neither encrypted nor does it ask for a password: keep it on loopback or a unix socket.",
    ),
    row("log", Shape::Table, "all defaults", "The access log: one line for each exchange."),
    row("log.access", Shape::AccessLog, "\"stdout\"", "Where it goes. A file is appended to."),
    row(
        "log.format",
        Shape::Word(|| vec!["text", "json"]),
        "\"text\"",
        "How a line looks: words for people, or one JSON object.",
    ),
    row(
        "log.when-full",
        Shape::Word(|| vec!["drop", "wait"]),
        "\"drop\"",
        "What happens to a line when the log cannot keep up: it is dropped and counted, or the worker waits.",
    ),
    row(
        "listener",
        Shape::Tables,
        "",
        "An address that clients connect to. At least one, each with at least one route.",
    ),
    row("listener.name", Shape::Name, "its address", "What routes and the log call it."),
    row(
        "listener.address",
        Shape::ListenAddress,
        "",
        "Where it accepts. `0.0.0.0` is every IPv4 address of the machine, `[::]` every IPv6 address and no IPv4 address: for both, write two listeners.",
    ),
    row(
        "listener.protocol",
        Shape::Word(|| vec!["http"]),
        "\"http\"",
        "What is spoken there: HTTP/1.1 and HTTP/1.0.",
    ),
    row(
        "listener.trusted",
        Shape::Prefixes,
        "none",
        "Clients that are believed, such as the load balancer before this proxy: their `X-Forwarded-*` fields are kept and added to, those of all others are replaced.",
    ),
    row("listener.timeouts", Shape::Table, "none", "Timeouts of this listener."),
    row("listener.timeouts.head", TIMEOUT, INHERITED, "As `timeouts.head`."),
    row("listener.timeouts.body", TIMEOUT, INHERITED, "As `timeouts.body`."),
    row("listener.timeouts.connect", TIMEOUT, INHERITED, "As `timeouts.connect`."),
    row("listener.timeouts.first-byte", TIMEOUT, INHERITED, "As `timeouts.first-byte`."),
    row("listener.timeouts.client-idle", TIMEOUT, INHERITED, "As `timeouts.client-idle`."),
    row("listener.timeouts.tunnel", TIMEOUT, INHERITED, "As `timeouts.tunnel`."),
    row(
        "route",
        Shape::Tables,
        "",
        "A rule from host and path to an upstream. The most specific one wins, wherever it stands in the file.",
    ),
    row(
        "route.listener",
        Shape::Reference,
        "every listener",
        "The name of the listener that it holds for, or its address where it has no name.",
    ),
    row(
        "route.host",
        Shape::Host,
        "every host",
        "The host it holds for, in any case and on any port; `*.example.org` is every name below `example.org`.",
    ),
    row(
        "route.path",
        Shape::Path,
        "\"/\"",
        "The path it holds for and all below it, in whole segments: `/images/` never matches `/imagesX`.",
    ),
    row(
        "route.strip-prefix",
        Shape::Flag,
        "false",
        "Whether `path` is taken off: the backend sees `/cat.png` for `/images/cat.png`.",
    ),
    row("route.upstream", Shape::Reference, "", "The name of the upstream that requests go to."),
    row("route.timeouts", Shape::Table, "none", "Timeouts of this route."),
    row("route.timeouts.body", TIMEOUT, INHERITED, "As `timeouts.body`."),
    row("route.timeouts.connect", TIMEOUT, INHERITED, "As `timeouts.connect`."),
    row("route.timeouts.first-byte", TIMEOUT, INHERITED, "As `timeouts.first-byte`."),
    row("route.timeouts.tunnel", TIMEOUT, INHERITED, "As `timeouts.tunnel`."),
    row("upstream", Shape::Tables, "", "A group of backends that do the same work. At least one."),
    row("upstream.name", Shape::Name, "", "What routes and the log call it."),
    row("upstream.balance", Shape::Word(policies), "\"round-robin\"", "How a backend is picked."),
    row(
        "upstream.fail-for",
        Shape::Duration(1..=3_600_000),
        "\"5s\"",
        "How long a backend is left alone that no connection could be made to: it refused, did not answer within `timeouts.connect`, or cannot be reached.",
    ),
    row(
        "upstream.backends",
        Shape::Backends,
        "",
        "Up to 1024 backends, no two with the same address. A text is an address with weight 1.",
    ),
    row("upstream.backends.address", Shape::BackendAddress, "", "Where the backend listens."),
    row(
        "upstream.backends.weight",
        Shape::Whole(1..=256),
        "1",
        "Its share: weight 2 gets twice as much as weight 1.",
    ),
    row("upstream.timeouts", Shape::Table, "none", "Timeouts of this upstream."),
    row("upstream.timeouts.body", TIMEOUT, INHERITED, "As `timeouts.body`."),
    row("upstream.timeouts.connect", TIMEOUT, INHERITED, "As `timeouts.connect`."),
    row("upstream.timeouts.first-byte", TIMEOUT, INHERITED, "As `timeouts.first-byte`."),
    row("upstream.timeouts.backend-idle", TIMEOUT, INHERITED, "As `timeouts.backend-idle`."),
    row("upstream.timeouts.tunnel", TIMEOUT, INHERITED, "As `timeouts.tunnel`."),
    row(
        "timeouts",
        Shape::Table,
        "all defaults",
        "Timeouts that hold where a listener, an upstream or a route does not say otherwise.",
    ),
    row("timeouts.head", TIMEOUT, "\"10s\"", "A whole request head, from its first byte: 408."),
    row("timeouts.body", TIMEOUT, "\"30s\"", "Between two reads or writes of a body."),
    row("timeouts.connect", TIMEOUT, "\"3s\"", "All attempts to connect to one backend."),
    row(
        "timeouts.first-byte",
        TIMEOUT,
        "\"60s\"",
        "From the end of the request to the first byte of the response: 504.",
    ),
    row(
        "timeouts.client-idle",
        TIMEOUT,
        "\"75s\"",
        "How long a client's connection is kept between two requests.",
    ),
    row(
        "timeouts.backend-idle",
        TIMEOUT,
        "\"30s\"",
        "How long a backend's connection is kept between two requests.",
    ),
    row(
        "timeouts.tunnel",
        TIMEOUT,
        "\"1h\"",
        "How long each direction of an upgraded connection, such as a WebSocket, may be silent.",
    ),
    row("timeouts.drain", TIMEOUT, "\"30s\"", "How long running exchanges may take after the order to stop."),
    row("limits", Shape::Table, "all defaults", "Bounds that hold for the whole process."),
    row(
        "limits.head-size",
        Shape::Size(1 << 10..=64 << 10),
        "\"32KiB\"",
        "A request or response head: 431, or 502 for a response.",
    ),
    row(
        "limits.target-size",
        Shape::Size(64..=64 << 10),
        "\"8KiB\", or `head-size` if that is less",
        "The target of a request, path and query: 414. At most `head-size`.",
    ),
    row("limits.fields", Shape::Whole(1..=256), "100", "Fields of a head: 431, or 502 for a response."),
    row("limits.body-size", Shape::SizeOrNone(1..=1 << 50), "\"none\"", "The body of a request: 413."),
    row(
        "limits.connections",
        Shape::Whole(1..=1_000_000),
        "10000, or half of the descriptors allowed less 256",
        "Client connections of the process: 503 beyond.",
    ),
];

/// Keys that have a meaning in the plan and none in this version, with what to do.
const RESERVED: &[(&str, &str)] = &[(
    "listener.upstream",
    "belongs to a tcp listener, and those are not available in this version: name the upstream in a [[route]]",
)];

/// Words that are known and refused, with the reason.
const REFUSED_WORDS: &[(&str, &[&str], &str)] = &[
    ("runtime.kind", &["ring", "monoio", "monoio-epoll", "tokio-uring"], "is not in this build"),
    ("listener.protocol", &["tcp"], "is not available in this version"),
];

/// Timeouts that make no sense in every `timeouts`, with the reason.
const MISPLACED: &[(&str, &str)] = &[
    (
        "head",
        "a head is read before its route is known: set it in [timeouts] or in the timeouts of a listener",
    ),
    ("client-idle", "an idle client has no route yet: set it in [timeouts] or in the timeouts of a listener"),
    (
        "backend-idle",
        "idle backend connections serve all listeners and routes: set it in [timeouts] or in the timeouts of an upstream",
    ),
    ("drain", "the process drains as a whole: set it in [timeouts]"),
];

/// The option with this path.
pub fn find(path: &str) -> Option<&'static ConfigOption> {
    OPTIONS.iter().find(|option| option.path == path)
}

/// The names of the keys of a table; the file itself is the table without a name.
pub fn keys_of(table: &str) -> Vec<&'static str> {
    OPTIONS.iter().filter_map(|option| name_in(option.path, table)).collect()
}

/// The reference of the documentation: one row for each option, in Markdown.
pub fn reference() -> String {
    let rows = OPTIONS.iter().map(|option| {
        let default = match option.default {
            "" => "**required**".to_owned(),
            value if is_literal(value) => format!("`{value}`"),
            words => words.to_owned(),
        };
        format!("| `{}` | {} | {default} | {} |\n", option.path, option.shape, option.about)
    });
    "| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n".to_owned() + &rows.collect::<String>()
}

/// The balancing policies for the documentation, in Markdown.
pub fn policies_reference() -> String {
    let rows = POLICIES.iter().map(|policy| format!("| `{}` | {} |\n", policy.name, policy.about));
    "| `balance` | Picks |\n| --- | --- |\n".to_owned() + &rows.collect::<String>()
}

/// Whether a default is written as in a file, not described.
pub fn is_literal(default: &str) -> bool {
    default.parse::<u64>().is_ok()
        || default == "false"
        || (default.starts_with('"') && default.ends_with('"'))
}

/// Why a key of this table is refused, and the key that was probably meant.
pub(super) fn unknown_key(table: &str, key: &str) -> (String, Option<&'static str>) {
    let path = join(table, key);
    if let Some((_, reason)) = RESERVED.iter().find(|(reserved, _)| *reserved == path) {
        return ((*reason).to_owned(), None);
    }
    let misplaced =
        table.ends_with(".timeouts").then(|| MISPLACED.iter().find(|(name, _)| *name == key)).flatten();
    if let Some((_, reason)) = misplaced {
        return ((*reason).to_owned(), None);
    }
    let keys = keys_of(table);
    if let Some(meant) = nearest(key, keys.iter().copied()) {
        return (format!("unknown key; did you mean \"{meant}\"?"), Some(meant));
    }
    if let Some(owner) = owner_of(key) {
        return (format!("unknown key here; it belongs in {owner}"), None);
    }
    (format!("unknown key; known here: {}", keys.join(", ")), None)
}

/// Why a word of this option is refused although it is known; `None` if it is not known.
pub(super) fn refused_word(path: &str, word: &str) -> Option<&'static str> {
    REFUSED_WORDS
        .iter()
        .find(|(refused, words, _)| *refused == path && words.contains(&word))
        .map(|(_, _, reason)| *reason)
}

/// The path of a key in a table.
pub(super) fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

const fn row(path: &'static str, shape: Shape, default: &'static str, about: &'static str) -> ConfigOption {
    ConfigOption { path, shape, default, about }
}

fn policies() -> Vec<&'static str> {
    POLICIES.iter().map(|policy| policy.name).collect()
}

fn name_in(path: &'static str, table: &str) -> Option<&'static str> {
    let name = if table.is_empty() { path } else { path.strip_prefix(table)?.strip_prefix('.')? };
    (!name.contains('.')).then_some(name)
}

/// The first table that holds this key, as it is written.
fn owner_of(key: &str) -> Option<String> {
    let option =
        OPTIONS.iter().find(|option| option.path.rsplit_once('.').is_some_and(|(_, name)| name == key))?;
    let (table, _) = option.path.rsplit_once('.')?;
    Some(match find(table)?.shape {
        Shape::Tables => format!("[[{table}]]"),
        _ => format!("[{table}]"),
    })
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("a table"),
            Self::Tables => f.write_str("a list of tables"),
            Self::Backends => f.write_str("a list of addresses such as `\"127.0.0.1:9000\"` or tables such as `{ address = \"127.0.0.1:9000\", weight = 2 }`"),
            Self::Name => f.write_str("a name such as `\"images\"`"),
            Self::Reference => f.write_str("a name"),
            Self::ListenAddress => f.write_str("an IP address and port such as `\"0.0.0.0:8080\"`"),
            Self::AdminAddress => f.write_str(
                "an IP address and port such as `\"127.0.0.1:9901\"`, or a unix socket such as `\"unix:/run/ringway/admin.sock\"`",
            ),
            Self::BackendAddress => f.write_str("an IP address and port such as `\"127.0.0.1:9000\"`"),
            Self::Host => f.write_str("a host such as `\"example.org\"` or `\"*.example.org\"`"),
            Self::Path => f.write_str("a path such as `\"/images/\"`"),
            Self::AccessLog => f.write_str("`\"off\"`, `\"stdout\"` or a path such as `\"/var/log/ringway.log\"`"),
            Self::Flag => f.write_str("`true` or `false`"),
            Self::Whole(range) => write!(f, "a number from {} to {}", range.start(), range.end()),
            Self::Duration(range) => {
                let (least, most) = (Duration::from_millis(*range.start()), Duration::from_millis(*range.end()));
                write!(f, "a duration from `\"{}\"` to `\"{}\"`", show_duration(least), show_duration(most))
            }
            Self::Size(range) => {
                write!(f, "a size from `\"{}\"` to `\"{}\"`", show_size(*range.start()), show_size(*range.end()))
            }
            Self::SizeOrNone(_) => f.write_str("a size such as `\"16MiB\"`, or `\"none\"`"),
            Self::Prefix => f.write_str("an IP address such as `\"127.0.0.1\"` or a prefix such as `\"10.0.0.0/8\"`"),
            Self::Prefixes => write!(f, "a list, each {}", Self::Prefix),
            Self::Word(words) => {
                let words: Vec<_> = words().iter().map(|word| format!("`\"{word}\"`")).collect();
                f.write_str(&alternatives(&words))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_in_a_table_that_the_table_of_options_knows() {
        for (i, option) in OPTIONS.iter().enumerate() {
            assert!(OPTIONS[..i].iter().all(|earlier| earlier.path != option.path), "{}", option.path);
            if let Some((table, _)) = option.path.rsplit_once('.') {
                let owner = find(table).map(|owner| &owner.shape);
                assert!(matches!(owner, Some(Shape::Table | Shape::Tables | Shape::Backends)), "{table}");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_explained() {
        for (table, key, says) in [
            ("", "routes", "did you mean \"route\"?"),
            ("route", "upstrem", "did you mean \"upstream\"?"),
            ("route", "strip_prefix", "did you mean \"strip-prefix\"?"),
            ("route", "head-size", "it belongs in [limits]"),
            ("limits", "strip-prefix", "it belongs in [[route]]"),
            ("log", "colour", "known here: access, format, when-full"),
            ("", "admni", "did you mean \"admin\"?"),
            ("route.timeouts", "head", "before its route is known"),
            ("listener.timeouts", "drain", "drains as a whole"),
        ] {
            let (message, _) = unknown_key(table, key);
            assert!(message.contains(says), "{table} {key}: {message}");
        }
    }
}
