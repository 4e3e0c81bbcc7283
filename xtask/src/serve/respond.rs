//! One request, one answer.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::net::TcpStream;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::http::{Request, Response};
use super::mime;
use super::range::{self, Wanted};
use super::site::{Found, Site};

/// The page loads nothing but its own files; weights may come from any secure host, or from this machine.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; \
     connect-src 'self' https: http://localhost:* http://127.0.0.1:*; img-src 'self' data:; style-src 'self'; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers the one request of a connection; a client that went away is not an error.
pub(super) fn respond(site: &Site, stream: &TcpStream) {
    let Ok(request) = Request::read(stream) else { return };
    let head_only = request.as_ref().is_some_and(|request| request.method == "HEAD");
    let response = match request {
        None => plain(400, "This is not a valid HTTP request."),
        Some(request) => answer(site, &request).unwrap_or_else(|error| {
            eprintln!("{} {}: {error:#}", request.method, request.target);
            plain(500, "The server could not read this file.")
        }),
    };
    let _ = secured(response).write(stream, head_only);
}

fn answer(site: &Site, request: &Request) -> Result<Response> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Ok(plain(405, "Only GET and HEAD are supported.").with("Allow", "GET, HEAD"));
    }
    let path = request.target.split(['?', '#']).next().unwrap_or("/");
    match site.find(path) {
        Found::File(path) => file(request, &path),
        Found::Json(json) => {
            Ok(text(200, json).with("Content-Type", "application/json").with("Cache-Control", "no-store"))
        }
        Found::Nothing => Ok(plain(404, "There is no such file.")),
    }
}

/// A file, part of it, or the news that the client's copy is still good.
fn file(request: &Request, path: &Path) -> Result<Response> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let meta = file.metadata()?;
    let (length, modified) = (meta.len(), meta.modified().unwrap_or(UNIX_EPOCH));
    let etag = etag(length, modified);
    let validated = |response: Response| {
        response
            .with("ETag", &etag)
            .with("Last-Modified", httpdate::fmt_http_date(modified))
            .with("Accept-Ranges", "bytes")
            // Files change when somebody builds; the ETag makes asking again cheap.
            .with("Cache-Control", "no-cache")
    };
    if is_fresh(request, &etag, modified) {
        return Ok(validated(text(304, String::new())));
    }
    let wanted = match request.header("if-range") {
        Some(condition) if condition != etag => Wanted::Whole,
        _ => range::parse(request.header("range"), length),
    };
    let (status, part) = match wanted {
        Wanted::Whole => (200, 0..length),
        Wanted::Part(part) => (206, part),
        Wanted::Unsatisfiable => {
            let response = plain(416, "The file does not have the requested range of bytes.");
            return Ok(response.with("Content-Range", format!("bytes */{length}")));
        }
    };
    file.seek(SeekFrom::Start(part.start))?;
    let size = part.end - part.start;
    let response =
        Response::new(status, Box::new(file.take(size)), size).with("Content-Type", mime::of(path));
    Ok(validated(match status {
        206 => response.with("Content-Range", format!("bytes {}-{}/{length}", part.start, part.end - 1)),
        _ => response,
    }))
}

fn etag(length: u64, modified: SystemTime) -> String {
    let nanos = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("\"{length:x}-{nanos:x}\"")
}

/// Whether the client's cached copy is the file as it is now.
fn is_fresh(request: &Request, etag: &str, modified: SystemTime) -> bool {
    if let Some(known) = request.header("if-none-match") {
        return known
            .split(',')
            .any(|known| known.trim().trim_start_matches("W/") == etag || known.trim() == "*");
    }
    let since = request.header("if-modified-since").and_then(|date| httpdate::parse_http_date(date).ok());
    // The header has whole seconds, the file system more.
    since.is_some_and(|since| modified.duration_since(since).map_or(true, |age| age.as_secs() == 0))
}

fn plain(status: u16, words: &str) -> Response {
    text(status, format!("{words}\n")).with("Content-Type", "text/plain; charset=utf-8")
}

fn text(status: u16, text: String) -> Response {
    let length = text.len() as u64;
    Response::new(status, Box::new(Cursor::new(text)), length)
}

fn secured(response: Response) -> Response {
    response
        .with("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Opener-Policy", "same-origin")
        .with("Cross-Origin-Resource-Policy", "same-origin")
}
