//! `ringway doctor`: what this machine allows, which runtime `auto` takes, and what to change for a better one.

mod json;
mod machine;
mod page;

use clap::Args;

use self::machine::Machine;
use super::{EXIT_FAILURE, EXIT_OK, print};
use crate::runtime::{self, Examined, Info, Outcome, RUNTIMES};

/// Say what this machine allows, which runtime `auto` takes here, and what to change for a better one.
///
/// Everything is tried out on loopback, mostly in less than a second, and nothing is changed. Exit code 0: `auto` takes the best
/// runtime of this build. Exit code 1: it takes a lesser one, or none; the page says why.
#[derive(Args)]
pub(super) struct Arguments {
    /// Print JSON for machines instead of a page for people.
    #[arg(long)]
    json: bool,
}

/// Everything that was found.
struct Findings {
    machine: Machine,
    /// The runtimes of this build, the best first.
    runtimes: Vec<Found>,
    /// The name of the runtime that `auto` takes.
    auto: Option<&'static str>,
    /// Why it takes none of the better ones.
    reasons: Vec<String>,
}

/// What was found about one runtime.
struct Found {
    info: &'static Info,
    /// Why it cannot be had and what to change.
    refusal: Option<String>,
    examined: Examined,
}

pub(super) fn doctor(arguments: &Arguments) -> u8 {
    let findings = Findings::gather();
    let printed = if arguments.json {
        print(&json::render(&findings))
    } else {
        print(&page::render(&findings, page::Width::of(&std::io::stdout())))
    };
    if printed == EXIT_OK && !findings.is_best() { EXIT_FAILURE } else { printed }
}

impl Findings {
    fn gather() -> Self {
        let machine = Machine::look();
        let runtimes: Vec<_> = RUNTIMES.iter().map(|info| Found::gather(info, machine.cores)).collect();
        // Not checked again: memory that the checks have used may not have come back yet.
        let check = |info: &Info| {
            let found = runtimes.iter().find(|found| found.info.name == info.name);
            found.and_then(|found| found.refusal.clone()).map_or(Ok(()), Err)
        };
        let (auto, reasons) = match runtime::choose_by("auto", check) {
            Ok(choice) => (Some(choice.info.name), choice.reasons),
            Err(error) => (None, vec![error.to_string()]),
        };
        Self { machine, runtimes, auto, reasons }
    }

    /// Whether `auto` takes the best runtime of this build.
    fn is_best(&self) -> bool {
        self.auto.is_some() && self.reasons.is_empty()
    }

    /// What to change to get what cannot be had now, each thing once, behind the names of the runtimes that need it.
    fn changes(&self) -> Vec<String> {
        let mut changes: Vec<(Vec<&str>, String)> = Vec::new();
        for found in &self.runtimes {
            for change in found.changes() {
                match changes.iter_mut().find(|(_, other)| *other == change) {
                    Some((names, _)) if names.contains(&found.info.name) => {}
                    Some((names, _)) => names.push(found.info.name),
                    None => changes.push((vec![found.info.name], change)),
                }
            }
        }
        changes.into_iter().map(|(names, change)| format!("{}: {change}", names.join(", "))).collect()
    }
}

impl Found {
    /// Looks at a runtime with so many workers, by default one for each core.
    fn gather(info: &'static Info, workers: usize) -> Self {
        Self { info, refusal: (info.check)(workers).err(), examined: (info.examine)() }
    }

    /// What a runtime knows of its features says more exactly what to change than its refusal does.
    fn changes(&self) -> Vec<String> {
        let of_features: Vec<String> = self
            .examined
            .features
            .iter()
            .filter_map(|feature| match &feature.outcome {
                Outcome::Unavailable { why, change } if !change.is_empty() => {
                    Some(format!("{why}. To change it: {change}"))
                }
                _ => None,
            })
            .collect();
        if of_features.is_empty() { self.refusal.iter().cloned().collect() } else { of_features }
    }
}
