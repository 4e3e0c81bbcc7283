//! What comes from npm: wasm-opt for smaller downloads, and the browser driver of the tests.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// What the compiler may use by default, and SIMD, which `.cargo/config.toml` adds.
const FEATURES: &[&str] = &[
    "bulk-memory",
    "extended-const",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
    "simd",
];

/// Installs the packages that `package-lock.json` pins, unless they are there already.
pub(crate) fn install_packages() -> Result<()> {
    let lock = workspace::path("package-lock.json");
    let marker = workspace::path("node_modules/.package-lock.json");
    let changed = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
    if changed(&marker) >= changed(&lock) && marker.exists() {
        return Ok(());
    }
    let npm = process::find("npm")
        .context("npm is not installed. Install Node.js 20 or newer (https://nodejs.org)")?;
    let args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    process::run(process::command(npm).args(args).stdout(std::io::stderr()))
}

/// Shrinks the WebAssembly with wasm-opt where npm can give it; the package works without, only bigger.
pub(super) fn optimise(wasm: &Path) -> Result<()> {
    let without = |reason: &str| {
        eprintln!("{reason}. The WebAssembly file is not optimised and is about a tenth larger.");
        Ok(())
    };
    let Some(node) = process::find("node") else { return without("Node.js is not installed") };
    if let Err(error) = install_packages() {
        return without(&format!("wasm-opt could not be installed ({error:#})"));
    }
    // -O3, not -Oz: the CPU fallback runs in this module, and loops matter more to it than the last kilobytes.
    let mut args = vec!["-O3".to_owned(), "--strip-debug".to_owned(), "--strip-producers".to_owned()];
    // Else whatever has one caller becomes part of it, whole files' worth: browsers compile a function that is called
    // often once more in the background, and one of 100 kB took half a second of a core at every load.
    args.push("--one-caller-inline-max-function-size=500".to_owned());
    args.extend(FEATURES.iter().map(|feature| format!("--enable-{feature}")));
    process::run(
        process::command(node)
            .arg("node_modules/binaryen/bin/wasm-opt")
            .args(args)
            .arg("-o")
            .args([wasm, wasm]),
    )
}
