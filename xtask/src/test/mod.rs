//! `cargo xtask test`: runs all checks, on any machine, with one summary at the end.

mod count;
mod deny;
mod install;
mod require;
mod steps;
mod summary;
mod vulkan;

use std::time::Instant;

use anyhow::{Result, bail};

use require::Need;
use steps::{Run, STEPS, Step};
use summary::{Outcome, Row, Summary};

/// What to check.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct TestOptions {
    /// Run only these steps; the summary lists their names
    steps: Vec<String>,
    /// Fail if one of these is missing or if tests are skipped because of it
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    require: Vec<Need>,
    /// Also run slow checks: many random cases, cargo-deny (compiled if it is not installed), advisories
    #[arg(long)]
    full: bool,
}

/// Runs all chosen checks, even if one fails.
pub(crate) fn test(options: &TestOptions) -> Result<()> {
    let chosen = choose(&options.steps)?;
    let run = Run { tools: install::install(&options.require), full: options.full };
    let mut summary = Summary::default();
    for step in chosen {
        println!("\n== {} ==", step.name);
        let start = Instant::now();
        let outcome = (step.run)(&run).unwrap_or_else(|error| {
            eprintln!("{error:#}");
            Outcome::failure()
        });
        summary.rows.push(Row { name: step.name, duration: start.elapsed(), outcome });
    }
    summary.unmet = require::unmet(&options.require, &run.tools, &summary.skipped());
    print!("\n{summary}");
    if summary.failed() > 0 {
        // The summary has the failures. An error message would only hide its last line.
        std::process::exit(1);
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != name.as_str())) {
        let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        bail!("there is no step {unknown:?}; the steps are {}", known.join(", "));
    }
    Ok(STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)).collect())
}
