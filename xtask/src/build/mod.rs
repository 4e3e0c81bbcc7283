//! `cargo xtask build`: makes the npm package in `pkg/` from Rust and JavaScript modules.

mod node;
mod package;
mod wasm;

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

pub(crate) use node::install_packages;
pub(crate) use package::copy_folder;

/// How to build.
#[derive(clap::Args, Clone, Default)]
#[group(skip)]
pub(crate) struct BuildOptions {
    /// Build faster and bigger: no link-time optimisation, no wasm-opt
    #[arg(long)]
    pub(crate) quick: bool,
    /// Use the existing pkg/ without building
    #[arg(long, conflicts_with = "quick")]
    pub(crate) no_build: bool,
}

/// Whether a build writes to the terminal now.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// Whether a build writes to the terminal now. Other code should then print only whole lines.
pub(crate) fn is_running() -> bool {
    IS_RUNNING.load(Ordering::Relaxed)
}

/// Builds the package and returns its size.
pub(crate) fn build(options: &BuildOptions) -> Result<Sizes> {
    if options.no_build {
        return package::measure();
    }
    IS_RUNNING.store(true, Ordering::Relaxed);
    let sizes = build_package(options);
    IS_RUNNING.store(false, Ordering::Relaxed);
    sizes
}

fn build_package(options: &BuildOptions) -> Result<Sizes> {
    let compiled = wasm::compile(options)?;
    package::assemble(&compiled)?;
    if !options.quick {
        node::optimise(&package::wasm_file())?;
    }
    let sizes = package::measure()?;
    // On standard error, because a measurement that follows prints its result on standard output.
    eprintln!("pkg/: WebAssembly {} ({} gzipped)", Kilobytes(sizes.wasm), Kilobytes(sizes.wasm_gzipped));
    Ok(sizes)
}

/// Size of the built WebAssembly in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// On the disk.
    pub(crate) wasm: u64,
    /// Compressed, as a web server sends it.
    pub(crate) wasm_gzipped: u64,
}

struct Kilobytes(u64);

impl std::fmt::Display for Kilobytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} kB", self.0.div_ceil(1000))
    }
}
