//! Prints the complete WGSL of a kernel, exactly as the device gets it: `cargo xtask shader matmul/vector --format q4`.
//!
//! The program lowers the network of a shape with the code of the engine (`Plan::new`) and prints the shader of a call
//! of this plan. Without a name it lists the kernels, with the flags that they need.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![allow(clippy::doc_markdown, reason = "comments on flags are the help text, which is not markdown")]

mod kernels;
mod setting;
mod variants;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use mobilellm::backend::gpu::{Dialect, Tier};

use kernels::Kernels;
use setting::{Model, Setting, Weights};
use variants::Variants;

/// Print the complete WGSL of a kernel, exactly as the device gets it; without a name, list the kernels
#[derive(Parser)]
#[command(bin_name = "cargo xtask shader")]
struct Flags {
    /// A kernel, such as matmul/vector
    name: Option<String>,
    /// Format of the weights
    #[arg(long, value_enum, default_value_t = Weights::Q4)]
    format: Weights,
    /// Tier of GPU kernels: software, portable, subgroups or f16. Without this flag, the first of these that uses the
    /// kernel
    #[arg(long)]
    tier: Option<Tier>,
    /// Prefill with 8-bit integer products
    #[arg(long)]
    int8_tiles: bool,
    /// Print a variant with this epilogue: write, add, gated, logits, rotate or rotate_and_cache
    #[arg(long)]
    epilogue: Option<String>,
    /// If several variants fit, print this one; the list of them is printed too
    #[arg(long, default_value_t = 1)]
    nth: usize,
    /// Print the WGSL for browsers, not for native wgpu
    #[arg(long)]
    browser: bool,
    #[command(flatten)]
    model: setting::Options,
}

impl Flags {
    fn dialect(&self) -> Dialect {
        if self.browser { Dialect::Browser } else { Dialect::Naga }
    }
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(printed) => {
            // The reader, such as `head`, may close the pipe early. That is not a failure.
            let _ = std::io::stdout().write_all(printed.text.as_bytes());
            let _ = std::io::stderr().write_all(printed.note.as_bytes());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// `text` is printed to stdout, `note` to stderr.
struct Printed {
    text: String,
    note: String,
}

fn run(flags: &Flags) -> Result<Printed, String> {
    let model = Model::new(&flags.model)?;
    let Some(name) = &flags.name else {
        return Ok(Printed { text: Kernels::of(&model, flags.format)?.list(), note: String::new() });
    };
    let mut tiers = flags.tier.map_or(Tier::ALL.to_vec(), |tier| vec![tier]).into_iter();
    let fitting = loop {
        // No allowed tier uses the kernel: the error says which settings do.
        let Some(tier) = tiers.next() else {
            return Err(Kernels::of(&model, flags.format)?.why_not(name));
        };
        let (weights, int8_tiles) = (flags.format, flags.int8_tiles);
        let setting = Setting { family: model.family(), tier, weights, int8_tiles };
        let variants = Variants::of(&model.plan(setting)?, name, flags.dialect());
        if !variants.is_empty() {
            break variants;
        }
    };
    let fitting = match &flags.epilogue {
        Some(epilogue) => fitting.with_epilogue(epilogue)?,
        None => fitting,
    };
    Ok(Printed { text: fitting.text(flags.nth)?.to_owned(), note: fitting.note(flags.nth) })
}

/// Adds a line; writing to a string cannot fail.
fn line(text: &mut String, line: impl std::fmt::Display) {
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Flags, Printed, run};

    fn shader(flags: &[&str]) -> Result<Printed, String> {
        run(&Flags::parse_from([&["shader"], flags].concat()))
    }

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Flags::command().debug_assert();
    }

    #[test]
    fn a_complete_kernel_is_printed_for_the_flags() {
        let printed = shader(&["matmul/vector", "--tier", "subgroups", "--epilogue", "add"]).unwrap();
        for needed in
            ["const SUBGROUP: u32 = 32u;", "const GROUP_SIZE: u32 = 64u;", "subgroupShuffleXor", "fn main("]
        {
            assert!(printed.text.contains(needed), "{needed}");
        }
        let browser =
            shader(&["matmul/vector", "--tier", "subgroups", "--epilogue", "add", "--browser"]).unwrap();
        assert_eq!(browser.text, format!("enable subgroups;\n{}", printed.text));
    }

    #[test]
    fn other_variants_are_listed_and_can_be_chosen() {
        let first = shader(&["matmul/vector"]).unwrap();
        assert!(first.note.contains("epilogue/gated"), "{}", first.note);
        let second = shader(&["matmul/vector", "--nth", "2"]).unwrap();
        assert_ne!(first.text, second.text);
        assert!(shader(&["matmul/vector", "--nth", "99"]).is_err());
        assert!(shader(&["rms_norm/workgroup", "--tier", "f16"]).unwrap().text.contains("fn sum_workgroup"));
    }

    #[test]
    fn an_error_names_the_possible_values() {
        let refusal = |flags: &[&str]| shader(flags).err().unwrap();
        assert!(refusal(&["nothing"]).contains("attention/split"));
        assert!(refusal(&["add_normed/workgroup"]).contains("--tier portable --family olmo2"));
        assert!(refusal(&["matmul/tiled_int8"]).contains("--tier portable --int8-tiles"));
        assert!(refusal(&["matmul/thread", "--tier", "f16"]).contains("--tier software"));
        assert!(refusal(&["matmul/vector", "--epilogue", "rotate"]).contains("rotate_and_cache"));
        assert!(refusal(&["embed/thread", "--epilogue", "add"]).contains("no epilogue"));
        assert!(refusal(&["matmul/vector", "--group-size", "128"]).contains("576"));
    }

    #[test]
    fn every_kernel_is_listed_and_printed_with_the_listed_flags() {
        let list = shader(&[]).unwrap().text;
        for line in list.lines() {
            let (name, uses) = line.split_once(' ').unwrap();
            for flags in uses.split('|') {
                let flags: Vec<_> = [name].into_iter().chain(flags.split_whitespace()).collect();
                assert!(!shader(&flags).unwrap().text.is_empty(), "{flags:?}");
            }
        }
        let kernel = |name: &&str| !name.starts_with("lib/") && !name.starts_with("epilogue/");
        let pieces = mobilellm::backend::gpu::shader::PIECES.iter().map(|piece| piece.name);
        assert_eq!(list.lines().count(), pieces.filter(kernel).count());
    }
}
