//! Takes the reading that the metrics are made of.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use super::Admin;
use crate::telemetry::catalogue::{BackendReading, Reading, Usage};

pub(super) fn take(admin: &Admin) -> Reading {
    let (shared, now) = (&admin.shared, Instant::now());
    let backends = shared.upstreams().iter().flat_map(|upstream| {
        let (_, states) = upstream.state(now);
        states.into_iter().map(|state| BackendReading {
            upstream: upstream.name.clone(),
            backend: state.backend.name.clone(),
            weight: state.backend.weight,
            in_flight: state.in_flight,
            is_eligible: state.ejected_until.is_none(),
            ejections: state.ejections,
        })
    });
    let names = shared.config.listeners.iter().map(|listener| listener.name.clone());
    let waiting = names.zip(admin.waiting());
    let waited = admin.accept_wait.so_far();
    Reading {
        waiting: waiting.filter_map(|(name, count)| Some((name, count?))).collect(),
        accept_wait_s: waited.seconds(),
        accept_wait_count: waited.accepted,
        runtime: admin.runtime,
        reason: std::iter::once(admin.why)
            .chain(admin.reasons.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("; "),
        uptime_s: admin.started.elapsed().as_secs_f64(),
        is_draining: admin.drain.is_raised(),
        connections: shared.connections(),
        accepted: shared.accepted(),
        loads: admin.loads(),
        skew: admin.peers.skew(),
        handed_over: admin.peers.handed_over(),
        admin_refused: admin.places.refused(),
        log_dropped: shared.log.dropped(),
        usage: usage(),
        backends: backends.collect(),
        meter: Arc::clone(&shared.meter),
    }
}

/// proc_pid_stat(5): utime and stime are fields 14 and 15, in clock ticks; proc_pid_statm(5): resident is field 2, in
/// pages. The name of the program, in parentheses, may hold anything.
fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let cpu_s = (ticks(14)? + ticks(15)?) as f64 / rustix::param::clock_ticks_per_second() as f64;
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages = statm.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    Some(Usage { cpu_s, resident_bytes: pages * rustix::param::page_size() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_tells_what_this_process_has_used() {
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.cpu_s >= 0.0, "{usage:?}");
    }
}
