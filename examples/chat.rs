//! Asks a chat model a question and offers it a function to call; the answer may be text or a function call as JSON.
//! Run: `cargo run --release --example chat [FOLDER] [QUESTION]`

use mobilellm::{DirectorySource, Engine, Event, GenerateOptions, LoadOptions, Result};
use serde_json::json;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "models/mobilellm-47m-chat".to_owned());
    let question = arguments.next().unwrap_or_else(|| "What is the weather in Paris?".to_owned());
    if let Err(error) = pollster::block_on(chat(&folder, &question)) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

async fn chat(folder: &str, question: &str) -> Result<()> {
    let engine = Engine::load(&DirectorySource::new(folder)?, LoadOptions::default()).await?;

    // Messages and tools have the format of OpenAI's API. The chat template of the model turns them into tokens.
    let messages = [json!({"role": "user", "content": question})];
    let tools = [json!({
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    })];
    let prompt = engine.chat_prompt(&messages, &tools, false)?;

    let options = GenerateOptions {
        // The sampling that the model recommends, if it recommends any.
        sampler: engine.generation_config().sampler(mobilellm::SamplerOptions::default()),
        max_tokens: Some(100),
        stop: prompt.stop,
        ..GenerateOptions::default()
    };
    let mut session = engine.session()?;
    // `as_answer` removes the space before the first word: an answer does not continue the prompt's text.
    let mut generation = session.start(&prompt.tokens, options)?.as_answer();
    let mut answer = String::new();
    while let Some(event) = generation.next().await? {
        if let Event::Token(token) = event {
            answer.push_str(&token.text);
        }
    }
    println!("{answer}");
    // The program runs the function. A model can write anything here, so check the name and the arguments first. Then
    // append the answer and a message {"role": "tool", "content": RESULT} to the messages, and ask again.
    Ok(())
}
