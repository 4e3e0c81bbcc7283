//! What the crate promises: the names that its root re-exports, and the public functions of those types. A change of the interface
//! is a change of `tests/public_api.txt`, which a reviewer sees. `UPDATE=1 cargo test --test public_api` writes it anew.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What `pub use` of the crate's root names: the module, the item there, and its name at the root.
fn exports(root: &str) -> Vec<(String, String, String)> {
    let mut exports = Vec::new();
    for statement in root.split("pub use ").skip(1) {
        let path = statement.split(';').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let (module, items) = path.rsplit_once("::").unwrap();
        for item in items.trim_matches(['{', '}']).split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (item, name) = item.split_once(" as ").unwrap_or((item, item));
            exports.push((module.to_owned(), item.to_owned(), name.to_owned()));
        }
    }
    exports
}

/// The files of a module: `src/a/b.rs`, or all below `src/a/b/`.
fn files(module: &str) -> Vec<PathBuf> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module.replace("::", "/"));
    let file = base.with_extension("rs");
    if file.is_file() {
        return vec![file];
    }
    let mut files = Vec::new();
    let mut folders = vec![base];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

/// The signatures of the public functions in `impl ITEM` blocks of a source text.
fn functions(source: &str, item: &str) -> Vec<String> {
    let mut functions = Vec::new();
    let mut inside = false;
    let mut lines = source.lines();
    let mut hidden = false;
    while let Some(line) = lines.next() {
        if line.starts_with("impl") {
            let named = line.trim_start_matches("impl").trim_start_matches("<'a>").trim();
            inside = [" {", "<'_> {", "<'a> {"].iter().any(|end| named == format!("{item}{end}"));
        }
        let text = line.trim_start();
        let is_function =
            ["pub fn ", "pub async fn ", "pub const fn "].iter().any(|start| text.starts_with(start));
        if inside && is_function && line.starts_with("    pub") && !hidden {
            let mut signature = text.to_owned();
            while !signature.contains('{') {
                signature.push(' ');
                signature.push_str(lines.next().unwrap().trim());
            }
            let signature =
                signature.split('{').next().unwrap().trim().replace("( ", "(").replace(", )", ")");
            functions.push(signature);
        }
        hidden = text == "#[doc(hidden)]";
    }
    functions
}

#[test]
fn the_interface_is_what_the_listing_says() {
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let code = root.lines().filter(|line| !line.starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut listing = BTreeSet::new();
    for (module, item, name) in exports(&code) {
        listing.insert(name.clone());
        for file in files(&module) {
            let source = fs::read_to_string(file).unwrap();
            listing.extend(
                functions(&source, &item).into_iter().map(|signature| format!("{name}: {signature}")),
            );
        }
    }
    let listing: String = listing.into_iter().map(|line| line + "\n").collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public_api.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &listing).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<_> = listing.lines().filter(|line| !kept.lines().any(|old| old == *line)).collect();
    let gone: Vec<_> = kept.lines().filter(|line| !listing.lines().any(|new| new == *line)).collect();
    assert!(
        changed.is_empty() && gone.is_empty(),
        "the interface changed.\nnew: {changed:#?}\ngone: {gone:#?}\nIf that is meant: UPDATE=1 cargo test --test public_api"
    );
}
