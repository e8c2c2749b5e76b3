//! One server of the cluster: every answer names it, and all of them are of one length.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;

/// Answers any method and path with its port, in the field `X-Backend` and in the body, and counts its answers.
pub(crate) fn server(port: u16, answered: Arc<AtomicU64>) -> Router {
    let name = HeaderValue::from(port);
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    let body = format!("Hello from the backend on port {port}.\n");
    Router::new().fallback(move || {
        answered.fetch_add(1, Ordering::Relaxed);
        let fields = [(header::HeaderName::from_static("x-backend"), name), (header::CONTENT_TYPE, text)];
        async move { (fields, body).into_response() }
    })
}
