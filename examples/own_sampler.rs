//! Runs the network yourself and chooses every token with your own rule, here: sometimes the second most likely token.
//! Run: `cargo run --release --example own_sampler [FOLDER] [PROMPT]`

use mobilellm::{DirectorySource, Engine, LoadOptions, Result, Wanted};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "models/mobilellm-47m-chat".to_owned());
    let text = arguments.next().unwrap_or_else(|| "Once upon a time".to_owned());
    if let Err(error) = pollster::block_on(generate(&folder, &text)) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

async fn generate(folder: &str, text: &str) -> Result<()> {
    let engine = Engine::load(&DirectorySource::new(folder)?, LoadOptions::default()).await?;
    let ends = &engine.generation_config().eos_token_ids;
    let prompt = engine.text_prompt(text)?;

    // A state holds the key/value cache. `forward` runs a batch of tokens and returns logits: here those of the last token.
    let mut state = engine.state()?;
    let mut logits = Vec::new();
    for batch in prompt.chunks(state.max_batch()) {
        logits = state.forward(batch, Wanted::Last).await?;
    }

    let mut tokens = prompt;
    for step in 0..40 {
        let token = choose(&logits, step);
        tokens.push(token);
        if ends.contains(&token) || state.len() == state.max_positions() {
            break;
        }
        logits = state.forward(&[token], Wanted::Last).await?;
    }
    println!("{}", engine.tokenizer()?.decode(&tokens, true)?);
    Ok(())
}

/// The rule: the most likely token, but at every eighth step the second most likely one.
fn choose(logits: &[f32], step: usize) -> u32 {
    let mut ranked: Vec<u32> = (0..logits.len() as u32).collect();
    ranked.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    ranked[usize::from(step % 8 == 7)]
}
