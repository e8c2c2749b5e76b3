//! Scripted transcripts: client, proxy and backend on one screen. See `docs/testing.md`.
//!
//! Each file `tests/cases/*.case` is played in the simulation, once whole and once for each place at which what the
//! proxy reads can be cut, and on each runtime that this machine allows. `CASE=name` plays the ones of that name only.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "cases/expect.rs"]
mod expect;
#[path = "cases/language.rs"]
mod language;
#[path = "cases/play.rs"]
mod play;
#[path = "cases/real.rs"]
mod real;
#[path = "support/runtimes.rs"]
mod runtimes;
#[path = "cases/setup.rs"]
mod setup;
#[path = "cases/simulated.rs"]
mod simulated;
#[path = "cases/wire.rs"]
mod wire;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use language::Case;

/// Threads that play cases at a time.
const THREADS: usize = 2;

#[test]
fn every_case_holds_in_the_simulation_wherever_it_is_cut() {
    all_hold(&cases(), simulated::run);
}

#[test]
fn every_case_holds_on_every_runtime_of_this_machine() {
    let runtimes: Vec<_> =
        ringway::runtime::RUNTIMES.iter().filter(|info| runtimes::is_allowed(info.name)).collect();
    let real: Vec<Case> = cases().into_iter().filter(|case| case.is_real).collect();
    all_hold(&real, |case| {
        let holds_on = |name: &str| case.not_on.as_deref() != Some(name);
        runtimes.iter().filter(|info| holds_on(info.name)).try_for_each(|info| real::run(case, info.name))
    });
}

/// Every transcript, by name.
fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let wanted = std::env::var("CASE").unwrap_or_default();
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".case") && name.contains(&wanted) {
            let text = std::fs::read_to_string(&path).unwrap();
            cases.push(Case::parse(&name, &text).unwrap_or_else(|problem| panic!("{problem}")));
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!cases.is_empty(), "there is no case of that name in {}", folder.display());
    cases
}

/// Runs all, and then fails with everything that did not hold.
fn all_hold(cases: &[Case], run: impl Fn(&Case) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut problems = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            problems.extend(run(case).err());
        }
        problems
    };
    let problems: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let list = problems.join("\n\n");
    assert!(problems.is_empty(), "{} of {} cases did not hold:\n\n{list}", problems.len(), cases.len());
}
