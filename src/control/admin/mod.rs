//! The admin API: what the proxy counts, measures and knows, over HTTP. It reads, and changes nothing.

mod accept;
mod accept_wait;
mod backlog;
mod client;
mod hgrm;
mod latency;
mod pace;
mod patience;
mod reading;
mod snapshots;
mod socket;
mod state;
mod table;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::launch::Server;
use crate::config::AdminAddress;
use crate::proxy::Shared;
use crate::runtime::{DrainSignal, Peers};
use crate::telemetry::{Phase, exposition};
use accept::Places;
use accept_wait::AcceptWait;
use latency::{Asked, By, Wanted};
use pace::Pace;
use snapshots::{Snapshot, Snapshots};

pub use accept_wait::AcceptWaitView;
pub use client::ask;
pub use hgrm::PERCENTILES;
pub use latency::{Answer, Row};
pub(super) use socket::AdminSocket;
pub use state::{BackendView, Connections, UpstreamView};
pub use table::{duration, table};

const PAGES: &str = "\
Ringway's admin API. It reads, and changes nothing.
  /metrics         for Prometheus
  /latency         percentiles of each phase, JSON; ?by=backend|upstream|both|all, ?since=ID: since an
                   earlier answer, ?upstream=…&backend=…&phase=…
  /latency.hgrm    a percentile distribution for the HdrHistogram plotter; ?upstream=…&backend=…&phase=…&since=ID
  /latency.hlog    an HdrHistogram interval log, one tag a series and phase; ?upstream=…&backend=…&phase=…&since=ID
  /upstreams       backends: whether they take part, what is in flight, picks, what they have failed
  /connections     of clients
  /ready           200, or 503 while a drain runs
  /version         of the program, and the runtime
";

/// What the pages are made of.
pub(super) struct Admin {
    shared: Arc<Shared>,
    drain: DrainSignal,
    runtime: &'static str,
    why: &'static str,
    reasons: Vec<String>,
    peers: Peers,
    started: Instant,
    snapshots: Mutex<Snapshots>,
    places: Arc<Places>,
    pace: Pace,
    accept_wait: Arc<AcceptWait>,
}

/// What is measured now, and what was when the snapshot that `since` names was taken.
type Taken = (Arc<Snapshot>, Option<Arc<Snapshot>>);

impl Admin {
    pub(super) fn new(server: &Server) -> Arc<Self> {
        let shared = Arc::clone(server.shared());
        let accept_wait = Arc::<AcceptWait>::default();
        Arc::new(Self {
            snapshots: Mutex::new(Snapshots::new(shared.log.started_us(), Arc::clone(&accept_wait))),
            accept_wait,
            pace: Pace::default(),
            shared,
            drain: server.drain_signal(),
            runtime: server.runtime,
            why: server.why,
            reasons: server.reasons.clone(),
            peers: server.peers().clone(),
            started: Instant::now(),
            places: Places::new(),
        })
    }

    /// How many client connections each worker serves. A lone one serves all, and the threads of `threads` count as one.
    fn loads(&self) -> Vec<usize> {
        if self.peers.workers() == 1 { vec![self.shared.connections()] } else { self.peers.loads() }
    }

    /// How many connections wait to be accepted at each listener: unknown while a drain runs, since nobody listens then.
    fn waiting(&self) -> Vec<Option<usize>> {
        let listeners = self.shared.config.listeners.iter();
        let addresses: Vec<_> = listeners.map(|listener| listener.address).collect();
        if self.drain.is_raised() {
            return vec![None; addresses.len()];
        }
        backlog::waiting(&addresses, self.peers.loads().len())
    }

    fn snapshots(&self) -> MutexGuard<'_, Snapshots> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self, asked: &Asked) -> Result<Wanted, Box<Response>> {
        Wanted::new(&self.shared.meter, asked).map_err(|what| Box::new(not_found(what)))
    }

    /// What is measured now, and what was when the snapshot that is named was taken.
    fn taken(&self, since: Option<&str>) -> Result<Taken, Box<Response>> {
        let mut snapshots = self.snapshots();
        let earlier = since.map(|id| snapshots.find(id).ok_or_else(|| Box::new(gone(id)))).transpose()?;
        Ok((snapshots.take(&self.shared.meter, earlier.as_deref()), earlier))
    }

    /// The same for an answer that tells no id: nothing is kept, and no other reader's snapshot is forgotten for it.
    fn looked_at(&self, since: Option<&str>) -> Result<Taken, Box<Response>> {
        let snapshots = self.snapshots();
        let earlier = since.map(|id| snapshots.find(id).ok_or_else(|| Box::new(gone(id)))).transpose()?;
        Ok((Arc::new(snapshots.read(&self.shared.meter)), earlier))
    }
}

/// Serves the pages until the process ends.
pub(super) async fn serve(socket: AdminSocket, admin: Arc<Admin>) {
    let places = Arc::clone(&admin.places);
    let sampled = accept_wait::sample(Arc::clone(&admin));
    let pages = Router::new()
        .route("/", get(async || PAGES))
        .route("/metrics", get(metrics))
        .route("/latency", get(latency_table))
        .route("/latency.hgrm", get(percentiles))
        .route("/latency.hlog", get(interval_log))
        .route("/upstreams", get(upstreams))
        .route("/connections", get(connections))
        .route("/ready", get(ready))
        .route("/version", get(version))
        .fallback(async || (StatusCode::NOT_FOUND, format!("there is no such page\n\n{PAGES}")))
        .method_not_allowed_fallback(async || {
            (StatusCode::METHOD_NOT_ALLOWED, "the admin API reads, and changes nothing: GET and HEAD alone\n")
        })
        .with_state(admin);
    tokio::select! {
        () = socket.serve(pages, places) => {}
        () = sampled => {}
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let text = admin.pace.turn(|| exposition::exposition(&reading::take(&admin))).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn latency_table(State(admin): State<Arc<Admin>>, Query(asked): Query<Asked>) -> Response {
    let page = || {
        // What is asked for wrongly takes no snapshot.
        let wanted = admin.wanted(&asked)?;
        let (now, earlier) = admin.taken(asked.since.as_deref())?;
        Ok(json(&latency::answer(&wanted, &now, earlier.as_deref())))
    };
    either(admin.pace.turn(page).await)
}

async fn percentiles(State(admin): State<Arc<Admin>>, Query(asked): Query<Asked>) -> Response {
    let page = || {
        without_by(&asked)?;
        let (now, earlier) = admin.looked_at(asked.since.as_deref())?;
        let picked = latency::pick(&admin.shared.meter, &now, earlier.as_deref(), &asked);
        Ok(picked.map_or_else(not_found, |distribution| text(hgrm::write(&distribution))))
    };
    either(admin.pace.turn(page).await)
}

async fn interval_log(State(admin): State<Arc<Admin>>, Query(asked): Query<Asked>) -> Response {
    let begun = (admin.started, admin.shared.log.started_s());
    let page = || {
        without_by(&asked)?;
        let wanted = admin.wanted(&asked)?;
        let (now, earlier) = admin.looked_at(asked.since.as_deref())?;
        let log = latency::interval_log(&wanted, &now, earlier.as_deref(), begun);
        Ok(log.map_or_else(failed, text))
    };
    either(admin.pace.turn(page).await)
}

async fn upstreams(State(admin): State<Arc<Admin>>) -> Response {
    admin.pace.turn(|| json(&state::upstreams(&admin.shared))).await
}

async fn connections(State(admin): State<Arc<Admin>>) -> Response {
    admin.pace.turn(|| json(&state::connections(&admin))).await
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match admin.drain.is_raised() {
        false => "ready\n".into_response(),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
    }
}

/// The program and its runtime.
#[derive(Serialize)]
struct Version<'a> {
    version: &'a str,
    runtime: &'a str,
    /// Why it is this one.
    why: &'a str,
    /// Why the better runtimes are not used.
    reasons: &'a [String],
    /// Since the start.
    uptime_seconds: f64,
}

async fn version(State(admin): State<Arc<Admin>>) -> Response {
    let Admin { runtime, why, reasons, .. } = &*admin;
    let uptime_seconds = admin.started.elapsed().as_secs_f64();
    json(&Version { version: env!("CARGO_PKG_VERSION"), runtime, why, reasons, uptime_seconds })
}

/// One file has one distribution, and the other each by itself: nothing is put together there.
fn without_by(asked: &Asked) -> Result<(), Box<Response>> {
    match asked.by {
        None => Ok(()),
        Some(_) => Err(Box::new((StatusCode::BAD_REQUEST, "`by` is for /latency alone\n").into_response())),
    }
}

fn gone(id: &str) -> Response {
    let text = format!(
        "there is no snapshot \"{id}\" any more: ask without `since` and take the id of that answer\n"
    );
    (StatusCode::GONE, text).into_response()
}

fn either(page: Result<Response, Box<Response>>) -> Response {
    page.unwrap_or_else(|gone| *gone)
}

fn not_found(what: String) -> Response {
    (StatusCode::NOT_FOUND, format!("{what}\n")).into_response()
}

fn failed(error: impl std::fmt::Display) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => failed(error),
    }
}

/// The percentiles of all time by upstream, as a table: the total, and what of it the proxy has added. `None` if nothing
/// was exchanged.
pub(super) fn summary(shared: &Shared) -> Option<String> {
    let now = Snapshots::new(0, Arc::default()).read(&shared.meter);
    let asked = Asked { by: Some(By::Upstream), ..Asked::default() };
    let mut rows = latency::answer(&Wanted::new(&shared.meter, &asked).ok()?, &now, None).series;
    rows.retain(|row| [Phase::Total.name(), Phase::Added.name()].contains(&row.phase.as_str()));
    table(&rows)
}

/// Binds the address, if there is one.
///
/// # Errors
/// Names the address and what to do.
pub(super) fn bind(address: Option<&AdminAddress>) -> io::Result<Option<AdminSocket>> {
    address.map(AdminSocket::bind).transpose()
}
