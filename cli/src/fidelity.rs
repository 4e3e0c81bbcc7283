//! `mobilellm fidelity`: compares predictions with those in 32-bit floats, or with those of another checkpoint.

use std::fs;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::engine::{BackendChoice, Engine, LoadOptions};
use mobilellm::measure::fidelity::{self, Comparison};

use crate::flags;
use crate::load;
use crate::output::line;

pub(crate) fn run(flags: &flags::Fidelity) -> Result<()> {
    let text = match &flags.text {
        Some(path) => fs::read_to_string(path).with_context(|| format!("--text {}", path.display()))?,
        None => fidelity::TEXT.to_owned(),
    };
    let report = pollster::block_on(async {
        let model = load::engine(&flags.model, true).await?.engine;
        let chunk = flags.chunk.min(model.info().max_context);
        match flags.against.as_str() {
            "f32" => measure(Comparison::with_exact_products(&model, &text, chunk)?, flags.model.quiet).await,
            other => {
                let reference = on_cpu(other, flags.model.quiet).await?;
                let comparison = Comparison::with_reference(&model, &reference, &text, chunk)?;
                measure(comparison, flags.model.quiet).await
            }
        }
    })?;
    let text = if flags.json { serde_json::to_string(&report)? } else { table(&report) };
    Ok(line(text)?)
}

/// Loads a checkpoint with its weights as they are stored, on the CPU.
pub(crate) async fn on_cpu(model: &str, quiet: bool) -> Result<Engine> {
    let options = LoadOptions {
        backend: BackendChoice::Cpu,
        weights: WeightFormat::Stored,
        needs_text: true,
        ..LoadOptions::default()
    };
    Ok(load::with_progress(model, quiet, options).await?.engine)
}

/// Runs a comparison to its end, with a progress bar.
pub(crate) async fn measure(mut comparison: Comparison, quiet: bool) -> Result<fidelity::Fidelity> {
    let bar = load::progress_bar(quiet);
    while let Some(progress) = comparison.next().await? {
        show(&bar, progress);
    }
    bar.finish_and_clear();
    Ok(comparison.report())
}

fn show(bar: &ProgressBar, progress: fidelity::Progress) {
    if bar.length().is_none() {
        let style = "{spinner} {bar:30} {pos} of {len} tokens compared, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_length(progress.total as u64);
    }
    bar.set_position(progress.done as u64);
}

/// A line for each figure.
pub(crate) fn table(report: &fidelity::Fidelity) -> String {
    let rows = [
        ("positions", report.positions.to_string()),
        ("mean KL", format!("{:.5} nats", report.mean_kl)),
        ("99th percentile", format!("{:.5}", report.p99_kl)),
        ("largest KL", format!("{:.5}", report.max_kl)),
        ("same top token", format!("{:.2} %", 100.0 * report.top1_agreement)),
        ("logit error", format!("{:.2} %", 100.0 * report.logit_error)),
        ("perplexity", format!("{:.3}, reference {:.3}", report.perplexity, report.reference_perplexity)),
    ];
    rows.map(|(name, value)| format!("{name:<16} {value}")).join("\n")
}
