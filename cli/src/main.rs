//! `mobilellm`: the engine on the command line. Exit codes: 0 success, 1 failure, 2 wrong usage.

#![deny(clippy::print_stdout, reason = "it panics when the reader has closed the pipe; `output` does not")]

mod bench;
mod chat;
mod fidelity;
mod flags;
mod generate;
mod inspect;
mod load;
mod logits;
mod option;
mod output;
mod quantize;
mod render;
mod sampling;
mod tokenize;
mod tools;

use std::io::{ErrorKind, IsTerminal};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use flags::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("mobilellm=warn,error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader, such as `head`, closed the pipe. That is not a failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Generate(flags) => generate::run(&flags),
        Command::Chat(flags) => chat::run(&flags),
        Command::Logits(flags) => logits::run(&flags),
        Command::Render(flags) => render::run(&flags),
        Command::Tokenize(flags) => tokenize::tokenize(&flags),
        Command::Detokenize(flags) => tokenize::detokenize(&flags),
        Command::Quantize(flags) => quantize::run(&flags),
        Command::Inspect(flags) => inspect::run(&flags),
        Command::Fidelity(flags) => fidelity::run(&flags),
        Command::Bench(flags) => bench::run(&flags),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
