//! The tokens that a tokenizer puts around a text by itself: `<s>` before, perhaps `</s>` after.

use serde_json::Value;

use crate::error::{Error, Result};

const FILE: &str = "tokenizer.json";

/// Token ids before and after a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SpecialTokenTemplate {
    pub(super) before: Vec<u32>,
    pub(super) after: Vec<u32>,
}

impl SpecialTokenTemplate {
    /// Reads the `post_processor` of a tokenizer.json, which for a single text does no more than this.
    pub(super) fn from_post_processor(part: Option<&Value>, vocab_size: usize) -> Result<Self> {
        let mut special_tokens = Self::default();
        if let Some(part) = part.filter(|part| !part.is_null()) {
            special_tokens.add(part)?;
        }
        match special_tokens.before.iter().chain(&special_tokens.after).find(|id| **id as usize >= vocab_size)
        {
            Some(id) => {
                Err(invalid(format!("it adds token {id}, but config.json says vocab_size {vocab_size}")))
            }
            None => Ok(special_tokens),
        }
    }

    fn add(&mut self, part: &Value) -> Result<()> {
        match part.get("type").and_then(Value::as_str).unwrap_or_default() {
            // It only moves the places in the text to which tokens refer.
            "ByteLevel" => Ok(()),
            "Sequence" => part
                .get("processors")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .try_for_each(|part| self.add(part)),
            "TemplateProcessing" => self.add_template(part),
            "BertProcessing" | "RobertaProcessing" => {
                let id = |name: &str| token_id(part.get(name).and_then(|token| token.get(1)));
                self.before.insert(0, id("cls")?);
                self.after.push(id("sep")?);
                Ok(())
            }
            other => Err(Error::unsupported(
                FILE,
                format!("the post-processor {other:?}"),
                "Supported are TemplateProcessing, ByteLevel, BertProcessing and RobertaProcessing",
            )),
        }
    }

    /// A list of special tokens with the text, `$A`, among them.
    fn add_template(&mut self, part: &Value) -> Result<()> {
        let pieces =
            part.get("single").and_then(Value::as_array).ok_or_else(|| invalid("single is not a list"))?;
        let mut around = [Vec::new(), Vec::new()];
        let mut side = 0;
        for piece in pieces {
            if piece.pointer("/Sequence/id") == Some(&Value::from("A")) && side == 0 {
                side = 1;
            } else if let Some(name) = piece.pointer("/SpecialToken/id").and_then(Value::as_str) {
                let ids =
                    part.get("special_tokens").and_then(|tokens| tokens.get(name)?.get("ids")?.as_array());
                let ids = ids.ok_or_else(|| invalid(format!("special token {name:?} has no ids")))?;
                for id in ids {
                    around[side].push(token_id(Some(id))?);
                }
            } else {
                return Err(invalid(format!("{piece} is neither a special token nor the text")));
            }
        }
        if side == 0 {
            return Err(invalid("it leaves out the text"));
        }
        let [before, after] = around;
        self.before.splice(0..0, before);
        self.after.extend(after);
        Ok(())
    }
}

fn invalid(problem: impl std::fmt::Display) -> Error {
    Error::invalid(FILE, "post_processor", problem, "Take all files from the same checkpoint")
}

fn token_id(value: Option<&Value>) -> Result<u32> {
    let id = value.and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| invalid("a special token has no id"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(part: &Value) -> Result<SpecialTokenTemplate> {
        SpecialTokenTemplate::from_post_processor(Some(part), 10)
    }

    #[test]
    fn each_step_goes_around_those_before() {
        let template = json!({"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"<s>": {"ids": [1, 2]}, "</s>": {"ids": [3]}}});
        let bert = json!({"type": "BertProcessing", "cls": ["[CLS]", 4], "sep": ["[SEP]", 5]});
        let sequence = json!({"type": "Sequence", "processors": [{"type": "ByteLevel"}, template, bert]});
        assert_eq!(
            read(&sequence).unwrap(),
            SpecialTokenTemplate { before: vec![4, 1, 2], after: vec![3, 5] }
        );
        assert_eq!(
            SpecialTokenTemplate::from_post_processor(None, 10).unwrap(),
            SpecialTokenTemplate::default()
        );
    }

    #[test]
    fn broken_templates_are_typed_errors() {
        let text = json!({"Sequence": {"id": "A"}});
        let token = json!({"SpecialToken": {"id": "<s>"}});
        for part in [
            json!({"type": "TemplateProcessing"}),
            json!({"type": "TemplateProcessing", "single": []}),
            json!({"type": "TemplateProcessing", "single": [text, text]}),
            json!({"type": "TemplateProcessing", "single": [token, text], "special_tokens": {}}),
            json!({"type": "TemplateProcessing", "single": [token, text], "special_tokens": {"<s>": {"ids": [-1]}}}),
            json!({"type": "TemplateProcessing", "single": [token, text], "special_tokens": {"<s>": {"ids": [10]}}}),
            json!({"type": "BertProcessing", "cls": ["[CLS]", 1]}),
        ] {
            assert_eq!(read(&part).unwrap_err().code(), "invalid_file", "{part}");
        }
        assert_eq!(read(&json!({"type": "Other"})).unwrap_err().code(), "unsupported");
    }
}
