//! The connections of the admin API: how many there may be, and how long each may be silent.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

/// How many connections there may be at a time. The proxy's clients need the descriptors of the process.
const CONNECTIONS: usize = 64;

/// How long a request's head may take, counted from the end of the exchange before it: so also how long a kept connection
/// may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves the pages to whoever connects, for ever. The listener waits out errors of `accept` itself: for a second where the
/// process has no descriptor left.
pub(super) async fn serve(mut listener: impl Listener, pages: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let service = TowerToHyperService::new(pages);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    loop {
        let (stream, _) = listener.accept().await;
        // Closed at once: whoever waits in the queue would not learn why.
        let Ok(place) = Arc::clone(&free).try_acquire_owned() else { continue };
        let connection = server.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // A client that leaves, is late or speaks no HTTP is nobody's concern but its own.
            let _ = connection.await;
            drop(place);
        });
    }
}
