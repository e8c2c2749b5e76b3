//! `ringway latency`: percentiles of a running proxy, as a table, a file or a curve; and two saved files side by side.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{EXIT_OK, fail, plot, print};
use crate::config::AdminAddress;
use crate::control::admin::{self, Answer, ask};

/// Percentiles of a running proxy, from its admin API.
///
/// Each phase of the exchanges of each backend, and what of it the proxy itself has added. docs/metrics.md says what the
/// phases are.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ringway latency --by all\n  ringway latency --watch\n  ringway latency --upstream cluster --plot curve.svg\n  ringway latency --diff before.hgrm after.hgrm"
)]
pub(super) struct Arguments {
    /// Where the admin API listens: an IP address and port, or unix:PATH.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    pub(super) admin: AdminAddress,
    /// What makes up a row.
    #[arg(long, value_name = "WHAT", default_value = "upstream", value_parser = ["backend", "upstream", "all"])]
    by: String,
    /// Print it again every second, each time of the second that has passed.
    #[arg(long, conflicts_with_all = ["plot", "hgrm", "diff"])]
    watch: bool,
    /// Of this upstream only.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Of this phase only; for --plot and --hgrm the total, if nothing else is said.
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,
    /// Draw the percentile curve.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Save the percentile distribution, as the HdrHistogram plotter reads it, in milliseconds.
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Compare two saved distributions; with --plot, draw both.
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "hgrm")]
    diff: Option<Vec<PathBuf>>,
}

/// How often `--watch` asks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clears the terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) fn latency(arguments: &Arguments) -> u8 {
    let done = if let Some(files) = &arguments.diff {
        diff(files, arguments.plot.as_deref())
    } else if arguments.plot.is_some() || arguments.hgrm.is_some() {
        save(arguments)
    } else if arguments.watch {
        watch(arguments)
    } else {
        asked(arguments, None).map(|answer| print(&show(arguments, answer)))
    };
    done.unwrap_or_else(|error| fail(&error))
}

fn asked(arguments: &Arguments, since: Option<&str>) -> io::Result<Answer> {
    let since = since.map(|id| format!("&since={id}")).unwrap_or_default();
    let body = ask(&arguments.admin, &format!("/latency?by={}{since}", arguments.by))?;
    serde_json::from_slice(&body).map_err(io::Error::other)
}

fn show(arguments: &Arguments, mut answer: Answer) -> String {
    let is_asked = |asked: &Option<String>, is: Option<&str>| asked.is_none() || asked.as_deref() == is;
    answer.series.retain(|row| {
        is_asked(&arguments.upstream, row.upstream.as_deref()) && is_asked(&arguments.phase, Some(&row.phase))
    });
    let span = answer.seconds.map_or("since the start".to_owned(), |seconds| format!("of {seconds:.1} s"));
    let table = admin::table(&answer.series);
    table.map_or_else(|| format!("no exchanges {span}\n"), |table| format!("{span}\n{table}"))
}

fn watch(arguments: &Arguments) -> io::Result<u8> {
    let mut id = asked(arguments, None)?.id;
    loop {
        std::thread::sleep(INTERVAL);
        // A proxy that was started anew does not know the id.
        let answer = asked(arguments, Some(&id)).or_else(|_| asked(arguments, None))?;
        id.clone_from(&answer.id);
        match print(&format!("{CLEAR}{}", show(arguments, answer))) {
            EXIT_OK => {}
            code => return Ok(code),
        }
    }
}

fn save(arguments: &Arguments) -> io::Result<u8> {
    let phase = arguments.phase.as_deref().unwrap_or("total");
    let upstream = arguments.upstream.as_ref().map(|name| format!("&upstream={name}")).unwrap_or_default();
    let text = ask(&arguments.admin, &format!("/latency.hgrm?phase={phase}{upstream}"))?;
    if let Some(path) = &arguments.hgrm {
        write(path, &text)?;
    }
    if let Some(path) = &arguments.plot {
        let name = format!("{}, {phase}", arguments.upstream.as_deref().unwrap_or("all upstreams"));
        let curve = Curve::read(name, &String::from_utf8_lossy(&text))?;
        write(path, plot::percentiles(&[curve])?.as_bytes())?;
    }
    Ok(EXIT_OK)
}

fn diff(files: &[PathBuf], to: Option<&Path>) -> io::Result<u8> {
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Curve::read(name, &text)
    };
    let curves = files.iter().map(read).collect::<io::Result<Vec<_>>>()?;
    let [before, after] = curves.as_slice() else { return Ok(EXIT_OK) };
    if let Some(path) = to {
        write(path, plot::percentiles(&curves)?.as_bytes())?;
    }
    Ok(print(&compare(before, after)))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::write(path, bytes)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// A percentile distribution that was saved.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    /// Quantile and milliseconds, growing.
    pub(super) points: Vec<(f64, f64)>,
    /// Values in all.
    pub(super) count: u64,
}

impl Curve {
    /// Reads what `/latency.hgrm`, or any other HdrHistogram, has written.
    pub(super) fn read(name: String, text: &str) -> io::Result<Self> {
        let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let mut words = line.split_whitespace().map(str::parse::<f64>);
            let (Some(Ok(ms)), Some(Ok(quantile)), Some(Ok(count))) =
                (words.next(), words.next(), words.next())
            else {
                return None;
            };
            Some((quantile, ms, count as u64))
        });
        let rows: Vec<_> = rows.collect();
        let Some((.., count)) = rows.last() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{name}: no percentile distribution"),
            ));
        };
        Ok(Self {
            name,
            count: *count,
            points: rows.iter().map(|(quantile, ms, _)| (*quantile, *ms)).collect(),
        })
    }

    /// The value at a quantile, in milliseconds: that of the first point which reaches it.
    fn at(&self, quantile: f64) -> f64 {
        let reached = self.points.iter().find(|(at, _)| *at >= quantile).or(self.points.last());
        reached.map_or(0.0, |(_, ms)| *ms)
    }
}

fn compare(before: &Curve, after: &Curve) -> String {
    let mut out =
        format!("{:<10}  {:>14}  {:>14}  {:>9}\n", "", cut(&before.name), cut(&after.name), "change");
    // A String takes everything.
    let _ = writeln!(out, "{:<10}  {:>14}  {:>14}", "count", before.count, after.count);
    for (name, quantile) in [
        ("p50", 0.5),
        ("p75", 0.75),
        ("p90", 0.9),
        ("p99", 0.99),
        ("p99.9", 0.999),
        ("p99.99", 0.9999),
        ("max", 1.0),
    ] {
        let (old, new) = (before.at(quantile), after.at(quantile));
        let change = if old > 0.0 { format!("{:+.1} %", (new - old) / old * 100.0) } else { "-".to_owned() };
        let _ = writeln!(out, "{name:<10}  {old:>11.3} ms  {new:>11.3} ms  {change:>9}");
    }
    out
}

/// The end of a name, where names differ.
fn cut(name: &str) -> String {
    let length = name.chars().count();
    name.chars().skip(length.saturating_sub(14)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n       1.000 0.000000000000          1           1.00\n\
                         2.000 0.500000000000         50           2.00\n       9.000 0.990000000000         99         100.00\n\
                         10.000 1.000000000000        100\n#[Mean    =        2.000, StdDeviation   =        0.000]\n";

    #[test]
    fn a_saved_distribution_is_read() {
        let curve = Curve::read("a".to_owned(), SAVED).unwrap();
        assert_eq!((curve.count, curve.points.len()), (100, 4));
        assert_eq!([0.0, 0.5, 0.9, 0.99, 0.9999, 1.0].map(|q| curve.at(q)), [1.0, 2.0, 9.0, 9.0, 10.0, 10.0]);
        assert!(Curve::read("a".to_owned(), "nothing\n").is_err());
    }

    #[test]
    fn two_distributions_are_compared() {
        let before = Curve::read("before".to_owned(), SAVED).unwrap();
        let after = Curve::read("after".to_owned(), &SAVED.replace("2.000 0.5", "3.000 0.5")).unwrap();
        let text = compare(&before, &after);
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(line("p50").ends_with("2.000 ms        3.000 ms    +50.0 %"), "{text}");
        assert!(line("max").ends_with("+0.0 %"), "{text}");
    }

    #[test]
    fn a_curve_is_drawn_with_its_nines() {
        let curve = Curve::read("some upstream".to_owned(), SAVED).unwrap();
        let svg = plot::percentiles(&[curve]).unwrap();
        for part in ["<svg", "99 %", "some upstream", "polyline"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
    }
}
