//! Which media type a file has. Browsers refuse modules and WebAssembly with a wrong one.

use std::path::Path;

/// The `Content-Type` of a file, by its extension.
pub(super) fn of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "md" | "txt" | "jinja" | "ts" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
