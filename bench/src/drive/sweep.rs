//! The sweep itself: every cell of every round that is not there yet, and a report at the end, whatever the end is.

use std::collections::BTreeSet;
use std::io;

use super::folder::Folder;
use super::interrupt::Interrupt;
use super::measure::{Bench, now};
use super::process;
use super::progress::Progress;
use super::proxies::{Launch, Ports};
use super::start_up;
use crate::report::Report;
use crate::row::Row;
use crate::setup::Setup;

/// How a sweep ended.
#[derive(Debug)]
pub struct Ended {
    /// What it found.
    pub report: Report,
    /// Whether every cell has its figures.
    pub is_complete: bool,
    /// How many runs were made this time.
    pub runs: usize,
}

/// Runs what is missing. What is there stays as it is; runs that failed before are tried again.
///
/// # Errors
///
/// The folder cannot be written. What goes wrong in a run is a row.
pub fn sweep(folder: &Folder, setup: &mut Setup, has_admin: bool, stop: &Interrupt) -> io::Result<Ended> {
    let _lock = folder.lock()?;
    let others = &setup.placement.others;
    process::stay_on(others)?;
    if setup.start_up_us.is_empty() {
        setup.start_up_us = start_up::measure(&setup.plan, &setup.programs, others)?;
        folder.save_setup(setup)?;
    }
    // Logs and configurations of single runs, which nobody misses.
    let work = tempfile::tempdir()?;
    let mut rows = folder.rows()?;
    rows.retain(Row::is_good);
    let runs = {
        let ports = Ports { first: setup.first_port };
        let (programs, placement) = (&setup.programs, &setup.placement);
        let launch = Launch { programs, ports, placement, has_admin, work: work.path() };
        let bench = Bench { plan: &setup.plan, launch, start_up_us: &setup.start_up_us, stop };
        run_missing(folder, &bench, &mut rows)?
    };
    setup.is_complete = is_complete(setup, &rows);
    if setup.is_complete {
        setup.programs = setup.programs.named();
    }
    folder.save_setup(setup)?;
    let report = folder.save_report(setup, &rows)?;
    Ok(Ended { report, is_complete: setup.is_complete, runs })
}

/// Whether every run of the plan has its figures.
fn is_complete(setup: &Setup, rows: &[Row]) -> bool {
    let there: BTreeSet<String> = rows.iter().filter(|row| row.is_good()).map(Row::key).collect();
    let rounds = 1..=setup.plan.rounds;
    rounds.into_iter().all(|round| setup.plan.cells().iter().all(|cell| there.contains(&cell.key(round))))
}

fn run_missing(folder: &Folder, bench: &Bench<'_>, rows: &mut Vec<Row>) -> io::Result<usize> {
    let there: BTreeSet<String> = rows.iter().map(Row::key).collect();
    let plan = bench.plan;
    let all = plan.cells().len() * plan.rounds as usize;
    let progress = Progress::new(all, there.len());
    let mut runs = 0;
    'rounds: for round in 1..=plan.rounds {
        for cell in plan.round(round) {
            let key = cell.key(round);
            if there.contains(&key) {
                continue;
            }
            progress.begin(&key);
            let started = now();
            let measured = bench.measure(round, &cell);
            if bench.stop.is_raised() {
                break 'rounds;
            }
            match measured {
                Ok(measured) => {
                    if let Some(hgrm) = measured.hgrm {
                        folder.save_hgrm(&key, &hgrm)?;
                    }
                    rows.push(measured.row);
                }
                Err(error) => {
                    progress.say(&format!("sweep: {key}: {error}"));
                    rows.push(Row::failed(round, cell, started, error.to_string()));
                }
            }
            runs += 1;
            folder.save_rows(rows)?;
            progress.end();
        }
    }
    progress.finish();
    Ok(runs)
}
