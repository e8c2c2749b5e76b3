//! Balancing policies: what picks a backend. One policy a file, all of them in [`POLICIES`].

pub mod round_robin;

use std::fmt;

/// Index of a backend in its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(pub usize);

/// A balancing policy.
pub struct Policy {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Lays out the cycle in which eligible backends (with their weights, 1 to 256) are picked. Empty for none.
    pub cycle: fn(eligible: &[(BackendId, u32)]) -> Vec<BackendId>,
}

/// Every policy there is; the first is the default.
pub static POLICIES: &[Policy] = &[round_robin::POLICY];

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
