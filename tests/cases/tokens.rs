//! Added tokens, decoding, and control tokens.

use mobilellm::tokenizer::{ChatOptions, Tokenizer, TokenizerFiles};
use serde_json::{Value, json};

use super::{all_hold, folder, lines};

fn tokenizer(case: &Value) -> Tokenizer {
    let folder = folder().join("tokenizers").join(case["tokenizer"].as_str().unwrap());
    let mut config = case["extra"].as_object().cloned().unwrap_or_default();
    if let Some(template) = case.get("template") {
        config.insert("chat_template".to_owned(), template.clone());
    }
    let files = TokenizerFiles {
        tokenizer_json: Some(std::fs::read(folder.join("tokenizer.json")).unwrap()),
        tokenizer_config: Some(Value::Object(config).to_string().into_bytes()),
        ..TokenizerFiles::default()
    };
    Tokenizer::load(&files, 512).unwrap()
}

fn failure(case: &Value) -> Option<String> {
    let tokenizer = tokenizer(case);
    if case["kind"] == "control" {
        let list = |field: &str| case[field].as_array().cloned().unwrap_or_default();
        let add_generation_prompt = case["add_generation_prompt"] == true;
        let options = ChatOptions { add_generation_prompt, ..ChatOptions::default() };
        let got = tokenizer.chat_tokens(&list("messages"), &list("tools"), &options).unwrap();
        let is_right = case["text"] == got.text.as_str() && list("ids_any").contains(&json!(got.ids));
        return (!is_right).then(|| format!("{}: {got:?} for {}", case["id"], case["ids_any"]));
    }
    if let Some(text) = case["text"].as_str() {
        let ids = tokenizer.encode(text, false).unwrap();
        if case["ids"] != json!(ids) {
            return Some(format!("{}: {text:?} is {ids:?}, not {}", case["id"], case["ids"]));
        }
    }
    let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
    let wrong = |(field, skip): (&str, bool)| {
        let text = tokenizer.decode(&ids, skip).unwrap();
        (case[field] != text.as_str())
            .then(|| format!("{}: {field} is {text:?}, not {}", case["id"], case[field]))
    };
    [("decoded", false), ("decoded_skip_special", true)].into_iter().find_map(wrong)
}

#[test]
fn tokens() {
    let Some(cases) = lines("tokenizer.jsonl") else { return };
    all_hold(&cases.iter().filter_map(failure).collect::<Vec<_>>(), cases.len());
}
