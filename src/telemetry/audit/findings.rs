//! What was found, of which only the first part is told.

use std::fmt;

/// Findings of one upstream that are told; more are only counted.
const TOLD: usize = 20;

/// The first findings, and how many there were.
#[derive(Debug, Default, Clone)]
pub(super) struct Findings {
    told: Vec<String>,
    count: usize,
}

impl Findings {
    pub(super) fn push(&mut self, finding: fmt::Arguments<'_>) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(finding.to_string());
        }
    }

    /// Adds those of another.
    pub(super) fn extend(&mut self, other: &Self) {
        let room = TOLD - self.told.len();
        self.told.extend(other.told.iter().take(room).cloned());
        self.count += other.count;
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<&str> {
        self.told.first().map(String::as_str)
    }

    /// How many there are, told or not.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Those that are told, and how many are not.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        if self.count > self.told.len() {
            self.told.push(format!("and {} more of the kind", self.count - self.told.len()));
        }
        self.told
    }
}
