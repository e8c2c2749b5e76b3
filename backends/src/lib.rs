//! Sample backends.
