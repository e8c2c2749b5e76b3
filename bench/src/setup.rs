//! The set-up of a run: what is needed to judge its figures, and to do it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bound::Placement;
use crate::plan::Plan;

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
    /// The operating system.
    pub system: String,
    /// The commit, `+` behind it when files differ from it.
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
    /// Whether a run under `other` may go on with this one: the same machine and the same sources.
    #[must_use]
    pub fn is_continued_by(&self, other: &Machine) -> bool {
        self.machine == *other
    }
}
