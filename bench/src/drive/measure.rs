//! One run of one cell: start everything, warm up, measure, stop everything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::backends::Backends;
use super::foreign::Census;
use super::http;
use super::interrupt::Interrupt;
use super::process::{Program, Ran, run_client, wait_until_free};
use super::proxies::{Launch, UPSTREAM};
use crate::bound::bound;
use crate::clients::{ab, oha, wrk};
use crate::latency::{self, Reading};
use crate::plan::{Cell, Kind, Plan, Tool};
use crate::row::{Answers, Cpu, Percentiles, Row};

/// Requests before the measurement, at least; each connection sends some.
const WARM_UP: u32 = 200;
/// Longer than any run takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// What all runs have in common.
#[derive(Debug)]
pub struct Bench<'a> {
    /// What is run.
    pub plan: &'a Plan,
    /// How proxies are started.
    pub launch: Launch<'a>,
    /// The CPU time of starting each client, in microseconds.
    pub start_up_us: &'a BTreeMap<Tool, u64>,
    /// Whether somebody wants it to stop.
    pub stop: &'a Interrupt,
}

/// A run's row, and the proxy's own histogram as it gave it.
#[derive(Debug)]
pub struct Measured {
    /// Its figures.
    pub row: Row,
    /// In the `.hgrm` format, if the proxy has one.
    pub hgrm: Option<String>,
}

impl Bench<'_> {
    /// Runs a cell.
    ///
    /// # Errors
    ///
    /// Something did not start, failed, or was interrupted.
    pub fn measure(&self, round: u32, cell: &Cell) -> io::Result<Measured> {
        let started = now();
        let setting = cell.setting;
        wait_until_free(&self.launch.ports.all(setting.configured))?;
        let ports = self.launch.ports.backends(setting.alive);
        let (others, work) = (&self.launch.placement.others, self.launch.work);
        let backends = Backends::start(&self.launch.programs.backends, &ports, &[], others, work)?;
        let proxy = self.launch.start(&cell.subject, setting.configured)?;
        let port = if proxy.is_some() { self.launch.ports.proxy() } else { ports[0] };
        let warmup_failed = self.warm_up(cell, port)?;

        let own = Own::begin(
            cell.subject.kind == Kind::Runtime && self.launch.has_admin,
            self.launch.ports.admin(),
        )?;
        let answered = backends.answered()?;
        let meter = Meter::start(proxy.as_ref(), &backends);
        let (answers, ran) = self.client(cell, port)?;
        let start_up = self.start_up_us.get(&setting.tool).copied().unwrap_or(0);
        let (cpu, foreign_most) = meter.stop(&ran, &answers, Duration::from_micros(start_up));
        let shares =
            backends.answered()?.iter().zip(&answered).map(|(after, before)| after - before).collect();
        let (reading, hgrm) = own.end()?;
        let proxy_latency = reading.as_ref().map_or_else(Percentiles::default, |reading| reading.percentiles);
        let row = Row {
            round,
            cell: cell.clone(),
            started,
            answers,
            warmup_failed,
            proxy_count: reading.map(|reading| reading.count),
            proxy_latency,
            bound: bound(&cpu, self.launch.placement),
            cpu,
            foreign_most,
            shares,
            error: None,
        };
        Ok(Measured { row, hgrm })
    }

    /// Requests that went wrong while it warmed up: the first contact with dead backends is here.
    fn warm_up(&self, cell: &Cell, port: u16) -> io::Result<u64> {
        let concurrency = cell.setting.concurrency;
        let keeps = cell.setting.tool != Tool::Ab;
        let table = self.launch.work.join("warm-up.csv");
        let requests = WARM_UP.max(4 * concurrency);
        let words = ab::command(&url(port), requests, concurrency, keeps, &table);
        let ran = run_client(&words, &self.launch.placement.others, PATIENCE, self.stop)?;
        let answers = ab::parse(&ran.text, "")?;
        Ok(answers.failed + answers.non_2xx)
    }

    fn client(&self, cell: &Cell, port: u16) -> io::Result<(Answers, Ran)> {
        let (plan, concurrency, url) = (self.plan, cell.setting.concurrency, url(port));
        let table = self.launch.work.join("percentiles.csv");
        let words = match cell.setting.tool {
            tool @ (Tool::Ab | Tool::AbKeepAlive) => {
                ab::command(&url, plan.requests, concurrency, tool == Tool::AbKeepAlive, &table)
            }
            Tool::Wrk => wrk::command(&url, plan.wrk_seconds, concurrency),
            tool @ (Tool::Oha | Tool::OhaUncorrected) => {
                let program = self.launch.programs.oha.as_deref().unwrap_or("oha");
                let open = plan.open.ok_or_else(|| io::Error::other("the plan has no open loop"))?;
                oha::command(program, &url, open, tool == Tool::Oha)
            }
        };
        let ran = run_client(&words, &self.launch.placement.others, PATIENCE, self.stop)?;
        let answers = match cell.setting.tool {
            Tool::Ab | Tool::AbKeepAlive => ab::parse(&ran.text, &read(&table)?)?,
            Tool::Wrk => wrk::parse(&ran.text)?,
            Tool::Oha | Tool::OhaUncorrected => oha::parse(&ran.text)?,
        };
        Ok((answers, ran))
    }
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/")
}

/// Local time, to the second.
#[must_use]
pub fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// All backends of an upstream together.
const LATENCY: &str = "/latency?by=upstream";

/// What the proxy's admin API says of the exchanges between two moments.
#[derive(Debug)]
pub struct Own {
    admin: Option<u16>,
    since: Option<String>,
}

impl Own {
    /// Notes where its histograms stand.
    ///
    /// # Errors
    ///
    /// The API does not answer, or in another format.
    pub fn begin(is_there: bool, port: u16) -> io::Result<Self> {
        if !is_there {
            return Ok(Self { admin: None, since: None });
        }
        let before = latency::parse(&http::get(port, LATENCY)?, UPSTREAM)?;
        Ok(Self { admin: Some(port), since: before.id })
    }

    /// What has come since.
    ///
    /// # Errors
    ///
    /// The API does not answer, or in another format.
    pub fn end(self) -> io::Result<(Option<Reading>, Option<String>)> {
        let Some(port) = self.admin else { return Ok((None, None)) };
        let since = self.since.map(|id| format!("&since={id}")).unwrap_or_default();
        let reading = latency::parse(&http::get(port, &format!("{LATENCY}{since}"))?, UPSTREAM)?;
        let target = format!("/latency.hgrm?upstream={UPSTREAM}&phase=total{since}");
        Ok((Some(reading), Some(http::get(port, &target)?)))
    }
}

/// CPU time of everybody, from here on.
struct Meter<'a> {
    proxy: Option<&'a Program>,
    backends: &'a Backends,
    others: Census,
    before: (Duration, Duration),
}

impl<'a> Meter<'a> {
    fn start(proxy: Option<&'a Program>, backends: &'a Backends) -> Self {
        // Counting the others takes a while, so their window lies around that of those who take part.
        let others = Census::take(&groups(proxy, backends));
        Self { proxy, backends, others, before: times(proxy, backends) }
    }

    fn stop(self, client: &Ran, answers: &Answers, start_up: Duration) -> (Cpu, Option<String>) {
        let after = times(self.proxy, self.backends);
        let foreign = Census::take(&groups(self.proxy, self.backends)).since(&self.others);
        let used = Used {
            proxy: self.proxy.map(|_| after.0.saturating_sub(self.before.0)),
            client: client.cpu.saturating_sub(start_up),
            backends: after.1.saturating_sub(self.before.1),
        };
        let mut cpu = used.of(answers, client.elapsed);
        cpu.foreign_pct = foreign.pct + share_pct(client.own_cpu, client.elapsed.as_secs_f64());
        cpu.stolen_pct = foreign.stolen_pct;
        (cpu, foreign.most)
    }
}

/// CPU time of those who take part.
struct Used {
    proxy: Option<Duration>,
    client: Duration,
    backends: Duration,
}

impl Used {
    /// Shares of the measurement, which is shorter than the client's life: while a client starts nobody has anything to
    /// do, and in a run of 100 ms that would make a proxy without any time to spare look as if it waited.
    fn of(&self, answers: &Answers, lived: Duration) -> Cpu {
        let measured = answers.duration();
        let pct = |time: Duration| share_pct(time, measured);
        let per_request = |time: Duration| time.as_secs_f64() * 1e6 / answers.completed.max(1) as f64;
        Cpu {
            proxy_us_per_request: self.proxy.map(per_request),
            proxy_pct: self.proxy.map(pct),
            client_pct: pct(self.client),
            backend_pct: pct(self.backends),
            measured_seconds: Some(measured),
            client_seconds: Some(lived.as_secs_f64()),
            ..Cpu::default()
        }
    }
}

/// CPU time in per cent of so many seconds of one core.
fn share_pct(time: Duration, seconds: f64) -> f64 {
    100.0 * time.as_secs_f64() / seconds.max(1e-9)
}

fn groups(proxy: Option<&Program>, backends: &Backends) -> Vec<i32> {
    proxy.map(Program::group).into_iter().chain([backends.group()]).collect()
}

/// The proxy's and the backends' so far.
fn times(proxy: Option<&Program>, backends: &Backends) -> (Duration, Duration) {
    (proxy.map(Program::cpu).unwrap_or_default(), backends.cpu())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection's target with the recorded file, and returns the targets.
    fn serve(listener: &TcpListener, answers: &[&str]) -> Vec<String> {
        let answer = |text: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut line).unwrap();
            let mut rest = String::new();
            while reader.read_line(&mut rest).unwrap() > 2 {}
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n{text}").unwrap();
            line.split(' ').nth(1).unwrap_or_default().to_owned()
        };
        answers.iter().map(answer).collect()
    }

    #[test]
    fn what_came_since_the_warm_up_is_asked_for() {
        let json = include_str!("../../tests/recorded/latency.json");
        let hgrm = include_str!("../../tests/recorded/total.hgrm");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || serve(&listener, &[json, json, hgrm]));
        let (reading, text) = Own::begin(true, port).unwrap().end().unwrap();
        assert_eq!(reading.unwrap().percentiles.p99_us, Some(5255.0));
        assert_eq!(text.as_deref(), Some(hgrm));
        let expected = [
            LATENCY,
            "/latency?by=upstream&since=1795625155-2",
            "/latency.hgrm?upstream=origin&phase=total&since=1795625155-2",
        ];
        assert_eq!(server.join().unwrap(), expected);
    }

    #[test]
    fn shares_are_of_the_measurement_and_not_of_the_start() {
        let ms = Duration::from_millis;
        let used = Used { proxy: Some(ms(97)), client: ms(60), backends: ms(30) };
        let (completed, requests_per_second) = (1000, 10_000.0);
        let answers = Answers { completed, requests_per_second, seconds: 0.1, ..Answers::default() };
        let cpu = used.of(&answers, ms(114));
        let is_near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(is_near(cpu.proxy_pct.unwrap(), 97.0) && is_near(cpu.backend_pct, 30.0), "{cpu:?}");
        assert!(is_near(cpu.client_pct, 60.0) && is_near(cpu.proxy_us_per_request.unwrap(), 97.0), "{cpu:?}");
        let placement = crate::bound::Placement { proxy: vec![0], others: vec![1] };
        assert_eq!(bound(&cpu, &placement), crate::bound::Bound::Proxy);
    }

    #[test]
    fn a_proxy_without_an_admin_api_tells_nothing() {
        assert_eq!(Own::begin(false, 1).unwrap().end().unwrap(), (None, None));
    }
}
