//! The compilation target for the browser.

use std::path::Path;

use anyhow::{Result, bail};

use crate::process;

/// The target of all code that runs in a page.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Installs the standard library of the target if rustup has not installed it.
///
/// rustup installs it together with the pinned toolchain. It does not if the toolchain was already installed without
/// the target, or if automatic installation is off.
pub(crate) fn ensure_wasm_target() -> Result<()> {
    let mut rustc = process::command(process::rustc());
    let libraries = process::read(rustc.args(["--print", "target-libdir", "--target", WASM]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    let Some(rustup) = process::find("rustup") else {
        bail!(
            "the compiler has no standard library for {WASM}. Install it, or use Rust from https://rustup.rs"
        );
    };
    process::run(process::command(rustup).args(["target", "add", WASM]))
}
