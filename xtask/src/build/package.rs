//! Writes the npm package.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value};

use super::Sizes;
use crate::workspace;

/// The optimised WebAssembly in the package.
pub(super) fn wasm_file() -> PathBuf {
    workspace::package().join("mobilellm_bg.wasm")
}

/// Writes `pkg/` from the compiled WebAssembly and the modules in `npm/js/`.
pub(super) fn assemble(compiled: &Path) -> Result<()> {
    let package = workspace::package();
    if package.exists() {
        fs::remove_dir_all(&package).context("cannot clear pkg/")?;
    }
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(compiled)
        .out_name("mobilellm")
        .web(true)?
        .typescript(false)
        .omit_default_module_path(false)
        .remove_producers_section(true)
        .generate(&package)
        .context("wasm-bindgen failed")?;
    copy_folder(&workspace::path("npm/js"), &package)?;
    for file in ["package.json", "README.md"] {
        copy(&workspace::path("npm").join(file), &package.join(file))?;
    }
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&workspace::path(license), &package.join(license))?;
    }
    write_manifest(&package)
}

/// Writes `npm/package.json` with the version of this workspace.
fn write_manifest(package: &Path) -> Result<()> {
    let path = package.join("package.json");
    let mut manifest: Map<String, Value> = serde_json::from_str(&fs::read_to_string(&path)?)?;
    manifest.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    fs::write(&path, format!("{:#}\n", Value::Object(manifest)))?;
    Ok(())
}

/// Measures the size of the built WebAssembly.
pub(super) fn measure() -> Result<Sizes> {
    let bytes = fs::read(wasm_file())?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    Ok(Sizes { wasm: bytes.len() as u64, wasm_gzipped: encoder.finish()?.len() as u64 })
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            copy(&source, &target)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
