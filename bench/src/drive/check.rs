//! The check of percentiles: each runtime before a backend of known delays, seen by itself and by oha at once.

use std::io;
use std::time::Duration;

use super::backends::Backends;
use super::folder::Folder;
use super::interrupt::Interrupt;
use super::measure::Own;
use super::process::{run_client, stay_on};
use super::proxies::{Launch, Ports};
use crate::agreement::{Comparison, DELAYS_MS, render};
use crate::clients::oha;
use crate::plan::{Kind, OpenLoop, Subject};
use crate::setup::Setup;

/// Few enough that nothing waits for the processor, long enough for the 99.9th percentile.
const LOAD: OpenLoop = OpenLoop { rate: 200, seconds: 30, connections: 100 };
/// Before it counts, so that connections are open.
const WARM_UP: OpenLoop = OpenLoop { rate: 200, seconds: 2, connections: 100 };
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs it and keeps everything in the folder; returns the report.
///
/// # Errors
///
/// There is no oha, or no admin API; something did not start or was interrupted.
pub fn run(folder: &Folder, setup: &Setup, has_admin: bool, stop: &Interrupt) -> io::Result<String> {
    let Some(program) = setup.programs.oha.as_deref() else {
        return Err(io::Error::other("oha is not there: cargo install oha, or name it with --oha"));
    };
    if !has_admin {
        return Err(io::Error::other("this proxy has no admin API to tell percentiles"));
    }
    stay_on(&setup.placement.others)?;
    let work = tempfile::tempdir()?;
    let ports = Ports { first: setup.first_port };
    let launch = Launch {
        programs: &setup.programs,
        ports,
        placement: &setup.placement,
        has_admin,
        work: work.path(),
    };
    let mut comparisons = Vec::new();
    for subject in setup.plan.subjects.iter().filter(|subject| subject.kind == Kind::Runtime) {
        eprintln!("sweep: {} for {} s", subject.name, LOAD.seconds);
        comparisons.push(compare(folder, &launch, program, subject, stop)?);
    }
    let machine =
        format!("{}, kernel {}, commit {}", setup.machine.cpu, setup.machine.kernel, setup.machine.commit);
    let report = render(&comparisons, LOAD.rate, &machine);
    folder.write("raw.json", &(serde_json::to_string_pretty(&comparisons)? + "\n"))?;
    folder.write("report.md", &report)?;
    // Last: a check that was broken off has no set-up, so nobody takes it for one that ended, or goes on with it.
    let kept = Setup { programs: setup.programs.named(), is_complete: true, ..setup.clone() };
    folder.save_setup(&kept)?;
    Ok(report)
}

fn compare(
    folder: &Folder,
    launch: &Launch<'_>,
    program: &str,
    subject: &Subject,
    stop: &Interrupt,
) -> io::Result<Comparison> {
    let (others, delays) = (&launch.placement.others, DELAYS_MS.map(Duration::from_millis));
    let backends = launch.ports.backends(1);
    let _backends = Backends::start(&launch.programs.backends, &backends, &delays, others, launch.work)?;
    let _proxy = launch.start(subject, 1)?;
    let url = format!("http://127.0.0.1:{}/", launch.ports.proxy());
    let load = |open| run_client(&oha::command(program, &url, open, true), others, PATIENCE, stop);
    oha::parse(&load(WARM_UP)?.text)?;

    let own = Own::begin(true, launch.ports.admin())?;
    let ran = load(LOAD)?;
    let (reading, hgrm) = own.end()?;
    let answers = oha::parse(&ran.text)?;
    folder.write(&format!("oha-{}.json", subject.name), &ran.text)?;
    if let Some(hgrm) = hgrm {
        folder.save_hgrm(&subject.name, &hgrm)?;
    }
    let reading = reading.ok_or_else(|| io::Error::other("the proxy told nothing"))?;
    Ok(Comparison {
        runtime: subject.name.clone(),
        counts: (reading.count, answers.completed),
        failed: answers.failed + answers.non_2xx,
        proxy: reading.percentiles,
        oha: answers.latency,
    })
}
