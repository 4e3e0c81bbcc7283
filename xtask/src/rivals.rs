//! `cargo xtask rivals`: compares this engine with others, in a browser or natively.

#![allow(clippy::doc_markdown, reason = "these comments are the help text, which is not markdown")]

use anyhow::{Context, Result};

use crate::{browser, build, process};

/// What to measure.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct RivalsOptions {
    /// Compare with llama.cpp on the CPU instead of transformers.js and wllama in a browser
    #[arg(long)]
    native: bool,
    #[command(flatten)]
    build: build::BuildOptions,
    /// Flags of benches/rivals/run.mjs, or of native.py with --native
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// Builds, installs what is missing, and measures.
pub(crate) fn rivals(options: &RivalsOptions) -> Result<()> {
    if options.native {
        process::run(&mut process::cargo(&["build", "--quiet", "--release", "--bin", "mobilellm"]))?;
        let python = process::find("python3").context("Python 3 is not installed")?;
        return process::run(process::command(python).arg("benches/rivals/native.py").args(&options.flags));
    }
    let node = process::find("node").context("Node.js is not installed")?;
    let chromium = browser::find().context("no browser of the Chromium family is installed")?;
    build::build(&options.build)?;
    build::install_packages()?;
    let mut command = process::command(node);
    command.arg("benches/rivals/run.mjs").args(&options.flags).env("CHROMIUM", chromium);
    process::run(&mut command)
}
