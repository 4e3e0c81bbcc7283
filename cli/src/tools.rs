//! Reads the functions that a model may call from a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use mobilellm::engine::{Engine, Prompt};
use mobilellm::tokenizer::ChatOptions;
use serde_json::Value;

/// Maximum size of the file in bytes: far more than fits into any context.
const LIMIT: u64 = 1 << 20;

/// Reads a JSON list of tools in OpenAI's form, `{"type": "function", "function": {"name", "description",
/// "parameters"}}`. An error names the position of the wrong tool in the list.
pub(crate) fn read(path: &Path) -> Result<Vec<Value>> {
    parse(path).with_context(|| format!("--tools {}", path.display()))
}

fn parse(path: &Path) -> Result<Vec<Value>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LIMIT, "the file is larger than {LIMIT} bytes; offer fewer functions");
    let Value::Array(tools) = serde_json::from_slice(&bytes).context("the file is not valid JSON")? else {
        bail!("it must be a JSON list of tools, such as [{{\"type\": \"function\", \"function\": {{...}}}}]");
    };
    ensure!(!tools.is_empty(), "the list is empty; to offer no functions, leave out --tools");
    for (index, tool) in tools.iter().enumerate() {
        check(tool).with_context(|| format!("[{index}]"))?;
    }
    Ok(tools)
}

fn check(tool: &Value) -> Result<()> {
    ensure!(tool["type"] == "function", "type must be \"function\", not {}", tool["type"]);
    let function = &tool["function"];
    ensure!(function.is_object(), "function must be an object, not {function}");
    let name = function["name"].as_str().unwrap_or_default();
    ensure!(!name.is_empty(), "function.name must be a string that is not empty, not {}", function["name"]);
    let description = &function["description"];
    ensure!(
        description.is_null() || description.is_string(),
        "function.description must be a string, not {description}"
    );
    let parameters = &function["parameters"];
    ensure!(
        parameters.is_null() || parameters.is_object(),
        "function.parameters must be a JSON schema (an object), not {parameters}"
    );
    Ok(())
}

/// Refuses a model whose chat template ignores tools: the prompt is the same with and without them.
pub(crate) fn check_template(
    engine: &Engine,
    messages: &[Value],
    options: &ChatOptions,
    with_tools: &Prompt,
) -> Result<()> {
    let without = engine.chat_prompt_with(messages, &[], options)?;
    ensure!(
        without.tokens != with_tools.tokens,
        "--tools: the chat template of this model does not support tools. Leave out --tools, or use another model"
    );
    Ok(())
}
