//! Builds, serves, tests and measures the project: everything that a person or a CI machine runs.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bench;
mod browser;
mod build;
mod options;
mod process;
mod rivals;
mod serve;
mod shader;
mod test;
mod toolchain;
mod workspace;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Builds, serves and tests mobilellm.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Flags {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compile the engine to WebAssembly and write the npm package to pkg/
    Build(build::BuildOptions),
    /// Build, then serve the page with the default model and print its address
    Serve {
        #[command(flatten)]
        build: build::BuildOptions,
        #[command(flatten)]
        serve: serve::ServeOptions,
    },
    /// Build, then lay out a folder that any static web server can host
    Site {
        #[command(flatten)]
        build: build::BuildOptions,
        /// Where to put it; what lies there under the same names is replaced
        #[arg(long, default_value = "target/site")]
        out: PathBuf,
    },
    /// Measure how fast a shape runs, natively and in a browser
    Bench(bench::BenchOptions),
    /// Measure other engines beside this one
    Rivals(rivals::RivalsOptions),
    /// Print a kernel's finished WGSL, as a device gets it; without a name, list the kernels
    #[command(disable_help_flag = true)]
    Shader(shader::ShaderOptions),
    /// Write the options for JavaScript and TypeScript, from the tables in src/options/
    Options,
    /// Check everything: format, lints, tests, documentation, the page in a real browser
    Test(test::TestOptions),
}

fn main() -> anyhow::Result<()> {
    match Flags::parse().task {
        Task::Build(options) => build::build(&options).map(drop),
        Task::Serve { build, serve } => {
            build::build(&build)?;
            serve::serve(&serve)
        }
        Task::Site { build, out } => {
            build::build(&build)?;
            build::site(&out)
        }
        Task::Bench(options) => bench::bench(&options),
        Task::Rivals(options) => rivals::rivals(&options),
        Task::Shader(options) => shader::shader(&options),
        Task::Options => options::options(),
        Task::Test(options) => test::test(&options),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        super::Flags::command().debug_assert();
    }
}
