//! Compiles the crate of the npm package for the browser.

use std::path::PathBuf;

use anyhow::Result;

use super::BuildOptions;
use crate::toolchain::{self, WASM};
use crate::{process, workspace};

/// Compiles the crate and returns the path of the WebAssembly file, before wasm-bindgen.
pub(super) fn compile(options: &BuildOptions) -> Result<PathBuf> {
    let profile = if options.quick { "web-quick" } else { "web" };
    toolchain::ensure_wasm_target()?;
    process::run(&mut process::cargo(&[
        "build",
        "--package",
        "mobilellm-npm",
        "--target",
        WASM,
        "--profile",
        profile,
    ]))?;
    Ok(workspace::target().join(WASM).join(profile).join("mobilellm_npm.wasm"))
}
