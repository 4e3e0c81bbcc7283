//! Templates and the texts that Jinja in Python makes of them.

use mobilellm::tokenizer::{ChatOptions, Tokenizer, TokenizerFiles};
use serde_json::{Map, Value, json};

use super::{all_hold, lines, shared};

/// A tokenizer with the template in one of its two places.
fn tokenizer(case: &Value, in_config: bool) -> Tokenizer {
    let mut config = json!({});
    let mut variables = case["extra"].as_object().cloned().unwrap_or_default();
    variables.retain(|name, _| name.ends_with("_token"));
    config.as_object_mut().unwrap().extend(variables);
    let template = case["template"].as_str().unwrap();
    if in_config {
        config["chat_template"] = json!(template);
    }
    let folder = shared::shared("stories260k").unwrap();
    let files = TokenizerFiles {
        tokenizer_json: Some(std::fs::read(folder.join("tokenizer.json")).unwrap()),
        tokenizer_config: Some(config.to_string().into_bytes()),
        chat_template: (!in_config).then(|| template.as_bytes().to_vec()),
        ..TokenizerFiles::default()
    };
    Tokenizer::load(&files, 512).unwrap()
}

fn failure(case: &Value, in_config: bool) -> Option<String> {
    let list = |field: &str| case[field].as_array().cloned().unwrap_or_default();
    let mut variables: Map<String, Value> = case["extra"].as_object().cloned().unwrap_or_default();
    variables.retain(|name, _| !name.ends_with("_token"));
    let options = ChatOptions {
        add_generation_prompt: case["add_generation_prompt"] == true,
        variables,
        ..ChatOptions::default()
    };
    match tokenizer(case, in_config).render_chat(&list("messages"), &list("tools"), &options) {
        Ok(text) if case["text"] == text.as_str() || case["text_null_dropped"] == text.as_str() => None,
        Err(_) if case["error"] == true || case["error_null_dropped"] == true => None,
        other => Some(format!("{}: {other:?} for {}", case["id"], case["text"])),
    }
}

#[test]
fn templates() {
    let (Some(cases), Some(_)) = (lines("templates.jsonl"), shared::shared("stories260k")) else { return };
    let both = cases.iter().flat_map(|case| [false, true].map(|in_config| failure(case, in_config)));
    all_hold(&both.flatten().collect::<Vec<_>>(), cases.len());
}
