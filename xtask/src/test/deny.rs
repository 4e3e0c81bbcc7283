//! Licences, sources and known holes of the dependencies, by cargo-deny; `deny.toml` says what they may be.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::summary::Outcome;
use crate::{process, workspace};

/// The version that is installed where there is none.
const VERSION: &str = "0.20.2";

/// Checks licences, bans and sources; with `full` also advisories, and cargo-deny is installed where it is not there.
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

/// Asks the database of known holes, which is on GitHub; where that cannot be reached, this check is skipped.
fn advisories(program: &Path, outcome: &mut Outcome) -> Result<()> {
    if process::run(process::command(program).args(["fetch", "db"])).is_err() {
        outcome
            .skipped
            .push("advisories: the database of RustSec cannot be fetched from github.com".to_owned());
        return Ok(());
    }
    process::run(process::command(program).args(["--locked", "check", "--disable-fetch", "advisories"]))?;
    outcome.passed += 1;
    Ok(())
}

/// The program; `None` where it is not there and compiling it takes longer than a plain run may.
fn find_or_install(full: bool) -> Result<Option<PathBuf>> {
    match find() {
        None if full => install().map(Some),
        found => Ok(found),
    }
}

/// The program, installed by anybody or by an earlier run.
fn find() -> Option<PathBuf> {
    process::find("cargo-deny").or_else(|| Some(own()).filter(|program| program.is_file()))
}

/// Where a run installs it: nowhere but in the output folder.
fn own() -> PathBuf {
    workspace::target().join("tools/bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX))
}

/// Compiles it, which takes minutes.
fn install() -> Result<PathBuf> {
    let root = workspace::target().join("tools");
    let mut command = process::cargo(&["install", "cargo-deny", "--locked", "--version", VERSION, "--root"]);
    process::run(command.arg(root))
        .context("cannot install cargo-deny. Install it yourself and run this again")?;
    Ok(own())
}
