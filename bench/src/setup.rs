//! The set-up of a run: what is needed to judge its figures, and to do it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bound::Placement;
use crate::plan::{Plan, Tool};

/// Kept as `setup.json` in the run's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// `--name`.
    pub name: String,
    /// When it began.
    pub started: String,
    /// Whether every cell has been run.
    pub is_complete: bool,
    /// What was run.
    pub plan: Plan,
    /// On which cores.
    pub placement: Placement,
    /// Where it ran.
    pub machine: Machine,
    /// What took part, and its version as it says itself.
    pub versions: BTreeMap<String, String>,
    /// The SHA-256 of the proxy's and the backends' binaries; none in runs before this was kept.
    #[serde(default)]
    pub binaries: BTreeMap<String, String>,
    /// The CPU time of starting each client, in microseconds, which is not counted; none in runs before this was kept.
    #[serde(default)]
    pub start_up_us: BTreeMap<Tool, u64>,
    /// Where the programs are that were built here or named by hand.
    pub programs: Programs,
    /// The first port; the others follow it.
    pub first_port: u16,
    /// Every configuration file by name, as it was for the largest set of backends.
    pub configurations: BTreeMap<String, String>,
    /// What a reader has to know: what was left out and why.
    pub notes: Vec<String>,
}

/// The machine and the state of the sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Whether it is a virtual machine, as far as the processor says.
    pub is_virtual: bool,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: String,
    /// How finely the kernel accounts for CPU time, by its options, where it tells; nothing in runs before this was kept.
    #[serde(default)]
    pub kernel_options: BTreeMap<String, String>,
    /// The operating system.
    pub system: String,
    /// The commit, `+` behind it when files that belong to it differ from it.
    pub commit: String,
}

/// Programs that are not looked up in the PATH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs {
    /// The proxy.
    pub ringway: String,
    /// The backends.
    pub backends: String,
    /// oha, if it is there.
    pub oha: Option<String>,
    /// Envoy, if it is there.
    pub envoy: Option<String>,
}

impl Programs {
    /// The names alone: where they lie on a machine says nothing about a finished run.
    #[must_use]
    pub fn named(&self) -> Self {
        let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            ringway: name(&self.ringway),
            backends: name(&self.backends),
            oha: self.oha.as_ref().map(name),
            envoy: self.envoy.as_ref().map(name),
        }
    }
}

impl Setup {
    /// What keeps a run that is set up as `now` from going on with this one: figures of two do not mix.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let (then, today) = (&self.machine, &now.machine);
        if then.commit != today.commit {
            found.push(format!("the commit was {} and is {}", then.commit, today.commit));
        }
        if (Machine { commit: today.commit.clone(), ..then.clone() }) != *today {
            found.push("it is another machine, or another system on it".to_owned());
        }
        if self.binaries != now.binaries {
            found.push("the binaries are not the same".to_owned());
        }
        for (name, version) in &self.versions {
            match now.versions.get(name) {
                Some(today) if today == version => {}
                Some(today) => found.push(format!("{name} was {version:?} and is {today:?}")),
                None => found.push(format!("{name} is not there any more")),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = include_str!("../tests/recorded/run/setup.json");

    #[test]
    fn whatever_differs_is_named() {
        let then: Setup = serde_json::from_str(KEPT).unwrap();
        assert!(then.differences(&then).is_empty());
        let told = |change: fn(&mut Setup)| {
            let mut now = then.clone();
            change(&mut now);
            then.differences(&now)
        };
        assert!(told(|now| now.machine.commit.push('+'))[0].starts_with("the commit was "));
        assert_eq!(told(|now| now.machine.cores += 1), ["it is another machine, or another system on it"]);
        let binary = |now: &mut Setup| {
            now.binaries.insert("ringway".to_owned(), "00".to_owned());
        };
        assert_eq!(told(binary), ["the binaries are not the same"]);
        assert_eq!(told(|now| drop(now.versions.remove("wrk"))), ["wrk is not there any more"]);
        let version = |now: &mut Setup| {
            now.versions.insert("wrk".to_owned(), "wrk 5".to_owned());
        };
        assert!(told(version)[0].ends_with("and is \"wrk 5\""));
    }
}
