//! The inputs of `../shared/cases`: each from a fault that users of such software met, with the answer that the original
//! software gives. Tests of our own for the same kinds are in `tests/contradictions.rs`, `tests/chat_template.rs`,
//! `tests/control_tokens.rs`, `tests/tokenizer.rs` and `tests/hostile_server.rs`; these here need what lies beside the repository.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../common/shared.rs"]
mod shared;

mod config;
mod templates;
mod tokens;

use std::path::PathBuf;

use serde_json::Value;

/// The lines of a file of cases; `None`, said aloud, where it is absent.
fn lines(file: &str) -> Option<Vec<Value>> {
    let path = shared::shared(&format!("cases/{file}"))?;
    let text = std::fs::read_to_string(path).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn folder() -> PathBuf {
    shared::shared("cases").unwrap()
}

/// Fails with all that is wrong, a line each.
#[track_caller]
fn all_hold(failures: &[String], cases: usize) {
    assert!(cases > 0, "there are no cases");
    assert!(failures.is_empty(), "{} of {cases} cases are wrong:\n{}", failures.len(), failures.join("\n"));
}
