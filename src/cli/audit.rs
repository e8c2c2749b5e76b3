//! `ringway audit`: checks the promise of round robin from access logs.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{EXIT_FAILURE, EXIT_LATER, EXIT_OK, fail, load, print};
use crate::config::Config;
use crate::telemetry::audit::{Survey, Verdict, ended_us};

/// Check the promise of round robin from access logs.
///
/// The picks of an upstream are numbered without a gap, none comes twice, and no two equal backends were picked a
/// different number of times, but for 1. Exits with 1 where that does not hold.
///
/// A line is written when its exchange is over. So a pick without a line may be one that is still running: it is "not
/// told yet", and where that is all there is to say, the exit code is 75. It is lost, and the code is 1, if its process
/// has stopped: if the logs tell of a later process, or --stopped says so.
#[derive(Args)]
pub(super) struct Arguments {
    /// The access log, text or JSON; of a rotated one, all files that are left, in any order.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// The configuration of the last process: which backends there are, and their weights; else they are taken to be equal.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The process that wrote the last lines has stopped: whatever has no line is lost.
    #[arg(long)]
    stopped: bool,
}

pub(super) fn audit(arguments: &Arguments) -> u8 {
    let config = match arguments.config.as_deref().map(load::file).transpose() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let (verdicts, rest) = match read(&arguments.logs, config.as_ref(), arguments.stopped) {
        Ok(read) => read,
        Err(error) => return fail(&error),
    };
    let is_broken = verdicts.is_empty() || verdicts.iter().any(|verdict| !verdict.findings.is_empty());
    let is_open = verdicts.iter().any(|verdict| !verdict.open.is_empty());
    match (print(&(report(&verdicts) + &rest)), is_broken, is_open) {
        (_, true, _) => EXIT_FAILURE,
        (EXIT_OK, false, true) => EXIT_LATER,
        (printed, false, _) => printed,
    }
}

/// Reads the logs twice: the verdicts, and what is to be said about lines that were not understood.
fn read(paths: &[PathBuf], config: Option<&Config>, has_stopped: bool) -> io::Result<(Vec<Verdict>, String)> {
    let mut logs: Vec<Log<'_>> = paths.iter().map(|path| Log::open(path)).collect::<Result<_, _>>()?;
    logs.sort_by_key(|log| log.begins_us);
    let mut survey = Survey::default();
    let mut said = String::new();
    for log in &mut logs {
        if let Some(rest) = log.lines(|line| survey.take(line))?
            && !survey.take_rest(&rest)
        {
            said += &format!("{}: the last line is not finished: left out\n", log.path.display());
        }
    }
    if survey.strange() > 0 {
        said += &format!("{} lines are none of an access log\n", survey.strange());
    }
    let mut audit = survey.finish(|upstream| backends(config, upstream));
    for log in &mut logs {
        let rest = log.lines(|line| audit.take(line))?;
        rest.into_iter().for_each(|rest| audit.take_rest(&rest));
    }
    Ok((audit.verdicts(has_stopped), said))
}

/// A log that is read more than once, and always as much of it: it may be growing.
struct Log<'a> {
    path: &'a Path,
    file: File,
    length: u64,
    /// When the exchange of its first line was over, in microseconds after 1970; far from now where it has none.
    begins_us: i64,
}

impl<'a> Log<'a> {
    fn open(path: &'a Path) -> io::Result<Self> {
        let opened = File::open(path).and_then(|file| file.metadata().map(|about| (file, about)));
        let (file, about) = opened.map_err(|error| told(path, &error))?;
        if !about.is_file() {
            return Err(told(path, &io::Error::other("not a regular file: a log is read twice")));
        }
        let mut log = Self { path, file, length: about.len(), begins_us: i64::MAX };
        let mut begins_us = None;
        log.read(|line| {
            begins_us = ended_us(line);
            if begins_us.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        log.begins_us = begins_us.unwrap_or(i64::MAX);
        Ok(log)
    }

    /// Hands over each line, and returns what comes behind the last line's end.
    fn lines(&mut self, mut take: impl FnMut(&str)) -> io::Result<Option<String>> {
        self.read(|line| {
            take(line);
            ControlFlow::Continue(())
        })
    }

    /// The same, until `take` has enough.
    fn read(&mut self, take: impl FnMut(&str) -> ControlFlow<()>) -> io::Result<Option<String>> {
        self.read_file(take).map_err(|error| told(self.path, &error))
    }

    fn read_file(&mut self, mut take: impl FnMut(&str) -> ControlFlow<()>) -> io::Result<Option<String>> {
        self.file.rewind()?;
        let (mut reader, mut line) = (BufReader::new((&self.file).take(self.length)), Vec::new());
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            match text.strip_suffix('\n').map(&mut take) {
                Some(ControlFlow::Continue(())) => {}
                Some(ControlFlow::Break(())) => return Ok(None),
                None => return Ok(Some(text.into_owned())),
            }
            line.clear();
        }
        Ok(None)
    }
}

/// An error with the file's name.
fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The backends of an upstream and their weights; none where no configuration was given.
fn backends(config: Option<&Config>, upstream: &str) -> Vec<(String, u32)> {
    let upstream = config.and_then(|config| config.upstreams.iter().find(|u| u.name == upstream));
    let backends = upstream.map_or(&[][..], |upstream| &upstream.backends);
    backends.iter().map(|backend| (backend.address.to_string(), backend.weight)).collect()
}

fn report(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let Verdict { upstream, cycles, counts, untold, open, notes, .. } = verdict;
        let word = match (verdict.findings.is_empty(), open.is_empty()) {
            (false, _) if verdict.assumes_equal => {
                "NOT KEPT, assuming equal weights (--config FILE gives the real ones)"
            }
            (false, _) => "NOT KEPT",
            (true, true) => "kept",
            (true, false) => "kept as far as the log tells",
        };
        let picks: u64 = counts.iter().map(|(_, count)| count).sum();
        let (picks, cycles) = (counted(picks, "pick"), counted(*cycles as u64, "cycle"));
        text += &format!("upstream {upstream}: {word}: {picks} in {cycles}\n");
        counts.iter().for_each(|(backend, count)| text += &format!("  {backend:<24} {count:>10}\n"));
        text += &found(verdict);
        if *untold > 0 {
            let are = if *untold == 1 { "is" } else { "are" };
            text += &format!("  ? {} {are} not told yet: ", counted(*untold, "pick"));
            text += "still running when the log ended, in an earlier log, or lost\n";
        }
        open.iter().for_each(|open| text += &format!("  ? {open}\n"));
        notes.iter().for_each(|note| text += &format!("  - {note}\n"));
    }
    if verdicts.is_empty() {
        text += "no line tells of a pick\n";
    }
    text
}

/// All findings; but of those that other weights would explain only the first one.
fn found(Verdict { findings, fitting, .. }: &Verdict) -> String {
    let line = |finding: &String| format!("  ! {finding}\n");
    if fitting.is_empty() {
        return findings.iter().map(line).collect();
    }
    let weights: Vec<_> = fitting.iter().map(|(backend, weight)| format!("{backend} {weight}")).collect();
    let weights = weights.join(", ");
    let mut text = format!("  ! kept if these are the weights, which explain every pick: {weights}\n");
    text.extend(findings.first().map(|first| format!("  ! with equal ones: {first}")));
    text += if findings.len() > 1 { "; and more of the kind\n" } else { "\n" };
    text
}

/// `1 pick`, `2 picks`.
fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A log with these picks of a process that was started long before, each made in the second of its number.
    fn log(picks: impl Iterator<Item = u64>) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for pick in picks {
            let backend = pick % 2;
            let line = format!(
                "1970-01-01T00:00:{pick}.000Z 127.0.0.1:5 \"GET /\" backend={backend} status=200 time=1.000ms \
                 upstream=u pick={pick} cycle=0"
            );
            writeln!(file, "{line}").unwrap();
        }
        file
    }

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let (older, newer) = (log((30..40).filter(|pick| *pick != 35)), log(40..50));
        for logs in [[&older, &newer], [&newer, &older]] {
            let paths = logs.map(|log| log.path().to_owned());
            let (verdicts, rest) = read(&paths, None, true).unwrap();
            assert_eq!((&*verdicts[0].findings, &*rest), (&["cycle 0 lacks pick 35".to_owned()][..], ""));
        }
    }

    #[test]
    fn who_is_accused_by_weights_that_were_assumed_is_told_so_at_once() {
        let fitting = vec![("a".to_owned(), 2), ("b".to_owned(), 1)];
        let findings = vec!["pick 3 went to a".to_owned(), "pick 4 went to b".to_owned()];
        let (upstream, counts) = ("u".to_owned(), vec![("a".to_owned(), 40), ("b".to_owned(), 20)]);
        let mut verdict = Verdict { upstream, cycles: 1, counts, findings, ..Verdict::default() };
        let said = |verdict: &Verdict| report(std::slice::from_ref(verdict));
        assert!(said(&verdict).starts_with("upstream u: NOT KEPT: 60 picks in 1 cycle\n"));
        verdict.assumes_equal = true;
        let first = "upstream u: NOT KEPT, assuming equal weights (--config FILE gives the real ones): 60 picks in 1 cycle\n";
        assert!(said(&verdict).starts_with(first) && said(&verdict).ends_with("a\n  ! pick 4 went to b\n"));
        verdict.fitting = fitting;
        let end = "  ! kept if these are the weights, which explain every pick: a 2, b 1\n  ! with equal ones: pick 3 went to a; and more of the kind\n";
        assert!(said(&verdict).ends_with(end), "{}", said(&verdict));
    }
}
