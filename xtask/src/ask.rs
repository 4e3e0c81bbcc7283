//! `cargo xtask ask`: the questions of docs/questions.md, answered by a model, for somebody to judge.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::models::{self, ModelOptions};
use crate::{process, workspace};

/// Whom to ask.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub(crate) struct AskOptions {
    #[command(flatten)]
    model: ModelOptions,
    /// The command line to use, instead of building it
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Flags for each `mobilellm generate`, such as --backend cpu
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// As docs/questions.md says.
const RULES: [&str; 4] = ["--seed", "1", "--max-tokens", "400"];

/// Prints each question with the model's answer, in Markdown.
pub(crate) fn ask(options: &AskOptions) -> Result<()> {
    let (served, sampling) = models::with_sampling(&options.model)?;
    let binary = if let Some(binary) = &options.binary {
        binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))?
    } else {
        process::run(&mut process::cargo(&["build", "--release", "--package", "mobilellm-cli"]))?;
        workspace::target().join("release/mobilellm")
    };
    let text = std::fs::read_to_string(workspace::path("docs/questions.md"))
        .context("cannot read docs/questions.md")?;
    let questions = questions(&text);
    ensure!(!questions.is_empty(), "docs/questions.md has no table of questions");
    println!("## {}\n\n`mobilellm generate {} {}`", served.name, sampling.join(" "), RULES.join(" "));
    for (number, question) in questions {
        let mut command = process::command(&binary);
        command.args(["generate", "--quiet", "--model"]).arg(served.path()).args(["--chat", &question]);
        let answer = process::read(command.args(&sampling).args(RULES).args(&options.flags))?;
        // An answer may hold fences of its own.
        println!("\n**{number}. {question}**\n\n~~~~text\n{}\n~~~~", answer.trim_end());
    }
    Ok(())
}

/// The rows of the table: numbers and questions.
fn questions(text: &str) -> Vec<(u32, String)> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        Some((cells.first()?.parse().ok()?, (*cells.get(2)?).to_owned()))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use crate::workspace;

    #[test]
    fn there_are_thirty_questions() {
        let text = std::fs::read_to_string(workspace::path("docs/questions.md")).unwrap();
        let questions = super::questions(&text);
        assert!(questions.iter().map(|(number, _)| *number).eq(1..=30));
        assert_eq!(questions[0].1, "What is the capital of Australia?");
        assert!(questions.iter().all(|(_, question)| question.len() > 10));
    }
}
