//! Upstreams: names and backends that are told apart, and a policy that exists.

use std::time::Duration;

use super::{given, report_repeated};
use crate::balance::POLICIES;
use crate::config::file::{BackendEntry, UpstreamTable};
use crate::config::problem::Report;
use crate::config::walk::At;
use crate::config::{BackendConfig, Timeouts, UpstreamConfig};

const BACKENDS_MAX: usize = 1024;

pub(super) fn check(upstreams: &[At<UpstreamTable>], report: &Report<'_>) {
    let names = upstreams.iter().filter_map(|upstream| upstream.value.name.as_ref());
    report_repeated(names, report, |name| format!("there is another upstream \"{name}\""));
    for backends in upstreams.iter().filter_map(|upstream| upstream.value.backends.as_ref()) {
        match backends.value.len() {
            0 => report.problem(backends.line, &backends.path, "is empty: an upstream needs a backend"),
            count if count > BACKENDS_MAX => {
                report.problem(
                    backends.line,
                    &backends.path,
                    format!("has {count} backends, and {BACKENDS_MAX} are allowed"),
                );
            }
            _ => {}
        }
        let addresses: Vec<_> = backends.value.iter().flatten().map(|at| at.at(at.value.address)).collect();
        report_repeated(&addresses, report, |address| format!("the backend {address} is there already"));
    }
}

/// `None`: something was refused.
pub(super) fn build(upstreams: &[At<UpstreamTable>], timeouts: &Timeouts) -> Option<Vec<UpstreamConfig>> {
    upstreams.iter().map(|upstream| build_one(&upstream.value, timeouts)).collect()
}

fn build_one(table: &UpstreamTable, timeouts: &Timeouts) -> Option<UpstreamConfig> {
    let balance = given(&table.balance, POLICIES[0].name);
    let backend = |at: &Option<At<_>>| at.as_ref().map(backend);
    Some(UpstreamConfig {
        name: table.name.as_ref()?.value.clone(),
        policy: POLICIES.iter().find(|policy| policy.name == balance)?,
        fail_for: given(&table.fail_for, Duration::from_secs(5)),
        backend_idle: timeouts.with(&table.timeouts).backend_idle,
        backends: table.backends.as_ref()?.value.iter().map(backend).collect::<Option<_>>()?,
    })
}

fn backend(at: &At<BackendEntry>) -> BackendConfig {
    BackendConfig { address: at.value.address, weight: at.value.weight }
}
