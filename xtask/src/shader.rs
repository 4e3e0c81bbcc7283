//! `cargo xtask shader`: a kernel's finished WGSL.

use anyhow::Result;

use crate::process;

/// Flags of `examples/shader`, which also says what they mean.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct ShaderOptions {
    /// A kernel and flags; --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// Runs the example. It is none of this program's own code, because whoever only wants to see the page would wait for the
/// library to be compiled twice.
pub(crate) fn shader(options: &ShaderOptions) -> Result<()> {
    // Without `--package`, so that what `cargo build` and `cargo test` have compiled is used again.
    process::run(process::cargo(&["run", "--quiet", "--example", "shader", "--"]).args(&options.flags))
}
