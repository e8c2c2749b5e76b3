//! What `ringway top` asks the admin API for, at one moment.

use std::io;

use serde::Deserialize;

use crate::config::AdminAddress;
use crate::control::admin::{Answer, Connections, Row, UpstreamView, ask};
use crate::telemetry::Phase;

/// What is shown at a moment.
pub(super) struct View {
    pub(super) version: Version,
    pub(super) is_ready: bool,
    pub(super) connections: Connections,
    pub(super) upstreams: Vec<UpstreamView>,
    /// The rows of the upstreams, without a backend, and those of their backends, all of one moment.
    pub(super) latency: Answer,
}

/// The answer of `/version`, as far as it is shown.
#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) runtime: String,
    /// A proxy of an earlier version does not tell.
    #[serde(default)]
    pub(super) uptime_seconds: Option<f64>,
}

impl View {
    /// All of it, and the id of the answer that later ones may follow.
    pub(super) fn ask(admin: &AdminAddress, since: Option<&str>) -> io::Result<(String, Self)> {
        fn read<T: for<'a> Deserialize<'a>>(admin: &AdminAddress, path: &str) -> io::Result<T> {
            serde_json::from_slice(&ask(admin, path)?).map_err(io::Error::other)
        }
        let is_ready = match ask(admin, "/ready") {
            Ok(_) => true,
            // It answered, but not with 200.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let since = since.map(|id| format!("&since={id}")).unwrap_or_default();
        let view = Self {
            version: read(admin, "/version")?,
            is_ready,
            connections: read(admin, "/connections")?,
            upstreams: read(admin, "/upstreams")?,
            latency: read(admin, &format!("/latency?by=both{since}"))?,
        };
        Ok((view.latency.id.clone(), view))
    }

    /// Exchanges a second, of all upstreams; `None` where it is not known of how long.
    pub(super) fn rate(&self) -> Option<f64> {
        let rows = self.latency.series.iter();
        let total = rows.filter(|row| row.backend.is_none() && row.phase == Phase::Total.name());
        self.latency.seconds.map(|seconds| total.map(|row| row.count).sum::<u64>() as f64 / seconds)
    }

    /// A phase of an upstream. Those beyond the bound on series have none of their own.
    pub(super) fn of_upstream(&self, upstream: &str, phase: Phase) -> Option<Measured<'_>> {
        self.find((upstream, None), phase)
    }

    /// A phase of one of its backends. Those beyond the bound on series have none of their own.
    pub(super) fn of_backend(&self, upstream: &str, backend: &str, phase: Phase) -> Option<Measured<'_>> {
        self.find((upstream, Some(backend)), phase)
    }

    fn find(&self, (upstream, backend): (&str, Option<&str>), phase: Phase) -> Option<Measured<'_>> {
        let is_its = |row: &&Row| {
            (row.upstream.as_deref(), row.backend.as_deref()) == (Some(upstream), backend)
                && row.phase == phase.name()
        };
        let seconds = self.latency.seconds;
        self.latency.series.iter().find(is_its).map(|row| Measured { row, seconds })
    }
}

/// A row, and of how many seconds it is.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) row: &'a Row,
    seconds: Option<f64>,
}

impl Measured<'_> {
    /// Exchanges a second.
    pub(super) fn rate(self) -> Option<f64> {
        self.seconds.map(|seconds| self.row.count as f64 / seconds)
    }
}
