//! `scripts/sweep`: reads the command line, runs the sweep, prints what it found.

mod options;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use options::Options;
use ringway_bench::drive::folder::Folder;
use ringway_bench::drive::interrupt::Interrupt;
use ringway_bench::drive::sweep::{Ended, sweep};
use ringway_bench::drive::{check, machine};
use ringway_bench::plan::Kind;
use ringway_bench::row::Row;
use ringway_bench::setup::Setup;
use ringway_bench::words::counted;

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match (&options.report, &options.resume) {
        (Some(run), _) => write_again(run, &options.out),
        (None, Some(run)) => resume(run),
        (None, None) if options.dry_run => dry_run(&options),
        (None, None) if options.check_percentiles => check_percentiles(&options),
        (None, None) => begin(&options),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("sweep: {error}");
        ExitCode::FAILURE
    })
}

fn begin(options: &Options) -> io::Result<ExitCode> {
    let (mut setup, has_admin) = options.setup()?;
    let folder = Folder::create(&options.out, date(&setup.started), &setup.name)?;
    folder.save_setup(&setup)?;
    go(&folder, &mut setup, has_admin)
}

/// The day of a moment as `now` writes it.
fn date(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}

fn resume(run: &Path) -> io::Result<ExitCode> {
    let folder = Folder::open(run);
    let mut setup = folder.setup()?;
    if setup.is_complete {
        return Err(io::Error::other(format!("{} is complete, and is not written again", run.display())));
    }
    let today = Setup {
        machine: machine::look(),
        binaries: machine::binaries(&setup.programs)?,
        versions: machine::versions(&setup.programs, &setup.plan.names(Kind::Peer)),
        ..setup.clone()
    };
    let differences = setup.differences(&today);
    if !differences.is_empty() {
        let why = differences.join("; ");
        return Err(io::Error::other(format!("{} cannot be resumed: {why}", run.display())));
    }
    let has_admin = setup.configurations.get("ringway.toml").is_some_and(|text| text.contains("[admin]"));
    go(&folder, &mut setup, has_admin)
}

fn dry_run(options: &Options) -> io::Result<ExitCode> {
    let (setup, _) = options.setup()?;
    print(&expected(&setup, &[]))?;
    Ok(ExitCode::SUCCESS)
}

/// What is ahead, for whoever waits.
fn expected(setup: &Setup, rows: &[Row]) -> String {
    let plan = &setup.plan;
    let subjects: Vec<&str> = plan.subjects.iter().map(|subject| subject.name.as_str()).collect();
    let there: BTreeSet<String> = rows.iter().filter(|row| row.is_good()).map(Row::key).collect();
    let (missing, time) = plan.missing(&there);
    let time = match (time.as_secs_f64() / 60.0).round() {
        minutes if minutes < 1.0 => "less than a minute".to_owned(),
        minutes => format!("about {}", counted(minutes as usize, "minute")),
    };
    let missing = if there.is_empty() { String::new() } else { format!("; {missing} runs are missing") };
    format!(
        "sweep: {} runs a round, {} rounds, of {}{missing}: {time}\n",
        plan.cells().len(),
        plan.rounds,
        subjects.join(", ")
    )
}

fn go(folder: &Folder, setup: &mut Setup, has_admin: bool) -> io::Result<ExitCode> {
    let path = folder.path().display();
    eprint!("{}", expected(setup, &folder.rows()?));
    eprintln!("sweep: the run is kept in {path}");
    let Ended { report, is_complete, .. } = sweep(folder, setup, has_admin, &Interrupt::listen()?)?;
    print(&report.terminal)?;
    print(&format!("\nThe report: {path}/report.html and report.md\n"))?;
    if is_complete {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("sweep: not every run was made. This goes on: scripts/sweep --resume {path}");
    Ok(ExitCode::FAILURE)
}

/// The folder of the run itself stays as it is.
fn write_again(run: &Path, out: &Path) -> io::Result<ExitCode> {
    let folder = Folder::open(run);
    let report = folder.render(&folder.setup()?, &folder.rows()?)?;
    Folder::new_beside(out)?.write_report(&report)?;
    print(&report.terminal)?;
    Ok(ExitCode::SUCCESS)
}

fn check_percentiles(options: &Options) -> io::Result<ExitCode> {
    let (setup, has_admin) = options.setup()?;
    let folder = Folder::create(&options.out, date(&setup.started), &setup.name)?;
    let text = check::run(&folder, &setup, has_admin, &Interrupt::listen()?)?;
    print(&text)?;
    print(&format!("\nKept in {}\n", folder.path().display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A reader that left early, such as `head`, is no failure.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
