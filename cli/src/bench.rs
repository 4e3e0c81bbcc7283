//! `mobilellm bench`: how fast a model shape runs on this device.

use std::io::Write;

use anyhow::Result;
use mobilellm::measure::bench::{BenchOptions, Machine, Report, Shape, Stage, Synthetic, run as measure};

use crate::flags::{Bench, SizeFlags};
use crate::load;

pub(crate) fn run(flags: &Bench) -> Result<()> {
    let options = BenchOptions {
        backend: flags.backend.backend,
        gpu: flags.backend.gpu(),
        weights: flags.weights,
        prefill: flags.prefill.clone(),
        decode: flags.decode,
        context: flags.context,
        repeats: flags.repeat,
        limit_s: flags.limit,
        machine: machine(),
    };
    if let Some(model) = &flags.model {
        let source = load::source(model)?;
        return report(flags, model, source.as_ref(), &options);
    }
    for shape in shapes(flags) {
        let source = Synthetic::new(&shape, options.weights)?;
        report(flags, &shape.name, &source, &options)?;
    }
    Ok(())
}

/// Measures and prints one shape. JSON is one line per shape.
fn report(
    flags: &Bench,
    name: &str,
    source: &dyn mobilellm::checkpoint::source::Source,
    options: &BenchOptions,
) -> Result<()> {
    let bar = load::progress_bar(flags.quiet);
    let mut observe = |stage: Stage| {
        bar.set_message(match stage.tokens {
            0 => format!("{name}: {} ({:.0} %)", stage.name, stage.done * 100.0),
            tokens => format!("{name}: {} at {tokens} ({:.0} %)", stage.name, stage.done * 100.0),
        });
    };
    let report = pollster::block_on(measure(name, source, options, &mut observe));
    bar.finish_and_clear();
    let report = report?;
    let mut out = std::io::stdout().lock();
    if flags.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(out, "{}", Table(&report))?;
    }
    Ok(())
}

/// The shapes that the flags name: those of a study, or one.
fn shapes(flags: &Bench) -> Vec<Shape> {
    match &flags.study {
        None => vec![sized(flags.shape.clone(), &flags.size)],
        Some(study) => study.shapes.clone(),
    }
}

/// A shape with the sizes that the flags give it.
fn sized(shape: Shape, size: &SizeFlags) -> Shape {
    let changed = Shape {
        num_attention_heads: size.heads.unwrap_or(shape.num_attention_heads),
        num_key_value_heads: size.kv_heads.unwrap_or(shape.num_key_value_heads),
        intermediate_size: size.ffn.unwrap_or(shape.intermediate_size),
        vocab_size: size.vocab.unwrap_or(shape.vocab_size),
        layer_sharing: shape.layer_sharing || size.layer_sharing,
        ..shape.clone()
    };
    if changed == shape { shape } else { Shape { name: format!("{} (changed)", shape.name), ..changed } }
}

fn machine() -> Machine {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    Machine { name: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()), system, threads }
}

/// The name of the processor, on systems that have it in a file.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A report for people.
struct Table<'a>(&'a Report);

impl std::fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let report = self.0;
        let millions = report.parameters as f64 / 1e6;
        let mebibytes = report.weight_bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "{}: {millions:.1}M parameters, {}, {mebibytes:.0} MiB",
            report.shape.name, report.weights
        )?;
        match &report.adapter {
            Some(adapter) => {
                let (backend, tier) = (&adapter.backend, adapter.tier.name());
                let tiles = if adapter.int8_tiles { ", 8-bit integer products for prefill" } else { "" };
                writeln!(f, "on {} ({backend}, tier {tier}{tiles})", adapter.adapter)?;
            }
            None => writeln!(f, "on the CPU: {}, {} threads", report.machine.name, report.machine.threads)?,
        }
        if let Some(reason) = &report.fallback_reason {
            writeln!(f, "GPU not used: {reason}")?;
        }
        let load = report.load;
        writeln!(
            f,
            "\nstart-up: open {:.0} ms, load {:.0} ms, prepare {:.0} ms, first token {:.1} ms",
            load.init_ms, load.load_ms, load.prepare_ms, load.first_token_ms
        )?;
        for prefill in &report.prefill {
            writeln!(
                f,
                "prefill {:>5}   {:>9.1} tokens/s   {:>9.2} ms",
                prefill.tokens, prefill.tokens_per_s, prefill.ms
            )?;
        }
        for decode in &report.decode {
            write!(
                f,
                "decode at {:>4} {:>8.1} tokens/s   {:>9.3} ms per token",
                decode.context, decode.tokens_per_s, decode.ms_per_token
            )?;
            if let Some(bound) = decode.bound {
                write!(
                    f,
                    "   limits {:.3} (launches), {:.3} (memory): {:.0} % of the limit",
                    bound.launch_ms,
                    bound.memory_ms,
                    bound.reached * 100.0
                )?;
            }
            writeln!(f)?;
        }
        if let Some(per_token) = report.decode.first().and_then(|decode| decode.per_token) {
            writeln!(
                f,
                "per token: {:.1} dispatches, {:.2} submits, {:.2} readbacks of {:.0} bytes, {:.2} writes",
                per_token.dispatches,
                per_token.submits,
                per_token.readbacks,
                per_token.bytes_read,
                per_token.writes
            )?;
        }
        if let Some(ceiling) = report.ceiling {
            writeln!(
                f,
                "device limits: {:.2} us per dependent dispatch ({:.2} us to record), {:.0} us round trip, {:.1} GB/s copy bandwidth",
                ceiling.dispatch_us,
                ceiling.record_us,
                ceiling.round_trip_us,
                ceiling.copy_bytes_per_s / 1e9
            )?;
        }
        for table in &report.kernels {
            writeln!(
                f,
                "\nkernels, {} token(s) after {}: {:.1} us on the GPU",
                table.rows, table.context, table.us
            )?;
            for time in &table.kernels {
                let each = time.us / time.dispatches as f64;
                writeln!(
                    f,
                    "  {:<28} {:>4} x {each:>8.2} us = {:>9.1} us",
                    time.kernel, time.dispatches, time.us
                )?;
            }
        }
        for left_out in &report.left_out {
            writeln!(f, "not measured: {left_out}")?;
        }
        writeln!(f)
    }
}
