//! What other checkpoints say in `tokenizer_config.json` and `generation_config.json`.

use serde_json::Value;

use super::token_list::{Token, TokenList, TokenType};
use super::{ADD_BOS, ADD_EOS, MODEL, ends};
use crate::checkpoint::container::gguf::Metadata;
use crate::error::Result;
use crate::tokenizer::settings::Settings;

/// The names by which chat templates know tokens, and the keys of their ids. (One is misspelt in the format.)
const NAMED: [(&str, &str); 7] = [
    ("bos_token", "tokenizer.ggml.bos_token_id"),
    ("eos_token", "tokenizer.ggml.eos_token_id"),
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
    ("sep_token", "tokenizer.ggml.seperator_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    ("cls_token", "tokenizer.ggml.cls_token_id"),
    ("mask_token", "tokenizer.ggml.mask_token_id"),
];

const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// Reads them; `adds_bos` holds where the file does not say whether a text gets a first token.
pub(super) fn read(metadata: &Metadata, tokens: &TokenList, adds_bos: bool) -> Result<Settings> {
    let mut settings = Settings {
        add_bos_token: Some(metadata.flag(ADD_BOS)?.unwrap_or(adds_bos)),
        add_eos_token: Some(metadata.flag(ADD_EOS)?.unwrap_or(false)),
        chat_templates: chat_templates(metadata)?,
        generation_eos: ends::read(metadata, tokens)?,
        ..Settings::default()
    };
    for (name, key) in NAMED {
        let named = tokens.named(metadata, key)?;
        let named = if metadata.get(key).is_none() { llama_default(metadata, tokens, name)? } else { named };
        if let Some(token) = named {
            settings.named_tokens.insert(name.to_owned(), Value::from(token.text));
        }
    }
    for (added, flag, name, key) in [
        (settings.add_bos_token, ADD_BOS, "bos_token", NAMED[0].1),
        (settings.add_eos_token, ADD_EOS, "eos_token", NAMED[1].1),
    ] {
        if added == Some(true) && settings.named_token(name).is_none() {
            let problem = format!("it is missing, but texts get this token ({flag})");
            return Err(metadata.invalid(key, problem));
        }
    }
    Ok(settings)
}

/// The tokens of the first Llama, which a file of that kind need not name.
fn llama_default<'a>(metadata: &Metadata, tokens: &TokenList<'a>, name: &str) -> Result<Option<Token<'a>>> {
    let id = match name {
        "unk_token" => 0,
        "bos_token" => 1,
        "eos_token" => 2,
        _ => return Ok(None),
    };
    let is_llama = metadata.text(MODEL)? == Some("llama");
    let is_marker = |token: &Token| matches!(token.kind, TokenType::Control | TokenType::Unknown);
    Ok(tokens.get(id).filter(|token| is_llama && is_marker(token)))
}

/// The chat templates by name: the one without a name, and those under `tokenizer.chat_template.NAME`.
fn chat_templates(metadata: &Metadata) -> Result<Vec<(String, String)>> {
    let mut templates = Vec::new();
    for (key, _) in metadata.iter() {
        let Some(rest) = key.strip_prefix(CHAT_TEMPLATE) else { continue };
        let name = match rest.strip_prefix('.') {
            None if rest.is_empty() => "default",
            Some(name) => name,
            None => continue,
        };
        if let Some(text) = metadata.text(key)? {
            templates.push((name.to_owned(), text.to_owned()));
        }
    }
    Ok(templates)
}
