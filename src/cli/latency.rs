//! `ringway latency`: percentiles of a running proxy, as a table, a file or a curve; and two saved files side by side.

pub(in crate::cli) mod curve;
mod diff;
mod interval;
mod named;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueEnum};

use self::curve::Curve;
use self::interval::{Interval, span};
use super::{EXIT_OK, fail, plot, print};
use crate::config::AdminAddress;
use crate::control::admin::{self, Answer, ask};

const EXAMPLES: &str = "\
Examples:
  ringway latency                                          each phase, by upstream
  ringway latency --phase added                            what the proxy itself takes
  ringway latency --by backend --upstream cluster --watch  its backends, of each second
  ringway latency --plot curve.svg --by upstream           a curve for each upstream
  ringway latency --for 30s --hgrm before.hgrm             save what comes in 30 seconds, and after a change:
  ringway latency --for 30s --hgrm after.hgrm
  ringway latency --diff before.hgrm after.hgrm --plot both.svg";

/// The phases of an exchange, in their order, and what they mean.
const PHASES: [(&str, &str); 8] = [
    ("head", "reading the request's head"),
    ("queue", "waiting: attempts that failed before the last one, at any backend, and pauses between"),
    ("connect", "the last attempt's connect; 0 over a connection that was open already"),
    ("request", "sending the request to the backend"),
    ("first-byte", "waiting for the first byte of the backend's response"),
    ("response", "relaying the rest of the response: waiting for the backend or the client"),
    ("total", "all of them, one after the other"),
    ("added", "what the proxy itself has added, a part of the total"),
];

/// Show percentiles of a running proxy, from its admin API.
///
/// How long each phase of an exchange took, and what of it the proxy itself has added: docs/metrics.md says exactly what is
/// measured. Without --for and --watch it is everything since the proxy was started.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where the admin API listens: an IP address and port, or unix:PATH.
    #[arg(long, value_name = "ADDRESS", default_value_t)]
    admin: AdminAddress,
    /// What is put together in a row, or in a curve [default: upstream; for --plot and --hgrm: all].
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
    /// Of this upstream only.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Of this backend only.
    #[arg(long, value_name = "ADDRESS")]
    backend: Option<String>,
    /// Of this phase only; for --plot and --hgrm the total, if nothing else is said.
    #[arg(long, value_name = "PHASE", value_parser = phases())]
    phase: Option<String>,
    /// Print it again every second, each time of the second that has passed.
    #[arg(long, conflicts_with_all = ["plot", "hgrm", "hlog", "diff", "for"])]
    watch: bool,
    /// Wait for so long, and show, draw or save only what has come meanwhile: 30s, 1m30s.
    #[arg(long = "for", id = "for", value_name = "TIME", value_parser = interval::time, conflicts_with = "diff")]
    time: Option<Duration>,
    /// Draw the percentile curve, on logarithmic scales for nines and values; with --by a curve for each.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Save one percentile distribution, as the HdrHistogram plotter reads it, in milliseconds; without --for of everything since
    /// the start.
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Save all distributions, each backend and phase with its tag, as an HdrHistogram log, in microseconds.
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    /// Compare two saved distributions; with --plot, draw both. Files that were saved without --for are of everything since the
    /// start: of one process the later one holds the earlier one, too.
    #[arg(long, num_args = 2, value_names = ["A.hgrm", "B.hgrm"],
          conflicts_with_all = ["hgrm", "hlog", "by", "upstream", "backend", "phase"])]
    diff: Option<Vec<PathBuf>>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Each backend of each upstream.
    Backend,
    /// All backends of an upstream together.
    Upstream,
    /// Everything together.
    All,
}

fn phases() -> PossibleValuesParser {
    PossibleValuesParser::new(PHASES.map(|(name, meaning)| PossibleValue::new(name).help(meaning)))
}

pub(super) fn latency(arguments: &Arguments) -> u8 {
    let is_saved = [&arguments.plot, &arguments.hgrm, &arguments.hlog].iter().any(|path| path.is_some());
    let done = named::check_files(arguments).and_then(|()| match &arguments.diff {
        Some(files) => diff(files, arguments.plot.as_deref()),
        None => named::check(arguments).and_then(|()| match (is_saved, arguments.watch) {
            (_, true) => watch::watch(arguments),
            (is_saved, false) => once(arguments, is_saved),
        }),
    });
    done.unwrap_or_else(|error| fail(&error))
}

fn once(arguments: &Arguments, is_saved: bool) -> io::Result<u8> {
    let interval = arguments.time.map(|time| Interval::pass(arguments, time)).transpose()?;
    let done = match is_saved {
        true => save(arguments, interval.as_ref()),
        false => asked(arguments, id_of(interval.as_ref())).map(|answer| print(&show(&answer))),
    };
    done.map_err(|error| match &interval {
        Some(interval) => interval.told(error),
        None => error,
    })
}

fn id_of(interval: Option<&Interval>) -> Option<&str> {
    interval.map(|interval| interval.id.as_str())
}

impl Arguments {
    /// A row must not hold more than was asked for.
    fn by(&self) -> By {
        match self.by {
            _ if self.backend.is_some() => By::Backend,
            Some(By::All) if self.upstream.is_some() => By::Upstream,
            by => by.unwrap_or(By::Upstream),
        }
    }

    fn phase(&self) -> &str {
        self.phase.as_deref().unwrap_or("total")
    }
}

/// The end of a query: what is named of these keys.
fn query(named: &[(&str, Option<&str>)]) -> String {
    let named = named.iter().filter_map(|(key, name)| Some(format!("&{key}={}", (*name)?)));
    named.collect()
}

fn asked(arguments: &Arguments, since: Option<&str>) -> io::Result<Answer> {
    let by = match arguments.by() {
        By::Backend => "backend",
        By::Upstream => "upstream",
        By::All => "all",
    };
    let named = query(&[
        ("since", since),
        ("upstream", arguments.upstream.as_deref()),
        ("backend", arguments.backend.as_deref()),
        ("phase", arguments.phase.as_deref()),
    ]);
    let body = ask(&arguments.admin, &format!("/latency?by={by}{named}"))?;
    serde_json::from_slice(&body).map_err(io::Error::other)
}

/// An answer for people: of when it is, and the table.
fn show(answer: &Answer) -> String {
    let span =
        answer.seconds.map_or("since the start".to_owned(), |seconds| format!("in the last {seconds:.1} s"));
    let table = admin::table(&answer.series);
    table.map_or_else(|| format!("no exchanges {span}\n"), |table| format!("{span}\n{table}"))
}

/// Writes what was asked for into files, and says what is in them.
fn save(arguments: &Arguments, interval: Option<&Interval>) -> io::Result<u8> {
    let (mut said, phase) = (String::new(), arguments.phase());
    let described = |path: &Path, curve: &Curve| {
        let (path, name, count, span) = (path.display(), &curve.name, curve.count(), span(interval));
        format!("{path}: {phase} of {name}, {count} exchanges {span}\n")
    };
    if let Some(path) = &arguments.hlog {
        let since = query(&[("since", id_of(interval))]);
        let page = format!("/latency.hlog?{}", since.trim_start_matches('&'));
        write(path, &ask(&arguments.admin, &page)?)?;
        said += &format!("{}: every phase of every backend {}\n", path.display(), span(interval));
    }
    if let Some(path) = &arguments.hgrm {
        let whose = (arguments.upstream.as_deref(), arguments.backend.as_deref());
        let (mut text, curve) = distribution(arguments, interval, whose)?;
        text.extend(interval.map(Interval::note).unwrap_or_default().bytes());
        write(path, &text)?;
        said += &described(path, &curve);
    }
    if let Some(path) = &arguments.plot {
        let curves = curves(arguments, interval)?;
        let caption = format!("{phase}, {}", span(interval));
        write(path, plot::percentiles(&caption, &curves)?.as_bytes())?;
        curves.iter().for_each(|curve| said += &described(path, curve));
    }
    Ok(print(&said))
}

/// One curve of what was asked for, or one for each upstream or backend that has had exchanges.
fn curves(arguments: &Arguments, interval: Option<&Interval>) -> io::Result<Vec<Curve>> {
    let curve = |whose: Whose<'_>| distribution(arguments, interval, whose).map(|(_, curve)| curve);
    if arguments.by.is_none_or(|by| by == By::All) {
        return Ok(vec![curve((arguments.upstream.as_deref(), arguments.backend.as_deref()))?]);
    }
    let phase = arguments.phase();
    let rows = asked(arguments, id_of(interval))?.series;
    let rows = rows.iter().filter(|row| row.phase == phase && row.count > 0);
    let curves: Vec<_> = rows
        .map(|row| curve((row.upstream.as_deref(), row.backend.as_deref())))
        .collect::<io::Result<_>>()?;
    if curves.is_empty() { Err(nothing_yet()) } else { Ok(curves) }
}

/// An upstream and a backend; all, where none is named.
type Whose<'a> = (Option<&'a str>, Option<&'a str>);

/// One distribution, as text and as a curve.
fn distribution(
    arguments: &Arguments,
    interval: Option<&Interval>,
    (upstream, backend): Whose<'_>,
) -> io::Result<(Vec<u8>, Curve)> {
    let phase = arguments.phase();
    let named = query(&[("since", id_of(interval)), ("upstream", upstream), ("backend", backend)]);
    let text = ask(&arguments.admin, &format!("/latency.hgrm?phase={phase}{named}"))?;
    let names: Vec<_> = [upstream, backend].into_iter().flatten().collect();
    let whose = if names.is_empty() { "all upstreams".to_owned() } else { names.join(" ") };
    let curve = Curve::read(whose, &String::from_utf8_lossy(&text));
    Ok((text, curve.map_err(|_| nothing_yet())?))
}

fn nothing_yet() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no exchanges yet: there is nothing to save or draw")
}

fn diff(files: &[PathBuf], to: Option<&Path>) -> io::Result<u8> {
    let curves = files.iter().map(|path| Curve::open(path)).collect::<io::Result<Vec<_>>>()?;
    let [before, after] = curves.as_slice() else { return Ok(EXIT_OK) };
    if let Some(path) = to {
        write(path, plot::percentiles("two saved distributions", &curves)?.as_bytes())?;
    }
    Ok(print(&diff::compare(before, after)))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::write(path, bytes)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Phase;

    #[test]
    fn every_phase_can_be_asked_for() {
        assert_eq!(PHASES.map(|(name, _)| name), Phase::ALL.map(Phase::name));
    }
}
