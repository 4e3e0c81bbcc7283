//! `mobilellm render`: a conversation as the model will see it. It uses only the tokenizer and reads no weights.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::flags::Render;
use crate::load;
use crate::output::{line, print};

/// Maximum size of a file in bytes: far more than fits into any context.
const LIMIT: u64 = 16 << 20;

pub(crate) fn run(flags: &Render) -> Result<()> {
    let messages = list(&flags.messages, "--messages")?;
    let tools = flags.tools.as_deref().map_or_else(|| Ok(Vec::new()), |path| list(path, "--tools"))?;
    let tokenizer = pollster::block_on(load::tokenizer(&flags.model))?;
    let mut options = flags.control_tokens.chat_options(flags.plain);
    options.add_generation_prompt = !flags.no_generation_prompt;
    let rendered = tokenizer.chat_tokens(&messages, &tools, &options)?;
    if flags.json {
        line(json!({"text": rendered.text, "ids": rendered.ids}))?;
    } else {
        print(&rendered.text)?;
    }
    Ok(())
}

/// A JSON list in a file.
fn list(path: &Path, flag: &str) -> Result<Vec<Value>> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= LIMIT, "the file is larger than {LIMIT} bytes");
        match serde_json::from_slice(&bytes).context("the file is not valid JSON")? {
            Value::Array(items) => Ok(items),
            _ => bail!("it must be a JSON list"),
        }
    };
    read().with_context(|| format!("{flag} {}", path.display()))
}
