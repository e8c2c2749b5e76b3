//! `ringway audit`: checks the promise of round robin from an access log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use clap::Args;

use super::{EXIT_FAILURE, fail, load, print};
use crate::config::Config;
use crate::telemetry::audit::{Audit, Verdict};

/// Check the promise of round robin from an access log.
///
/// The picks of a cycle are numbered without a gap, none comes twice, and no two equal backends were picked a different
/// number of times, but for 1. Exits with 1 where that does not hold, or where lines are missing.
#[derive(Args)]
pub(super) struct Arguments {
    /// The access log, text or JSON.
    #[arg(value_name = "LOG")]
    log: PathBuf,
    /// The configuration, where backends have weights.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn audit(arguments: &Arguments) -> u8 {
    let config = match arguments.config.as_deref().map(load::file).transpose() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let mut audit = Audit::default();
    let lines = File::open(&arguments.log).and_then(|file| {
        BufReader::new(file).split(b'\n').try_for_each(|line| {
            audit.take(&String::from_utf8_lossy(&line?));
            Ok(())
        })
    });
    if let Err(error) = lines {
        return fail(&std::io::Error::new(error.kind(), format!("{}: {error}", arguments.log.display())));
    }
    let verdicts = audit.verdicts(|upstream, backend| weight(config.as_ref(), upstream, backend));
    let is_kept = !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.findings.is_empty());
    let printed = print(&report(&verdicts, audit.strange()));
    if is_kept { printed } else { EXIT_FAILURE }
}

/// The weight of a backend; 1 where no configuration was given.
fn weight(config: Option<&Config>, upstream: &str, backend: &str) -> u32 {
    let upstream = config.and_then(|config| config.upstreams.iter().find(|u| u.name == upstream));
    let backends = upstream.map_or(&[][..], |upstream| &upstream.backends);
    backends.iter().find(|b| b.address.to_string() == backend).map_or(1, |backend| backend.weight)
}

fn report(verdicts: &[Verdict], strange: u64) -> String {
    let mut text = String::new();
    for Verdict { upstream, cycles, counts, findings } in verdicts {
        let word = if findings.is_empty() { "kept" } else { "NOT KEPT" };
        let picks: u64 = counts.iter().map(|(_, count)| count).sum();
        text += &format!("upstream {upstream}: {word}: {picks} picks in {cycles} cycles\n");
        counts.iter().for_each(|(backend, count)| text += &format!("  {backend:<24} {count:>10}\n"));
        findings.iter().for_each(|finding| text += &format!("  ! {finding}\n"));
    }
    if verdicts.is_empty() {
        text += "no line tells of a pick\n";
    }
    if strange > 0 {
        text += &format!("{strange} lines are none of an access log\n");
    }
    text
}
