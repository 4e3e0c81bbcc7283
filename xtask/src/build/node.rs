//! The programs from npm: wasm-opt for smaller downloads, and the browser driver for the tests.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// WebAssembly features: those that the compiler uses by default, and SIMD, which `.cargo/config.toml` adds.
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

/// Installs the packages that `package-lock.json` pins, unless they are installed already.
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

/// Optimises the WebAssembly with wasm-opt if npm can install it. Without wasm-opt the package works, but it is larger.
pub(super) fn optimise(wasm: &Path) -> Result<()> {
    let without = |reason: &str| {
        eprintln!("{reason}. The WebAssembly file is not optimised and is about a tenth larger.");
        Ok(())
    };
    let Some(node) = process::find("node") else { return without("Node.js is not installed") };
    if let Err(error) = install_packages() {
        return without(&format!("wasm-opt could not be installed ({error:#})"));
    }
    // -O3, not -Oz: the CPU backend runs in this module, and the speed of its loops matters more than a few kilobytes.
    let mut args = vec!["-O3".to_owned(), "--strip-debug".to_owned(), "--strip-producers".to_owned()];
    // By default wasm-opt inlines every function that has one caller, which makes huge functions. Browsers compile a
    // function that is called often a second time in the background, and for a function of 100 kB that took half a
    // second of a core at every load.
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
