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
    /// A route for every listener is written once for each of them, with the timeouts that it has there.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        self.write_process(&mut out);
        for listener in &self.listeners {
            write_listener(&mut out, listener);
            for route in listener.routes.routes() {
                write_route(&mut out, route, &listener.name, &self.upstreams[route.upstream.0].name);
            }
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
}

impl Timeouts {
    fn pairs(&self) -> [(&'static str, Duration); 6] {
        [
            ("head", self.head),
            ("body", self.body),
            ("connect", self.connect),
            ("first-byte", self.first_byte),
            ("client-idle", self.client_idle),
            ("backend-idle", self.backend_idle),
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
    line(
        out,
        "timeouts",
        timeouts(&listener.timeouts, &["head", "body", "connect", "first-byte", "client-idle"]),
    );
}

fn write_route(out: &mut String, route: &Route, listener: &str, upstream: &str) {
    table(out, "[[route]]");
    line(out, "listener", quote(listener));
    match &route.host {
        HostRule::Exact(name) => line(out, "host", quote(name)),
        HostRule::Suffix(suffix) => line(out, "host", quote(&format!("*{suffix}"))),
        HostRule::Any => {}
    }
    line(out, "path", quote(&route.path));
    line(out, "strip-prefix", route.strip_prefix);
    line(out, "upstream", quote(upstream));
    line(out, "timeouts", timeouts(&route.timeouts, &["body", "connect", "first-byte"]));
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

fn timeouts(timeouts: &Timeouts, keys: &[&str]) -> String {
    let pairs = timeouts.pairs().into_iter().filter(|(key, _)| keys.contains(key));
    let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key} = {}", duration(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
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
