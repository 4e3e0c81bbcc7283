//! One request, one answer.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tiny_http::{Header, Method, Request, Response, ResponseBox, StatusCode};

use super::mime;
use super::range::{self, Wanted};
use super::site::{Found, Site};

/// The page loads nothing but its own files; weights may come from any secure host, or from this machine.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; \
     connect-src 'self' https: http://localhost:* http://127.0.0.1:*; img-src 'self' data:; style-src 'self'; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers a request; a client that went away is not an error.
pub(super) fn respond(site: &Site, request: Request) {
    let response = answer(site, &request).unwrap_or_else(|error| {
        eprintln!("{} {}: {error:#}", request.method(), request.url());
        plain(500, "The server could not read this file.")
    });
    let _ = request.respond(secured(response));
}

fn answer(site: &Site, request: &Request) -> Result<ResponseBox> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return Ok(plain(405, "Only GET and HEAD.").with_header(header("Allow", "GET, HEAD")));
    }
    let path = request.url().split(['?', '#']).next().unwrap_or("/");
    match site.find(path) {
        Found::File(path) => file(request, &path),
        Found::Json(text) => {
            let length = text.len();
            let response = Response::from_data(text).boxed();
            Ok(response
                .with_chunked_threshold(length + 1)
                .with_header(header("Content-Type", "application/json"))
                .with_header(header("Cache-Control", "no-store")))
        }
        Found::Nothing => Ok(plain(404, "There is no such file.")),
    }
}

/// A file, part of it, or the news that the client's copy is still good.
fn file(request: &Request, path: &Path) -> Result<ResponseBox> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let meta = file.metadata()?;
    let (length, modified) = (meta.len(), meta.modified().unwrap_or(UNIX_EPOCH));
    let etag = etag(length, modified);
    let validated = |response: ResponseBox| {
        response
            .with_header(header("ETag", &etag))
            .with_header(header("Last-Modified", &httpdate::fmt_http_date(modified)))
            .with_header(header("Accept-Ranges", "bytes"))
            // Files change when somebody builds; the ETag makes asking again cheap.
            .with_header(header("Cache-Control", "no-cache"))
    };
    if is_fresh(request, &etag, modified) {
        return Ok(validated(Response::empty(304).boxed()));
    }
    let wanted = match field(request, "If-Range") {
        Some(condition) if condition != etag => Wanted::Whole,
        _ => range::parse(field(request, "Range").as_deref(), length),
    };
    let (status, part) = match wanted {
        Wanted::Whole => (200, 0..length),
        Wanted::Part(part) => (206, part),
        Wanted::Unsatisfiable => {
            let response = plain(416, "The file has no such bytes.");
            return Ok(response.with_header(header("Content-Range", &format!("bytes */{length}"))));
        }
    };
    file.seek(SeekFrom::Start(part.start))?;
    let size = usize::try_from(part.end - part.start)?;
    let mut response = send(status, Box::new(file.take(size as u64)), size)
        .with_header(header("Content-Type", mime::of(path)));
    if status == 206 {
        let value = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        response.add_header(header("Content-Range", &value));
    }
    Ok(validated(response))
}

fn etag(length: u64, modified: SystemTime) -> String {
    let nanos = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("\"{length:x}-{nanos:x}\"")
}

/// Whether the client's cached copy is the file as it is now.
fn is_fresh(request: &Request, etag: &str, modified: SystemTime) -> bool {
    if let Some(known) = field(request, "If-None-Match") {
        return known
            .split(',')
            .any(|known| known.trim().trim_start_matches("W/") == etag || known.trim() == "*");
    }
    let since = field(request, "If-Modified-Since").and_then(|date| httpdate::parse_http_date(&date).ok());
    // The header has whole seconds, the file system more.
    since.is_some_and(|since| modified.duration_since(since).map_or(true, |age| age.as_secs() == 0))
}

fn field(request: &Request, name: &'static str) -> Option<String> {
    let found = request.headers().iter().find(|header| header.field.equiv(name));
    found.map(|header| header.value.as_str().to_owned())
}

fn plain(status: u16, text: &str) -> ResponseBox {
    let body = format!("{text}\n");
    let size = body.len();
    send(status, Box::new(Cursor::new(body)), size)
        .with_header(header("Content-Type", "text/plain; charset=utf-8"))
}

/// A response of known size, never chunked: the page shows progress by its `Content-Length`.
fn send(status: u16, body: Box<dyn Read + Send>, size: usize) -> ResponseBox {
    Response::new(StatusCode(status), Vec::new(), body, Some(size), None).with_chunked_threshold(usize::MAX)
}

fn secured(response: ResponseBox) -> ResponseBox {
    response
        .with_header(header("Content-Security-Policy", CONTENT_SECURITY_POLICY))
        .with_header(header("X-Content-Type-Options", "nosniff"))
        .with_header(header("Referrer-Policy", "no-referrer"))
        .with_header(header("Cross-Origin-Opener-Policy", "same-origin"))
        .with_header(header("Cross-Origin-Resource-Policy", "same-origin"))
}

fn header(name: &str, value: &str) -> Header {
    // Names and values are ours and ASCII; a file date cannot make them invalid.
    Header::from_bytes(name, value).unwrap_or_else(|()| unreachable!("{name}: {value}"))
}
