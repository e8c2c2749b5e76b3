//! A checked configuration as TOML, defaults included: read again, it is the same configuration.

use std::fmt::Write;
use std::time::Duration;

use super::units::{show_duration, show_size};
use super::{
    AccessLog, BackendConfig, Config, ListenerConfig, LogFormat, Timeouts, UpstreamConfig, WhenFull,
};
use crate::route::{HostRule, Route};

impl Config {
    /// The whole configuration as a file that [`Config::parse`] reads as the same configuration.
    ///
    /// A route is written with all its timeouts, but for those of a route for every listener that differ between them.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        self.write_process(&mut out);
        for listener in &self.listeners {
            write_listener(&mut out, listener);
            for route in listener.routes.own() {
                self.write_route(&mut out, route, Some(&listener.name), &[route.timeouts]);
            }
        }
        for (i, route) in self.listeners[0].routes.common().iter().enumerate() {
            let timeouts: Vec<_> =
                self.listeners.iter().map(|listener| listener.routes.common()[i].timeouts).collect();
            self.write_route(&mut out, route, None, &timeouts);
        }
        for upstream in &self.upstreams {
            write_upstream(&mut out, upstream);
        }
        out
    }

    fn write_process(&self, out: &mut String) {
        let limits = &self.limits;
        table(out, "[runtime]");
        line(out, "kind", quote(&self.runtime.kind));
        line(out, "workers", self.runtime.workers);
        if let Some(address) = &self.admin {
            table(out, "[admin]");
            line(out, "address", quote(&address.to_string()));
        }
        table(out, "[log]");
        line(out, "access", access(&self.log.access));
        line(out, "format", if self.log.format == LogFormat::Json { "\"json\"" } else { "\"text\"" });
        line(out, "when-full", if self.log.when_full == WhenFull::Wait { "\"wait\"" } else { "\"drop\"" });
        table(out, "[timeouts]");
        for (key, value) in self.timeouts.pairs() {
            line(out, key, duration(value));
        }
        line(out, "drain", duration(self.drain_timeout));
        table(out, "[limits]");
        line(out, "head-size", size(limits.head_size as u64));
        line(out, "target-size", size(limits.target_size as u64));
        line(out, "fields", limits.fields);
        line(out, "body-size", limits.body_size.map_or_else(|| quote("none"), size));
        line(out, "connections", limits.connections);
    }

    /// `timeouts`: those that it has on each of the listeners it holds for.
    fn write_route(&self, out: &mut String, route: &Route, listener: Option<&str>, timeouts: &[Timeouts]) {
        table(out, "[[route]]");
        if let Some(listener) = listener {
            line(out, "listener", quote(listener));
        }
        match &route.host {
            HostRule::Exact(name) => line(out, "host", quote(name)),
            HostRule::Suffix(suffix) => line(out, "host", quote(&format!("*{suffix}"))),
            HostRule::Any => {}
        }
        line(out, "path", quote(&route.path));
        line(out, "strip-prefix", route.strip_prefix);
        line(out, "upstream", quote(&self.upstreams[route.upstream.0].name));
        write_timeouts(out, timeouts, &["body", "connect", "first-byte", "tunnel"]);
    }
}

impl Timeouts {
    fn pairs(&self) -> [(&'static str, Duration); 7] {
        [
            ("head", self.head),
            ("body", self.body),
            ("connect", self.connect),
            ("first-byte", self.first_byte),
            ("client-idle", self.client_idle),
            ("backend-idle", self.backend_idle),
            ("tunnel", self.tunnel),
        ]
    }
}

fn write_listener(out: &mut String, listener: &ListenerConfig) {
    let address = listener.address.to_string();
    table(out, "[[listener]]");
    if listener.name != address {
        line(out, "name", quote(&listener.name));
    }
    line(out, "address", quote(&address));
    line(out, "protocol", "\"http\"");
    let trusted: Vec<_> = listener.trusted.prefixes().iter().map(|prefix| format!("\"{prefix}\"")).collect();
    line(out, "trusted", format!("[{}]", trusted.join(", ")));
    let keys = ["head", "body", "connect", "first-byte", "client-idle", "tunnel"];
    write_timeouts(out, &[listener.timeouts], &keys);
}

fn write_upstream(out: &mut String, upstream: &UpstreamConfig) {
    table(out, "[[upstream]]");
    line(out, "name", quote(&upstream.name));
    line(out, "balance", quote(upstream.policy.name));
    line(out, "fail-for", duration(upstream.fail_for));
    line(out, "timeouts", format!("{{ backend-idle = {} }}", duration(upstream.backend_idle)));
    out.push_str("backends = [\n");
    for BackendConfig { address, weight } in &upstream.backends {
        push(out, format_args!("    {{ address = \"{address}\", weight = {weight} }},\n"));
    }
    out.push_str("]\n");
}

/// Writes those on which all agree. The others are left to the listeners, which is where they differ: what a route or
/// its upstream sets is the same on every listener.
fn write_timeouts(out: &mut String, timeouts: &[Timeouts], keys: &[&str]) {
    let is_agreed = |pair: &(&str, Duration)| timeouts.iter().all(|other| other.pairs().contains(pair));
    let pairs = timeouts[0].pairs().into_iter().filter(|pair| keys.contains(&pair.0) && is_agreed(pair));
    let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key} = {}", duration(value))).collect();
    if !pairs.is_empty() {
        line(out, "timeouts", format!("{{ {} }}", pairs.join(", ")));
    }
}

fn access(access: &AccessLog) -> String {
    match access {
        AccessLog::Off => quote("off"),
        AccessLog::Stdout => quote("stdout"),
        AccessLog::File(path) => quote(&path.to_string_lossy()),
    }
}

fn duration(value: Duration) -> String {
    quote(&show_duration(value))
}

fn size(bytes: u64) -> String {
    quote(&show_size(bytes))
}

/// A TOML string, escaped where that is needed.
fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn table(out: &mut String, header: &str) {
    let gap = if out.is_empty() { "" } else { "\n" };
    push(out, format_args!("{gap}{header}\n"));
}

fn line(out: &mut String, key: &str, value: impl std::fmt::Display) {
    push(out, format_args!("{key} = {value}\n"));
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}
