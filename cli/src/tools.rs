//! The functions that a model may call, read from a file that a user names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use mobilellm::engine::{Engine, Prompt};
use serde_json::Value;

/// Bytes that the file may have: far more than any context holds.
const LIMIT: u64 = 1 << 20;

/// Reads a JSON list of tools in OpenAI's form, `{"type": "function", "function": {"name", "description",
/// "parameters"}}`; whatever is not one is refused by its place in the list.
pub(crate) fn read(path: &Path) -> Result<Vec<Value>> {
    parse(path).with_context(|| format!("--tools {}", path.display()))
}

fn parse(path: &Path) -> Result<Vec<Value>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LIMIT, "the file is larger than {LIMIT} bytes");
    let Value::Array(tools) = serde_json::from_slice(&bytes).context("this is no JSON")? else {
        bail!("it must be a JSON list of tools, such as [{{\"type\": \"function\", \"function\": {{...}}}}]");
    };
    ensure!(!tools.is_empty(), "the list is empty; leave out --tools to offer no function");
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
        "function.parameters must be a JSON schema, which is an object, not {parameters}"
    );
    Ok(())
}

/// Refuses a model whose template says the same with tools as without: it would answer as if there were none.
pub(crate) fn check_template(engine: &Engine, messages: &[Value], with_tools: &Prompt) -> Result<()> {
    let without = engine.chat_prompt(messages, &[], false)?;
    ensure!(
        without.tokens != with_tools.tokens,
        "--tools: this model's chat template has no place for tools; leave them out, or take another model"
    );
    Ok(())
}
