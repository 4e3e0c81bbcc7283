//! What the npm package says about options is what the tables in `src/options/` say. With `UPDATE=1` in the
//! environment, as `cargo xtask options` sets it, files that differ are written again.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod javascript;
mod typescript;

use std::path::Path;

use mobilellm::options::{load, request};

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
        "{file} differs from src/options/. Run `cargo xtask options`"
    );
    std::fs::write(&path, expected).expect("the file cannot be written");
}

/// `max_context` as JavaScript writes it: `maxContext`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut words = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1);
        words += &first.to_uppercase();
        words += rest;
    }
    words
}

#[test]
fn the_checks_in_javascript_are_those_of_the_tables() {
    assert_generated("npm/js/options.js", |_| javascript::module(&request::ALL, &load::ALL));
}

#[test]
fn the_types_are_those_of_the_tables() {
    assert_generated("npm/js/index.d.ts", |found| {
        let found = typescript::replace(found, "request", &request::ALL);
        typescript::replace(&found, "load", &load::ALL)
    });
}

#[test]
fn no_name_occurs_twice() {
    for mut names in
        [request::ALL.map(|option| option.name).to_vec(), load::ALL.map(|option| option.name).to_vec()]
    {
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
