//! `cargo xtask bench`: the same measurement on the command line and in a browser.

#![allow(clippy::doc_markdown, reason = "these comments are the help text, which is no markdown")]

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{browser, build, process};

/// What to measure, and where.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct BenchOptions {
    /// Measure the command line only
    #[arg(long, conflicts_with = "browser")]
    native: bool,
    /// Measure in a headless browser only; the variable CHROMIUM names another one, CHROMIUM_FLAGS its flags
    #[arg(long)]
    browser: bool,
    /// mobilellm-125m, -ls-125m, -350m, -ls-350m, -600m, -1b, -1.5b, smollm2-135m, or LAYERSxHIDDEN
    #[arg(long, default_value = "mobilellm-125m")]
    shape: String,
    /// Where to compute
    #[arg(long, value_parser = ["auto", "gpu", "cpu"], default_value = "auto")]
    backend: String,
    /// Which GPU kernels
    #[arg(long)]
    tier: Option<String>,
    /// Whether prompts are multiplied in 8-bit integers; auto measures whether it is faster
    #[arg(long, value_parser = ["auto", "on", "off"], default_value = "auto")]
    int8_tiles: String,
    /// How to hold the weights
    #[arg(long, value_parser = ["q4", "q8", "f16", "f32"], default_value = "q4")]
    weights: String,
    /// Lengths of the prompts
    #[arg(long, value_delimiter = ',', default_value = "128,512,1024")]
    prefill: Vec<usize>,
    /// Tokens to write
    #[arg(long, default_value_t = 128)]
    decode: usize,
    /// Tokens of the long context that they are written after
    #[arg(long, default_value_t = 1024)]
    context: usize,
    /// Run everything so often, and report the median
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Seconds that any one run may take
    #[arg(long, default_value_t = 20.0)]
    limit: f64,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    build: build::BuildOptions,
}

/// Measures natively, in a browser, or both.
pub(crate) fn bench(options: &BenchOptions) -> Result<()> {
    if !options.browser {
        process::run(&mut native(options))?;
    }
    if !options.native {
        build::build(&options.build)?;
        build::install_packages()?;
        process::run(&mut in_browser(options)?)?;
    }
    Ok(())
}

fn native(options: &BenchOptions) -> Command {
    let mut command =
        process::cargo(&["run", "--quiet", "--release", "--bin", "mobilellm", "--", "bench", "--quiet"]);
    let lengths: Vec<_> = options.prefill.iter().map(ToString::to_string).collect();
    for (flag, value) in [
        ("--shape", options.shape.clone()),
        ("--backend", options.backend.clone()),
        ("--weights", options.weights.clone()),
        ("--int8-tiles", options.int8_tiles.clone()),
        ("--prefill", lengths.join(",")),
        ("--decode", options.decode.to_string()),
        ("--context", options.context.to_string()),
        ("--repeat", options.repeat.to_string()),
        ("--limit", options.limit.to_string()),
    ] {
        command.args([flag, &value]);
    }
    if let Some(tier) = &options.tier {
        command.args(["--tier", tier]);
    }
    if options.json {
        command.arg("--json");
    }
    command
}

/// A browser that runs what the page runs; `benches/browser.mjs` prints what it finds.
fn in_browser(options: &BenchOptions) -> Result<Command> {
    let node = process::find("node").context("Node.js is not installed")?;
    let chromium = browser::find().context("no browser of the Chromium family is installed")?;
    let mut settings = json!({
        "shape": options.shape,
        "backend": options.backend,
        "weights": options.weights,
        "prefill": options.prefill,
        "decode": options.decode,
        "context": options.context,
        "repeats": options.repeat,
        "limit": options.limit,
    });
    if let Some(tier) = &options.tier {
        settings["tier"] = Value::from(tier.as_str());
    }
    if options.int8_tiles != "auto" {
        settings["int8Tiles"] = Value::from(options.int8_tiles == "on");
    }
    let mut command = process::command(node);
    command.args(["benches/browser.mjs", &settings.to_string()]);
    if options.json {
        command.arg("--json");
    }
    command.env("CHROMIUM", chromium).env("XTASK", std::env::current_exe()?);
    Ok(command)
}
