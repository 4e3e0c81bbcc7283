//! Builds, serves, tests and measures the project: everything that a person or a CI machine runs.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ask;
mod bench;
mod browser;
mod build;
mod models;
mod options;
mod process;
mod rivals;
mod serve;
mod shader;
mod site;
mod test;
mod toolchain;
mod workspace;

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
        model: models::ModelOptions,
        #[command(flatten)]
        serve: serve::ServeOptions,
    },
    /// Build, then lay out a folder with the page and a model that any static web server can host
    Site {
        #[command(flatten)]
        build: build::BuildOptions,
        #[command(flatten)]
        model: models::ModelOptions,
        #[command(flatten)]
        site: site::SiteOptions,
    },
    /// Fetch a model into target/models and print its path; without a name, list the catalog
    FetchModel(models::FetchOptions),
    /// Ask a model the questions of docs/questions.md and print its answers
    Ask(ask::AskOptions),
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
        Task::Serve { build, model, serve } => {
            let served = build_beside(&build, models::prepare(&model)?)?;
            serve::serve(&serve, served)
        }
        Task::Site { build, model, site } => {
            let served = build_beside(&build, models::prepare(&model)?)?;
            site::site(&site, &served)
        }
        Task::FetchModel(options) => models::fetch(&options),
        Task::Ask(options) => ask::ask(&options),
        Task::Bench(options) => bench::bench(&options),
        Task::Rivals(options) => rivals::rivals(&options),
        Task::Shader(options) => shader::shader(&options),
        Task::Options => options::options(),
        Task::Test(options) => test::test(&options),
    }
}

/// Builds while the model is being fetched: one waits for the processor, the other for the network.
fn build_beside(
    build: &build::BuildOptions,
    fetch: impl FnOnce() -> anyhow::Result<models::Served> + Send + 'static,
) -> anyhow::Result<models::Served> {
    let fetching = std::thread::spawn(fetch);
    // If the build fails, nobody waits for the download; the next run continues it.
    build::build(build)?;
    fetching.join().map_err(|_| anyhow::anyhow!("the download of the model ended with a panic"))?
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        super::Flags::command().debug_assert();
    }
}
