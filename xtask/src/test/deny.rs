//! Checks licences, sources and known vulnerabilities of the dependencies with cargo-deny. `deny.toml` has the rules.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::summary::Outcome;
use crate::{process, workspace};

/// The version to install if cargo-deny is not installed.
const VERSION: &str = "0.20.2";

/// Checks licences, bans and sources. With `full` it also checks advisories, and installs cargo-deny if necessary.
pub(super) fn check(full: bool) -> Result<Outcome> {
    let Some(program) = find_or_install(full)? else {
        return Ok(Outcome::skipped(format!(
            "cargo-deny is not installed. `cargo xtask test --full deny` compiles it, or run \
             `cargo install cargo-deny --locked --version {VERSION}`"
        )));
    };
    process::run(process::command(&program).args(["--locked", "check", "licenses", "bans", "sources"]))?;
    let mut outcome = Outcome::success();
    if full {
        advisories(&program, &mut outcome)?;
    }
    Ok(outcome)
}

/// Checks the database of known vulnerabilities, which is on GitHub. If GitHub cannot be reached, this check is
/// skipped.
fn advisories(program: &Path, outcome: &mut Outcome) -> Result<()> {
    if process::run(process::command(program).args(["fetch", "db"])).is_err() {
        outcome.skipped.push("advisories: cannot download the RustSec database from github.com".to_owned());
        return Ok(());
    }
    process::run(process::command(program).args(["--locked", "check", "--disable-fetch", "advisories"]))?;
    outcome.passed += 1;
    Ok(())
}

/// The program. `None` if it is not installed and this is not a full run, because compiling it takes minutes.
fn find_or_install(full: bool) -> Result<Option<PathBuf>> {
    match find() {
        None if full => install().map(Some),
        found => Ok(found),
    }
}

/// The program, installed by the user or by an earlier run.
fn find() -> Option<PathBuf> {
    process::find("cargo-deny").or_else(|| Some(own()).filter(|program| program.is_file()))
}

/// Where a full run installs it: in Cargo's output folder.
fn own() -> PathBuf {
    workspace::target().join("tools/bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX))
}

/// Compiles and installs cargo-deny, which takes minutes.
fn install() -> Result<PathBuf> {
    let root = workspace::target().join("tools");
    let mut command = process::cargo(&["install", "cargo-deny", "--locked", "--version", VERSION, "--root"]);
    process::run(command.arg(root))
        .context("cannot install cargo-deny. Install it yourself and run this again")?;
    Ok(own())
}
