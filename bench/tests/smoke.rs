//! The sweep as it is run, with tiny counts: from the command line to the report, broken off and gone on with.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ringway_bench::drive::folder::Folder;
use ringway_bench::plan::Tool;

/// The sweeps of the tests use the same ports.
static PORTS: Mutex<()> = Mutex::new(());

/// Builds the proxy and the backends beside the sweep, where they are not there yet.
fn build() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--bins"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    });
}

fn command(arguments: &[&str], out: &Path) -> Command {
    build();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway-bench"));
    let out = out.to_str().unwrap();
    command.args(arguments).args(["--out", out, "--first-port", "18740"]);
    command
}

fn sweep(arguments: &[&str], out: &Path) -> Output {
    command(arguments, out).output().unwrap()
}

/// All other options come from the run's own set-up.
fn resume(run: &Path) -> Command {
    build();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway-bench"));
    command.arg("--resume").arg(run);
    command
}

/// Waits until a run has so many rows, and returns its folder.
fn wait_for_rows(out: &Path, rows: usize) -> PathBuf {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "no run was made");
        let made = fs::read_dir(out).unwrap().count() == 1;
        if made && Folder::open(&only_run(out)).rows().is_ok_and(|there| there.len() >= rows) {
            return only_run(out);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Everything whose command line names the proxy or the backends of this test's build, also where they are about to be
/// started.
fn left_over() -> Vec<String> {
    let configuration = format!("ringway run --config {}", std::env::temp_dir().display());
    let ours = Path::new(env!("CARGO_BIN_EXE_ringway-bench")).parent().unwrap().join("ringway");
    let ours = ours.to_str().unwrap().to_owned();
    let line = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.ok()?.path().join("cmdline")).ok();
    let lines = fs::read_dir("/proc").unwrap().filter_map(line);
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    let is_of_the_sweep =
        |line: &String| line.contains(&ours) && (line.contains("--lean 18") || line.contains(&configuration));
    lines.filter(is_of_the_sweep).collect()
}

/// Waits until nothing of a sweep runs any more.
fn wait_until_all_have_ended() {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !left_over().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", left_over());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The only folder below.
fn only_run(out: &Path) -> PathBuf {
    let folders: Vec<PathBuf> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders[0].clone()
}

#[rustfmt::skip]
const TINY: &[&str] = &[
    "--name", "tiny", "--requests", "100", "--wrk-seconds", "1", "--rounds", "2", "--runtimes", "threads",
    "--backends", "1,3", "--concurrency", "4", "--tools", "ab-k", "--no-open-loop",
];

/// How many runs it has.
const ALL: usize = 12;

#[test]
fn a_tiny_sweep_leaves_a_whole_folder() {
    let _ports = PORTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let out = tempfile::tempdir().unwrap();
    let output = sweep(TINY, out.path());
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{told}");
    let run = only_run(out.path());
    assert!(run.to_str().unwrap().ends_with("-tiny"));
    for file in ["setup.json", "raw.csv", "raw.json", "report.md", "report.html", "plots/requests-ab-k.svg"] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let rows = Folder::open(&run).rows().unwrap();
    // One of one, three of three, one of three, direct and two A/A twins; twice.
    assert_eq!(rows.len(), ALL);
    for row in &rows {
        assert_eq!(row.error, None);
        assert_eq!((row.answers.completed, row.answers.failed, row.answers.non_2xx), (100, 0, 0));
        assert_eq!(row.warmup_failed, 0, "{}", row.key());
        assert_eq!(row.shares.len(), row.cell.setting.alive);
        assert_eq!(row.shares.iter().sum::<u64>(), 100, "{}", row.key());
        let spread = row.shares.iter().max().unwrap() - row.shares.iter().min().unwrap();
        assert!(spread <= 1, "{:?}", row.shares);
        let has_proxy = row.cell.subject.name != "direct";
        assert_eq!(row.cpu.proxy_us_per_request.is_some_and(|us| us > 0.0), has_proxy);
        assert!(row.cpu.client_pct > 0.0 && row.cpu.backend_pct > 0.0);
        assert_eq!(row.answers.kept, Some(100));
        let (measured, lived) = (row.cpu.measured_seconds.unwrap(), row.cpu.client_seconds.unwrap());
        assert!(0.0 < measured && measured < lived, "a client starts before it measures: {measured} {lived}");
    }
    let setup = Folder::open(&run).setup().unwrap();
    assert!(setup.plan.seed != 0 && setup.start_up_us[&Tool::AbKeepAlive] > 0, "{setup:?}");
    let report = fs::read_to_string(run.join("report.md")).unwrap();
    assert!(report.contains("counted the same requests in each of 12 runs,"), "{report}");
    assert!(said.contains("Experiment: ab -k") && said.contains("Was every request answered?"), "{said}");
}

#[test]
fn a_run_that_was_broken_off_goes_on_where_it_was() {
    let _ports = PORTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let out = tempfile::tempdir().unwrap();
    let child = command(TINY, out.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let first = wait_for_rows(out.path(), 2);
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let folder = Folder::open(&first);
    let before = folder.rows().unwrap();
    assert!(!output.status.success() && before.len() < ALL, "{} rows", before.len());
    assert!(String::from_utf8_lossy(&output.stderr).contains("scripts/sweep --resume"));
    let partial = fs::read_to_string(first.join("report.md")).unwrap();
    assert!(partial.contains("This report is partial"));

    assert!(left_over().is_empty(), "{:?}", left_over());
    let resumed = resume(&first).output().unwrap();
    let told = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(resumed.status.success(), "{told}");
    assert!(
        told.contains(&format!("; {} runs are missing: less than a minute", ALL - before.len())),
        "{told}"
    );
    let after = folder.rows().unwrap();
    assert_eq!(after.len(), ALL);
    assert_eq!(after[..before.len()], before, "what was there has not been run again");
    assert!(!fs::read_to_string(first.join("report.md")).unwrap().contains("This report is partial"));

    let written = fs::read(first.join("report.md")).unwrap();
    let again = resume(&first).output().unwrap();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("is complete, and is not written again"));
    assert_eq!(fs::read(first.join("report.md")).unwrap(), written);
}

#[test]
fn a_run_that_fails_is_a_row_and_not_the_end() {
    let _ports = PORTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let out = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> =
        TINY.iter().map(|word| if *word == "threads" { "threads,no-such-runtime" } else { word }).collect();
    let output = sweep(&arguments, out.path());
    assert!(!output.status.success());
    let rows = Folder::open(&only_run(out.path())).rows().unwrap();
    let failed: Vec<_> = rows.iter().filter(|row| row.error.is_some()).collect();
    assert!(!failed.is_empty() && failed.iter().all(|row| row.cell.subject.name == "no-such-runtime"));
    assert_eq!(rows.len() - failed.len(), ALL);
    let report = fs::read_to_string(only_run(out.path()).join("report.md")).unwrap();
    assert!(report.contains("6 runs could not be made"), "{report}");
}

#[test]
fn a_sweep_that_was_killed_leaves_no_process_and_goes_on() {
    let _ports = PORTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let out = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> = TINY.iter().map(|word| if *word == "ab-k" { "wrk" } else { word }).collect();
    let mut child =
        command(&arguments, out.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = wait_for_rows(out.path(), 1);
    // In the middle of a run: that of wrk lasts a second.
    while left_over().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_all_have_ended();
    let folder = Folder::open(&run);
    let before = folder.rows().unwrap();
    assert!(before.len() < ALL);
    let resumed = resume(&run).output().unwrap();
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let after = folder.rows().unwrap();
    assert_eq!((after.len(), &after[..before.len()]), (ALL, before.as_slice()));
}

#[test]
fn figures_of_two_set_ups_do_not_mix() {
    let out = tempfile::tempdir().unwrap();
    let with_no_backends = ["--name", "other", "--backends-program", "/nowhere"];
    assert!(!sweep(&with_no_backends, out.path()).status.success());
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "nothing was begun");

    let _ports = PORTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let child = command(TINY, out.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = wait_for_rows(out.path(), 1);
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    child.wait_with_output().unwrap();

    let more = resume(&run).args(["--rounds", "9"]).output().unwrap();
    assert!(String::from_utf8_lossy(&more.stderr).contains("cannot be used with"), "an option beside it");
    let folder = Folder::open(&run);
    let (good, rows) = (folder.setup().unwrap(), folder.rows().unwrap());
    let mut other = good.clone();
    other.binaries.insert("ringway".to_owned(), "another".to_owned());
    other.machine.commit = "0123456789ab".to_owned();
    folder.save_setup(&other).unwrap();
    let refused = resume(&run).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("cannot be resumed: the commit was 0123456789ab"),
        "{said}"
    );
    assert!(said.contains("the binaries are not the same"), "{said}");
    assert_eq!(folder.rows().unwrap(), rows, "nothing was run");
}

/// A client that sends nothing stands in for oha.
#[test]
fn a_check_of_percentiles_that_failed_is_not_called_complete() {
    let _ports = PORTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let out = tempfile::tempdir().unwrap();
    let output = sweep(&["--check-percentiles", "--oha", "/bin/false", "--runtimes", "threads"], out.path());
    assert!(!output.status.success());
    let run = only_run(out.path());
    assert!(!run.join("setup.json").exists() && !run.join("report.md").exists());
    assert!(!resume(&run).output().unwrap().status.success(), "it is no sweep to go on with");
}

#[test]
fn a_dry_run_tells_the_time_and_makes_nothing() {
    let out = tempfile::tempdir().unwrap();
    let output = sweep(&[TINY, &["--dry-run"]].concat(), out.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("6 runs a round, 2 rounds, of threads: less than a minute"), "{said}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}
