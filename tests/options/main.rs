//! What the npm package says about request options is what the table in `src/generate/options.rs` says. With `UPDATE=1` in the
//! environment, as `cargo xtask options` sets it, files that differ are written again.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod javascript;
mod typescript;

use std::path::Path;

use mobilellm::generate::options::{ALL, RequestOption};

/// Fails if a file is not `expected`, or makes it so.
fn assert_generated(file: &str, expected: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let found = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let expected = expected(&found);
    if found == expected {
        return;
    }
    assert!(
        std::env::var_os("UPDATE").is_some(),
        "{file} differs from src/generate/options.rs. Run `cargo xtask options`"
    );
    std::fs::write(&path, expected).expect("the file cannot be written");
}

#[test]
fn the_checks_in_javascript_are_those_of_the_table() {
    assert_generated("npm/js/options.js", |_| javascript::module(&ALL));
}

#[test]
fn the_types_are_those_of_the_table() {
    assert_generated("npm/js/index.d.ts", |found| typescript::replace(found, &ALL));
}

#[test]
fn no_name_occurs_twice() {
    let mut names = ALL.map(|option: &RequestOption| option.name);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}
