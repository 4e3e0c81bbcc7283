//! What the small JSON files beside a tokenizer say: special tokens, what to add, the chat template.

use serde_json::{Map, Value};

use super::TokenizerFiles;
use crate::error::{Error, Result};

const REMEDY: &str = "Fetch the file again, or use the one of the original checkpoint";

/// The tokens that have a name in `tokenizer_config.json`, which chat templates know by that name.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A token that `tokenizer_config.json` declares by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeclaredToken {
    pub(super) id: u32,
    pub(super) token: tokenizers::AddedToken,
}

/// The settings of all small files together.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// `bos_token` and its like, as text; what chat templates may refer to.
    pub(super) named_tokens: Map<String, Value>,
    /// Whether to put the first token before a text; `None` where the file leaves that to tokenizer.json.
    pub(super) add_bos_token: Option<bool>,
    /// Whether to put the last token after a text; `None` likewise.
    pub(super) add_eos_token: Option<bool>,
    /// SentencePiece only: whether each stretch between special tokens gets its own dummy space.
    pub(super) legacy: Option<bool>,
    /// Tokens beyond the vocabulary file, by id.
    pub(super) declared_tokens: Vec<DeclaredToken>,
    /// Chat templates by name; a lone one is called `default`.
    pub(super) chat_templates: Vec<(String, String)>,
    /// `eos_token_id` of `generation_config.json`.
    pub(super) generation_eos: Vec<u32>,
}

impl Settings {
    pub(super) fn parse(files: &TokenizerFiles) -> Result<Self> {
        let mut settings = Self::default();
        if let Some(json) = &files.special_tokens_map {
            settings.read_named_tokens(&object("special_tokens_map.json", json)?)?;
        }
        if let Some(json) = &files.added_tokens {
            settings.read_added_tokens(&object("added_tokens.json", json)?)?;
        }
        if let Some(json) = &files.tokenizer_config {
            settings.read_tokenizer_config(&object(CONFIG, json)?)?;
        }
        if let Some(template) = &files.chat_template {
            settings.read_template_file(template)?;
        }
        if let Some(json) = &files.generation_config {
            settings.generation_eos = token_ids(&object("generation_config.json", json)?);
        }
        settings.declared_tokens.sort_by_key(|declared| declared.id);
        Ok(settings)
    }

    /// The text of `bos_token` and its like.
    pub(super) fn named_token(&self, name: &str) -> Option<&str> {
        self.named_tokens.get(name).and_then(Value::as_str)
    }

    fn read_named_tokens(&mut self, fields: &Map<String, Value>) -> Result<()> {
        for name in NAMED {
            match fields.get(name) {
                None => {}
                Some(Value::Null) => drop(self.named_tokens.shift_remove(name)),
                Some(value) => {
                    let text = token_text(value).ok_or_else(|| invalid(name, "it is not a token"))?;
                    self.named_tokens.insert(name.to_owned(), Value::from(text));
                }
            }
        }
        if let Some(Value::Array(tokens)) = fields.get("additional_special_tokens") {
            let texts: Vec<Value> = tokens.iter().filter_map(token_text).map(Value::from).collect();
            self.named_tokens.insert("additional_special_tokens".to_owned(), Value::from(texts));
        }
        Ok(())
    }

    /// `added_tokens.json`, the older place: text to id, and no more about them.
    fn read_added_tokens(&mut self, fields: &Map<String, Value>) -> Result<()> {
        for (content, id) in fields {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                Error::invalid("added_tokens.json", content, "its value is not a token id", REMEDY)
            })?;
            let special = self.named_tokens.values().any(|named| named == content);
            self.declared_tokens
                .push(DeclaredToken { id, token: tokenizers::AddedToken::from(content.clone(), special) });
        }
        Ok(())
    }

    fn read_tokenizer_config(&mut self, fields: &Map<String, Value>) -> Result<()> {
        self.read_named_tokens(fields)?;
        self.add_bos_token = flag(fields, "add_bos_token")?;
        self.add_eos_token = flag(fields, "add_eos_token")?;
        self.legacy = flag(fields, "legacy")?;
        if let Some(Value::Object(tokens)) = fields.get("added_tokens_decoder") {
            self.declared_tokens =
                tokens.iter().map(|(id, token)| declared_token(id, token)).collect::<Result<_>>()?;
        }
        match fields.get("chat_template") {
            None | Some(Value::Null) => {}
            Some(Value::String(template)) => {
                self.chat_templates = vec![("default".to_owned(), template.clone())];
            }
            Some(Value::Array(templates)) => {
                self.chat_templates = templates.iter().map(named_template).collect::<Result<_>>()?;
            }
            Some(_) => return Err(invalid("chat_template", "it is neither a string nor a list")),
        }
        Ok(())
    }

    /// `chat_template.jinja`, the newer place, takes precedence.
    fn read_template_file(&mut self, template: &[u8]) -> Result<()> {
        let template = std::str::from_utf8(template)
            .map_err(|error| Error::invalid("chat_template.jinja", "text", error, REMEDY))?;
        self.chat_templates.retain(|(name, _)| name != "default");
        self.chat_templates.push(("default".to_owned(), template.to_owned()));
        Ok(())
    }
}

const CONFIG: &str = "tokenizer_config.json";

fn invalid(field: &str, problem: &str) -> Error {
    Error::invalid(CONFIG, field, problem, REMEDY)
}

fn object(file: &str, json: &[u8]) -> Result<Map<String, Value>> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Error::invalid(file, "top level", "it is not a JSON object", REMEDY)),
        Err(error) => Err(Error::invalid(file, "JSON", error, REMEDY)),
    }
}

/// A token is written as its text, or as an object with its text.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<Option<bool>> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(invalid(name, "it is neither true nor false")),
    }
}

fn declared_token(id: &str, token: &Value) -> Result<DeclaredToken> {
    let field = format!("added_tokens_decoder.{id}");
    let id = id.parse().map_err(|_| invalid(&field, "its key is not a token id"))?;
    let token = serde_json::from_value(token.clone())
        .or_else(|_| token_text(token).map(|text| tokenizers::AddedToken::from(text, false)).ok_or(()))
        .map_err(|()| invalid(&field, "it is not a token"))?;
    Ok(DeclaredToken { id, token })
}

fn named_template(entry: &Value) -> Result<(String, String)> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    text("name")
        .zip(text("template"))
        .ok_or_else(|| invalid("chat_template", "an entry of the list lacks its name or its template"))
}

/// `eos_token_id`, one or several.
fn token_ids(fields: &Map<String, Value>) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match fields.get("eos_token_id") {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}
