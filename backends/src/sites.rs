//! The three file servers: what each path answers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::Deserialize;
use tower_http::services::ServeDir;

use crate::embedded::{DEFAULT_FILES, Folder, IMAGES, PDF, Sample, THUMBNAILS};
use crate::{listing, pattern};

/// The start page, its files, and paths that are handy for tests:
///
/// | Path | Answer |
/// | --- | --- |
/// | `/bytes/N` | N bytes of the pattern |
/// | `/count` | how long the request's body is, and whether it is the pattern |
/// | `/echo` | the request's body, while it comes |
/// | `/slow?ms=N` | a line of text, N milliseconds later |
pub(crate) fn default_site() -> Router {
    Router::new()
        .route("/bytes/{length}", get(bytes))
        .route("/count", post(count))
        .route("/echo", any(echo))
        .route("/slow", get(slow))
        .route("/redirect", get(|| found("/about.txt")))
        .fallback_service(files(Folder(&[DEFAULT_FILES])))
}

/// The pictures, and the list of them at `/`.
pub(crate) fn images() -> Router {
    folder("Pictures", Folder(&[IMAGES, THUMBNAILS]), IMAGES, "/rings.png")
}

/// The documents, and the list of them at `/`.
pub(crate) fn pdf() -> Router {
    folder("Documents", Folder(&[PDF]), PDF, "/tour.pdf")
}

fn folder(title: &str, content: Folder, listed: &[Sample], favourite: &'static str) -> Router {
    let page = Html(listing::page(title, listed, THUMBNAILS));
    Router::new()
        .route("/", get(|| async { page }))
        .route("/redirect", get(move || found(favourite)))
        .fallback_service(files(content))
}

fn files(content: Folder) -> Router {
    let nothing = get(|| async { (StatusCode::NOT_FOUND, "There is no such file here.\n") });
    Router::new().fallback_service(ServeDir::with_backend("", content).not_found_service(nothing))
}

/// A redirect by an absolute path, the kind that a proxy which took a prefix off has to mend.
async fn found(location: &'static str) -> impl IntoResponse {
    (StatusCode::FOUND, [(header::LOCATION, location)], "See the field Location.\n")
}

async fn bytes(Path(length): Path<u64>) -> impl IntoResponse {
    let fields = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    (fields, pattern::body(length))
}

async fn count(request: Request) -> Response {
    match pattern::measure(request.into_body()).await {
        Ok((length, None)) => format!("{length} bytes, all of the pattern\n").into_response(),
        Ok((length, Some(odd))) => format!("{length} bytes, not the pattern at {odd}\n").into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Sends the body back as it comes, framed as it came.
async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Body::new(body));
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        if let Some(value) = head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
}

async fn slow(Query(Slow { ms }): Query<Slow>) -> String {
    const LONGEST_MS: u64 = 60_000;
    tokio::time::sleep(Duration::from_millis(ms.min(LONGEST_MS))).await;
    format!("That took {ms} ms.\n")
}
