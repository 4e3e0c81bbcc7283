//! `mobilellm quantize`: writes a 4-bit or 8-bit copy of a checkpoint, in the format that MLX reads.

use anyhow::Result;
use indicatif::HumanBytes;
use mobilellm::checkpoint::quantize::{QuantizeOptions, quantize_folder};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::measure::fidelity::{CHUNK, Comparison, Fidelity, TEXT};
use mobilellm::model::config::BitsAndGroup;

use crate::fidelity;
use crate::flags::Quantize;
use crate::load;
use crate::output::line;

pub(crate) fn run(flags: &Quantize) -> Result<()> {
    let source = load::source(&flags.source)?;
    let options = QuantizeOptions {
        default: BitsAndGroup { bits: flags.bits.parse()?, group_size: flags.group_size.parse()? },
        overrides: flags.r#override.clone(),
        max_shard_size: flags.max_shard_size << 20,
    };
    let cancel = Cancel::default();
    let interrupted = cancel.clone();
    ctrlc::set_handler(move || interrupted.cancel())?;
    let bar = load::progress_bar(flags.quiet);
    let mut progress = |progress| load::show(&bar, &progress);
    let work = quantize_folder(source.as_ref(), &flags.destination, &options, &mut progress, &cancel);
    let report = pollster::block_on(work);
    bar.finish_and_clear();
    let report = report?;
    for module in &report.indivisible {
        eprintln!(
            "{module} is not quantised: its row length is not a multiple of the group size {}",
            flags.group_size
        );
    }
    if !report.repacked.is_empty() {
        eprintln!("repacked exactly: {}", report.repacked.join(", "));
    }
    if !report.requantized.is_empty() {
        eprintln!("quantised anew, in groups of 32: {}", report.requantized.join(", "));
    }
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    line(format_args!(
        "{}: {} modules quantised, {} became {} in {} file(s)",
        flags.destination.display(),
        report.quantized,
        HumanBytes(report.bytes_read),
        HumanBytes(report.bytes_written),
        report.files.len(),
    ))?;
    if report.without_tokenizer {
        eprintln!(
            "The copy has no tokenizer: copy tokenizer.json and tokenizer_config.json of the original model into it. Until then \
             it is not compared with its source."
        );
        return Ok(());
    }
    if flags.no_check { Ok(()) } else { pollster::block_on(check(flags)) }
}

/// Compares the predictions of the copy with those of its source. The copy is complete, so a problem here is only reported.
async fn check(flags: &Quantize) -> Result<()> {
    let copy = flags.destination.display();
    let later = format!("mobilellm fidelity --model {copy} --against {}", flags.source);
    if load::is_remote(&flags.source) {
        eprintln!(
            "The copy was not compared with its source, because the source would be downloaded again. To compare them, run:\n  {later}"
        );
        return Ok(());
    }
    match compare(flags).await {
        Ok(report) => Ok(line(fidelity::table(&report))?),
        Err(error) => {
            eprintln!("The copy is complete, but it could not be compared with its source: {error:#}");
            Ok(())
        }
    }
}

async fn compare(flags: &Quantize) -> Result<Fidelity> {
    let copy = fidelity::on_cpu(&flags.destination.display().to_string(), flags.quiet).await?;
    let source = fidelity::on_cpu(&flags.source, flags.quiet).await?;
    let comparison = Comparison::with_reference(&copy, &source, TEXT, CHUNK.min(copy.info().max_context))?;
    fidelity::measure(comparison, flags.quiet).await
}
