//! `mobilellm quantize`: a 4- or 8-bit copy of a checkpoint, in the layout that MLX reads.

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
        eprintln!("{module} is as it was: a group of {} does not divide its rows", flags.group_size);
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
    if flags.no_check { Ok(()) } else { pollster::block_on(check(flags)) }
}

/// Says how far the copy's predictions are from its source's. The copy is made by then, so what stands in the way of that is no error.
async fn check(flags: &Quantize) -> Result<()> {
    let copy = flags.destination.display();
    let later = format!("mobilellm fidelity --model {copy} --against {}", flags.source);
    if load::is_remote(&flags.source) {
        eprintln!(
            "The copy was not compared with its source, which would be downloaded again. To compare them:\n  {later}"
        );
        return Ok(());
    }
    match compare(flags).await {
        Ok(report) => Ok(line(fidelity::table(&report))?),
        Err(error) => {
            eprintln!("The copy was not compared with its source: {error:#}");
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
