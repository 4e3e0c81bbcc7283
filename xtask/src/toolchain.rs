//! The compiler's target for the browser.

use std::path::Path;

use anyhow::{Result, bail};

use crate::process;

/// The target of everything that runs in a page.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Installs the target's standard library where rustup did not do it by itself.
///
/// It does so when it installs the pinned toolchain, but not where that was there already without the target, or where
/// somebody has turned automatic installation off.
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
