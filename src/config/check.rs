//! From what was written to what it means: a [`Config`] that cannot be wrong, or every reason why there is none.

mod admin;
mod listeners;
mod routes;
mod timeouts;
mod upstreams;

use std::collections::HashMap;
use std::hash::Hash;

use super::file::{File, LimitsTable, LogTable, RuntimeTable};
use super::options::{RUNTIME_KINDS, WORKERS};
use super::problem::Report;
use super::walk::At;
use super::{
    AccessLog, Config, Environment, Limits, LogConfig, LogFormat, RuntimeConfig, Timeouts, WhenFull,
};

/// Checks what the values say together. The result means something only if nothing was reported.
///
/// `None`: something that is needed was refused or is missing, and that was reported.
pub(super) fn check(file: &File, environment: &Environment, report: &Report<'_>) -> Option<Config> {
    upstreams::check(&file.upstreams, report);
    listeners::check(file, report);
    routes::check(file, report);
    listeners::warn_loops(file, report);
    let limits = limits(&file.limits, environment, report);
    let timeouts = Timeouts::default().with(&file.timeouts);
    Some(Config {
        runtime: runtime(&file.runtime, environment),
        admin: admin::check(file, report),
        log: log(&file.log),
        timeouts,
        listeners: listeners::build(file, &timeouts)?,
        upstreams: upstreams::build(&file.upstreams, &timeouts)?,
        limits,
        drain_timeout: timeouts::drain(&file.timeouts),
    })
}

fn runtime(table: &RuntimeTable, environment: &Environment) -> RuntimeConfig {
    let cores = (environment.cores as u64).clamp(*WORKERS.start(), *WORKERS.end());
    RuntimeConfig {
        kind: given(&table.kind, RUNTIME_KINDS[0]).to_owned(),
        workers: given(&table.workers, cores) as usize,
    }
}

fn log(table: &LogTable) -> LogConfig {
    LogConfig {
        access: table.access.as_ref().map_or(AccessLog::Stdout, |access| access.value.clone()),
        format: if given(&table.format, "text") == "json" { LogFormat::Json } else { LogFormat::Text },
        when_full: if given(&table.when_full, "drop") == "wait" { WhenFull::Wait } else { WhenFull::Drop },
    }
}

fn limits(table: &LimitsTable, environment: &Environment, report: &Report<'_>) -> Limits {
    let head_size = given(&table.head_size, 32 << 10);
    let target_size = given(&table.target_size, head_size.min(8 << 10));
    if let Some(target) = table.target_size.as_ref().filter(|target| target.value > head_size) {
        report.problem(
            target.line,
            &target.path,
            format!(
                "is more than limits.head-size, \"{}\": a target is a part of its head",
                super::units::show_size(head_size)
            ),
        );
    }
    Limits {
        head_size: head_size as usize,
        target_size: target_size as usize,
        fields: given(&table.fields, 100) as usize,
        body_size: given(&table.body_size, None),
        connections: connections(&table.connections, environment, report),
    }
}

/// A client connection needs a descriptor of its own and one for its backend; 256 are for everything else.
fn connections(written: &Option<At<u64>>, environment: &Environment, report: &Report<'_>) -> usize {
    let possible = (environment.descriptors.saturating_sub(256) / 2).max(1);
    let Some(written) = written else { return possible.min(10_000) as usize };
    if written.value > possible {
        let needed = written.value * 2 + 256;
        let message = format!(
            "{} connections need up to {needed} descriptors, and this process may open {}: raise the limit (ulimit -n)",
            written.value, environment.descriptors
        );
        report.warning(written.line, &written.path, message);
    }
    written.value as usize
}

/// What was written, or what holds where nothing was.
fn given<T: Copy>(written: &Option<At<T>>, default: T) -> T {
    written.as_ref().map_or(default, |at| at.value)
}

/// Reports each value that stood there before, naming the line of the first.
fn report_repeated<'a, T: Eq + Hash + 'a>(
    values: impl IntoIterator<Item = &'a At<T>>,
    report: &Report<'_>,
    message: impl Fn(&T) -> String,
) {
    let mut lines = HashMap::new();
    for at in values {
        if let Some(first) = lines.get(&at.value) {
            report.problem(at.line, &at.path, format!("{}, in line {first}", message(&at.value)));
        } else {
            lines.insert(&at.value, at.line);
        }
    }
}
