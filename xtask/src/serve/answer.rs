//! One request, one answer: files with ranges and validators, and the headers that a careful host would send.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tower_http::services::ServeFile;

use super::site::{Found, Site};

/// The page loads nothing but its own files; weights may come from any secure host, or from this machine.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; \
     connect-src 'self' https: http://localhost:* http://127.0.0.1:*; img-src 'self' data:; style-src 'self'; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Bytes read from the disk at once.
const PIECE: usize = 1 << 20;

/// Looks up the file that a request is for, and sends it.
pub(super) async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "Only GET and HEAD are supported.\n").into_response();
    }
    match site.find(request.uri().path()) {
        Found::File(path) => file(&path, request).await,
        Found::Json(json) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (headers, json).into_response()
        }
        Found::Nothing => (StatusCode::NOT_FOUND, "There is no such file.\n").into_response(),
    }
}

async fn file(path: &Path, mut request: Request) -> Response {
    if let Some(condition) = request.headers().get(header::IF_RANGE).cloned() {
        // The whole file's headers tell whether the client has a part of this version.
        let range = request.headers_mut().remove(header::RANGE);
        let whole = send(path, same_question(&request)).await;
        if whole.headers().get(header::ETAG) != Some(&condition) {
            return whole;
        }
        request.headers_mut().extend(range.map(|range| (header::RANGE, range)));
    }
    send(path, request).await
}

/// A request for the same, without a body, as no request here has one.
fn same_question(request: &Request) -> Request {
    let mut same = Request::new(Body::empty());
    *same.method_mut() = request.method().clone();
    *same.headers_mut() = request.headers().clone();
    same
}

async fn send(path: &Path, request: Request) -> Response {
    match ServeFile::new(path).with_buf_chunk_size(PIECE).try_call(request).await {
        Ok(response) => {
            let mut response = response.map(Body::new).into_response();
            describe(path, response.headers_mut());
            response
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            (StatusCode::INTERNAL_SERVER_ERROR, "The server could not read this file.\n").into_response()
        }
    }
}

fn describe(path: &Path, headers: &mut HeaderMap) {
    // Files change when somebody builds; the ETag makes asking again cheap.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let text = match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        // To be read in the browser, which would download Markdown.
        Some("md" | "txt" | "jinja" | "ts") => "text/plain; charset=utf-8",
        _ => return,
    };
    if headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
    }
}

/// Adds what every answer has.
pub(super) async fn secured(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
