//! What was written: the TOML file as types, every value with its place.

use std::net::SocketAddr;
use std::time::Duration;

use super::options::Shape;
use super::values;
use super::walk::{At, Table};
use super::{AccessLog, AdminAddress, Prefix};
use crate::route::HostRule;

/// The whole file. An absent value is `None`, and so is one that was refused and reported.
#[derive(Default)]
pub(super) struct File {
    pub(super) runtime: RuntimeTable,
    pub(super) admin: Option<AdminTable>,
    pub(super) log: LogTable,
    pub(super) listeners: Vec<At<ListenerTable>>,
    pub(super) routes: Vec<At<RouteEntry>>,
    pub(super) upstreams: Vec<At<UpstreamTable>>,
    pub(super) timeouts: TimeoutsTable,
    pub(super) limits: LimitsTable,
}

impl File {
    /// Those of all listeners that have a good one.
    pub(super) fn listener_addresses(&self) -> impl Iterator<Item = &At<SocketAddr>> {
        self.listeners.iter().filter_map(|listener| listener.value.address.as_ref())
    }
}

/// `[runtime]`.
#[derive(Default)]
pub(super) struct RuntimeTable {
    pub(super) kind: Option<At<&'static str>>,
    pub(super) workers: Option<At<u64>>,
}

/// `[admin]`.
pub(super) struct AdminTable {
    /// The default, in the place of the table, where none was written.
    pub(super) address: Option<At<AdminAddress>>,
}

/// `[log]`.
#[derive(Default)]
pub(super) struct LogTable {
    pub(super) access: Option<At<AccessLog>>,
    pub(super) format: Option<At<&'static str>>,
    pub(super) when_full: Option<At<&'static str>>,
}

/// One `[[listener]]`.
pub(super) struct ListenerTable {
    pub(super) name: Option<At<String>>,
    pub(super) address: Option<At<SocketAddr>>,
    pub(super) trusted: Option<At<Vec<Option<At<Prefix>>>>>,
    pub(super) timeouts: TimeoutsTable,
    /// No other protocol was asked for, and refused: there is only this one yet.
    pub(super) is_http: bool,
}

/// One `[[route]]`.
pub(super) struct RouteEntry {
    pub(super) listener: Option<At<String>>,
    pub(super) host: Option<At<HostRule>>,
    pub(super) path: Option<At<String>>,
    pub(super) strip_prefix: Option<At<bool>>,
    pub(super) upstream: Option<At<String>>,
    pub(super) timeouts: TimeoutsTable,
    /// Nothing that tells it from another route was refused.
    pub(super) is_comparable: bool,
}

/// One `[[upstream]]`.
pub(super) struct UpstreamTable {
    pub(super) name: Option<At<String>>,
    pub(super) balance: Option<At<&'static str>>,
    pub(super) fail_for: Option<At<Duration>>,
    pub(super) backends: Option<At<Vec<Option<At<BackendEntry>>>>>,
    pub(super) timeouts: TimeoutsTable,
}

/// One of `backends`.
pub(super) struct BackendEntry {
    pub(super) address: SocketAddr,
    pub(super) weight: u32,
}

/// Any `timeouts`; what has no place in a table is `None` there.
#[derive(Default)]
pub(super) struct TimeoutsTable {
    pub(super) head: Option<At<Duration>>,
    pub(super) body: Option<At<Duration>>,
    pub(super) connect: Option<At<Duration>>,
    pub(super) first_byte: Option<At<Duration>>,
    pub(super) client_idle: Option<At<Duration>>,
    pub(super) backend_idle: Option<At<Duration>>,
    pub(super) tunnel: Option<At<Duration>>,
    pub(super) drain: Option<At<Duration>>,
}

/// `[limits]`.
#[derive(Default)]
pub(super) struct LimitsTable {
    pub(super) head_size: Option<At<u64>>,
    pub(super) target_size: Option<At<u64>>,
    pub(super) fields: Option<At<u64>>,
    pub(super) body_size: Option<At<Option<u64>>>,
    pub(super) connections: Option<At<u64>>,
}

impl File {
    /// Reads the document. What is wrong with a value by itself is reported on the way.
    pub(super) fn read(root: &Table<'_>) -> Self {
        root.need("listener", "write a [[listener]] with the address to accept on");
        root.need("upstream", "write an [[upstream]] with its name and backends");
        Self {
            runtime: root.table("runtime").map(|table| RuntimeTable::read(&table)).unwrap_or_default(),
            admin: root.table("admin").map(|table| AdminTable::read(&table)),
            log: root.table("log").map(|table| LogTable::read(&table)).unwrap_or_default(),
            listeners: root.tables("listener").iter().map(ListenerTable::read).collect(),
            routes: root.tables("route").iter().map(RouteEntry::read).collect(),
            upstreams: root.tables("upstream").iter().map(UpstreamTable::read).collect(),
            timeouts: TimeoutsTable::read_in(root),
            limits: root.table("limits").map(|table| LimitsTable::read(&table)).unwrap_or_default(),
        }
    }
}

impl RuntimeTable {
    fn read(table: &Table<'_>) -> Self {
        Self { kind: table.word("kind"), workers: table.whole("workers") }
    }
}

impl AdminTable {
    fn read(table: &Table<'_>) -> Self {
        let default = || Some(table.at(AdminAddress::default()));
        Self { address: if table.has("address") { table.read("address", str::parse) } else { default() } }
    }
}

impl LogTable {
    fn read(table: &Table<'_>) -> Self {
        Self {
            access: table.read("access", values::access_log),
            format: table.word("format"),
            when_full: table.word("when-full"),
        }
    }
}

impl ListenerTable {
    fn read(table: &Table<'_>) -> At<Self> {
        table.need("address", "write the IP address and port to accept on, such as \"0.0.0.0:8080\"");
        let protocol = table.word("protocol");
        table.at(Self {
            name: table.read("name", values::name),
            address: table.read("address", values::listen_address),
            trusted: table.texts("trusted", &Shape::Prefix, values::prefix),
            timeouts: TimeoutsTable::read_in(table),
            is_http: protocol.is_some() || !table.has("protocol"),
        })
    }
}

impl RouteEntry {
    fn read(table: &Table<'_>) -> At<Self> {
        table.need("upstream", "write the name of the upstream that requests go to");
        let host = table.read("host", values::host);
        let path = table.read("path", values::path);
        let listener = table.text("listener");
        let is_comparable = host.is_some() == table.has("host")
            && path.is_some() == table.has("path")
            && listener.is_some() == table.has("listener");
        table.at(Self {
            listener,
            host,
            path,
            strip_prefix: table.flag("strip-prefix"),
            upstream: table.text("upstream"),
            timeouts: TimeoutsTable::read_in(table),
            is_comparable,
        })
    }
}

impl UpstreamTable {
    fn read(table: &Table<'_>) -> At<Self> {
        table.need("name", "write a name for routes to refer to, such as \"images\"");
        table.need("backends", "write the addresses of its backends, such as [\"127.0.0.1:9000\"]");
        let plain = |text: &str| {
            values::backend_address(text)
                .map(|address| BackendEntry { address, weight: BackendEntry::WEIGHT })
        };
        table.at(Self {
            name: table.read("name", values::name),
            balance: table.word("balance"),
            fail_for: table.duration("fail-for"),
            backends: table.entries("backends", plain, |entry| BackendEntry::read(&entry)),
            timeouts: TimeoutsTable::read_in(table),
        })
    }
}

impl BackendEntry {
    const WEIGHT: u32 = 1;

    fn read(table: &Table<'_>) -> Option<At<Self>> {
        table.need("address", "write the IP address and port of the backend, such as \"127.0.0.1:9000\"");
        let weight = table.whole("weight").map_or(Self::WEIGHT, |weight| weight.value as u32);
        let address = table.read("address", values::backend_address)?.value;
        Some(table.at(Self { address, weight }))
    }
}

impl TimeoutsTable {
    /// The `timeouts` of this table, all absent if it has none.
    fn read_in(table: &Table<'_>) -> Self {
        let Some(table) = table.table("timeouts") else { return Self::default() };
        Self {
            head: table.duration("head"),
            body: table.duration("body"),
            connect: table.duration("connect"),
            first_byte: table.duration("first-byte"),
            client_idle: table.duration("client-idle"),
            backend_idle: table.duration("backend-idle"),
            tunnel: table.duration("tunnel"),
            drain: table.duration("drain"),
        }
    }
}

impl LimitsTable {
    fn read(table: &Table<'_>) -> Self {
        Self {
            head_size: table.size("head-size"),
            target_size: table.size("target-size"),
            fields: table.whole("fields"),
            body_size: table.size_or_none("body-size"),
            connections: table.whole("connections"),
        }
    }
}
