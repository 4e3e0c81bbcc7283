//! Loads a model folder and completes a text, token by token, as it arrives.
//! Run: `cargo run --release --example load_and_complete [FOLDER] [PROMPT]`

use std::io::Write;

use mobilellm::{DirectorySource, Engine, Error, Event, GenerateOptions, LoadOptions, Result};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "models/mobilellm-47m-chat".to_owned());
    let text = arguments.next().unwrap_or_else(|| "Once upon a time".to_owned());
    if let Err(error) = pollster::block_on(complete(&folder, &text)) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

async fn complete(folder: &str, text: &str) -> Result<()> {
    // `needs_text` reports a missing tokenizer before the weights are read.
    let options = LoadOptions { needs_text: true, ..LoadOptions::default() };
    let engine = Engine::load(&DirectorySource::new(folder)?, options).await?;
    let info = engine.info();
    eprintln!("{} million parameters on the {}", info.parameters / 1_000_000, info.backend);

    let prompt = engine.text_prompt(text)?;
    let mut session = engine.session()?;
    // The default options are greedy: they always choose the most likely token.
    let options = GenerateOptions { max_tokens: Some(60), ..GenerateOptions::default() };
    let mut generation = session.start(&prompt, options)?;
    print!("{text}");
    while let Some(event) = generation.next().await? {
        match event {
            Event::Prefill { .. } => {}
            Event::Token(token) => {
                print!("{}", token.text);
                flush()?;
            }
            Event::Done { timings, .. } => {
                println!();
                eprintln!(
                    "time to first token {:.0} ms, decode {:.0} tokens/s",
                    timings.first_token_ms, timings.decode_tokens_per_s
                );
            }
        }
    }
    Ok(())
}

fn flush() -> Result<()> {
    std::io::stdout().flush().map_err(|error| Error::write("standard output", error, "Run it again"))
}
