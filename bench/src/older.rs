//! Rows of older runs in today's terms: what can be told better from what they kept.

use crate::bound::bound;
use crate::clients::wrk;
use crate::plan::Tool;
use crate::row::{Cpu, Row};
use crate::setup::Setup;
use crate::stats::Spread;

/// Puts rows into the terms of those that are written today, which stay as they are.
///
/// The mean of wrk is [`wrk::mean_ms`] instead of what wrk prints. The bottleneck is judged by today's rule. Shares of CPU time were of the client's whole life,
/// of which some milliseconds are its start: they become those of the measurement. A set-up that does not tell what starting a client takes leaves the client with that: it seems a little busier
/// than it was, and a run near the limit counts as the client's rather than as the proxy's.
pub fn renew(rows: &mut [Row], setup: &Setup) {
    let lives = Tool::ALL.map(|tool| (tool, longer_seconds(rows, tool)));
    for row in rows.iter_mut().filter(|row| row.is_good()) {
        let tool = row.cell.setting.tool;
        if tool == Tool::Wrk {
            row.answers.mean_ms = wrk::mean_ms(row.cell.setting.concurrency, row.answers.requests_per_second);
        }
        if row.cpu.measured_seconds.is_none() {
            let longer = lives.iter().find(|(of, _)| *of == tool).map_or(0.0, |(_, seconds)| *seconds);
            let start_us = setup.start_up_us.get(&tool).copied().unwrap_or(0);
            row.cpu = of_the_measurement(row, longer, start_us as f64 / 1e6);
        }
        row.bound = bound(&row.cpu, &setup.placement);
    }
}

/// A client lived `longer` than its measurement where the row itself does not tell, and its start took so much CPU time;
/// both in seconds.
fn of_the_measurement(row: &Row, longer: f64, start: f64) -> Cpu {
    let (cpu, measured) = (row.cpu, row.answers.duration());
    let lived = client_seconds(row).unwrap_or(measured + longer);
    let scale = if measured > 0.0 { lived / measured } else { 1.0 };
    let start_pct = if measured > 0.0 { 100.0 * start / measured } else { 0.0 };
    Cpu {
        proxy_pct: cpu.proxy_pct.map(|pct| pct * scale),
        client_pct: (cpu.client_pct * scale - start_pct).max(0.0),
        backend_pct: cpu.backend_pct * scale,
        measured_seconds: Some(measured),
        client_seconds: Some(lived),
        ..cpu
    }
}

/// From the start of the client to its end: the proxy's CPU time, of which both the whole and the share were kept.
fn client_seconds(row: &Row) -> Option<f64> {
    let (us, pct) = (row.cpu.proxy_us_per_request?, row.cpu.proxy_pct?);
    (us > 0.0 && pct > 0.0).then(|| us * row.answers.completed as f64 / 1e6 / (pct / 100.0))
}

/// How much longer than its measurement this client lived, in the median: for rows without a proxy, which do not tell.
fn longer_seconds(rows: &[Row], tool: Tool) -> f64 {
    let is_its =
        |row: &&Row| row.is_good() && row.cell.setting.tool == tool && row.cpu.measured_seconds.is_none();
    let starts = rows.iter().filter(is_its);
    let starts = starts.filter_map(|row| Some(client_seconds(row)? - row.answers.duration()));
    Spread::of(starts).map_or(0.0, |spread| spread.median.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::Bound;
    use crate::plan::Subject;
    use crate::testing::row;

    /// A run of 0.1 s (10,000 at 100,000 a second) of a client that lived 14 ms longer.
    fn old(runtime: &str, proxy_ms: f64, client_ms: f64, backend_ms: f64) -> Row {
        let mut row = row(1, runtime, 100_000.0);
        let pct = |ms: f64| 100.0 * ms / 114.0;
        row.cpu = Cpu {
            proxy_us_per_request: Some(proxy_ms * 1e3 / 10_000.0),
            proxy_pct: Some(pct(proxy_ms)),
            client_pct: pct(client_ms),
            backend_pct: pct(backend_ms),
            ..Cpu::default()
        };
        row.bound = Bound::Waiting;
        row.answers.mean_ms = 0.632;
        row
    }

    /// The recorded one has a core for the proxy and one for the others, and does not tell what a start takes.
    fn setup() -> Setup {
        let setup: Setup = serde_json::from_str(include_str!("../tests/recorded/run/setup.json")).unwrap();
        assert!(setup.placement.others.len() == 1 && setup.start_up_us.is_empty(), "{setup:?}");
        setup
    }

    #[test]
    fn shares_become_those_of_the_measurement_and_the_bottleneck_with_them() {
        let mut direct = old("ring", 0.0, 60.0, 36.0);
        direct.cell.subject = Subject::direct();
        (direct.cpu.proxy_us_per_request, direct.cpu.proxy_pct) = (None, None);
        let mut rows = vec![old("ring", 97.0, 50.0, 30.0), old("threads", 60.0, 50.0, 30.0), direct];
        renew(&mut rows, &setup());
        let is_near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(is_near(rows[0].cpu.proxy_pct.unwrap(), 97.0), "{:?}", rows[0].cpu);
        assert!(is_near(rows[0].cpu.client_pct, 50.0) && is_near(rows[0].cpu.backend_pct, 30.0));
        assert!(is_near(rows[2].cpu.client_pct, 60.0), "the start is that of the others: {:?}", rows[2].cpu);
        assert!(is_near(rows[2].cpu.client_seconds.unwrap(), 0.114));
        assert_eq!(
            rows.iter().map(|row| row.bound).collect::<Vec<_>>(),
            [Bound::Proxy, Bound::Waiting, Bound::ClientAndBackend]
        );
    }

    #[test]
    fn a_start_that_is_known_is_not_the_client_s() {
        let mut rows = vec![old("ring", 97.0, 66.0, 30.0)];
        let mut setup = setup();
        setup.start_up_us.insert(Tool::Wrk, 6000);
        renew(&mut rows, &setup);
        assert!((rows[0].cpu.client_pct - 60.0).abs() < 1e-6, "{:?}", rows[0].cpu);
        assert_eq!(rows[0].bound, Bound::Proxy, "with its start it would be client and backend");
    }

    #[test]
    fn the_mean_of_wrk_is_that_of_the_requests_that_were_sent() {
        let mut rows = vec![old("ring", 97.0, 50.0, 30.0), old("ring", 97.0, 50.0, 30.0)];
        rows[1].cell.setting.tool = Tool::AbKeepAlive;
        renew(&mut rows, &setup());
        assert!((rows[0].answers.mean_ms - 0.1).abs() < 1e-12, "ten at a time, 100,000 a second");
        assert!((rows[1].answers.mean_ms - 0.632).abs() < 1e-12);
    }

    #[test]
    fn what_is_of_today_stays() {
        let mut rows = vec![old("ring", 97.0, 50.0, 30.0)];
        renew(&mut rows, &setup());
        let once = rows.clone();
        renew(&mut rows, &setup());
        assert_eq!(rows, once);
        let mut failed = vec![Row::failed(1, once[0].cell.clone(), String::new(), "no".to_owned())];
        let before = failed.clone();
        renew(&mut failed, &setup());
        assert_eq!(failed, before);
    }
}
