//! Timeouts: the defaults, and how a listener, an upstream and a route say otherwise.

use std::time::Duration;

use super::given;
use crate::config::Timeouts;
use crate::config::file::TimeoutsTable;

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            connect: Duration::from_secs(3),
            first_byte: Duration::from_secs(60),
            client_idle: Duration::from_secs(75),
            backend_idle: Duration::from_secs(30),
        }
    }
}

impl Timeouts {
    /// These timeouts, but for those that a stronger table sets.
    pub(super) fn with(&self, stronger: &TimeoutsTable) -> Self {
        Self {
            head: given(&stronger.head, self.head),
            body: given(&stronger.body, self.body),
            connect: given(&stronger.connect, self.connect),
            first_byte: given(&stronger.first_byte, self.first_byte),
            client_idle: given(&stronger.client_idle, self.client_idle),
            backend_idle: given(&stronger.backend_idle, self.backend_idle),
        }
    }
}

/// `timeouts.drain`, which is of the whole process.
pub(super) fn drain(table: &TimeoutsTable) -> Duration {
    given(&table.drain, Duration::from_secs(30))
}
