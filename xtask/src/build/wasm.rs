//! Compiles the library for the browser.

use std::path::PathBuf;

use anyhow::Result;

use super::Options;
use crate::{process, workspace};

const TARGET: &str = "wasm32-unknown-unknown";

/// Compiles and returns the path of the raw WebAssembly, before wasm-bindgen.
pub(super) fn compile(options: &Options) -> Result<PathBuf> {
    let profile = if options.quick { "web-quick" } else { "web" };
    process::run(&mut process::cargo(&["build", "--lib", "--target", TARGET, "--profile", profile]))?;
    Ok(workspace::target().join(TARGET).join(profile).join("mobilellm.wasm"))
}
