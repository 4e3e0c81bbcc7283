//! `mobilellm tokenize` and `detokenize`: they use only the tokenizer and read no weights.

use anyhow::Result;
use serde_json::json;

use crate::flags::{Detokenize, Tokenize};
use crate::load;
use crate::output::line;

pub(crate) fn tokenize(flags: &Tokenize) -> Result<()> {
    let tokenizer = pollster::block_on(load::tokenizer(&flags.model))?;
    let ids = tokenizer.encode(&flags.text, !flags.no_special)?;
    let tokens: Vec<String> = ids.iter().map(|id| tokenizer.token(*id).unwrap_or_default()).collect();
    if flags.json {
        line(json!({"ids": ids, "tokens": tokens}))?;
    } else {
        for (id, token) in ids.iter().zip(tokens) {
            line(format_args!("{id:>8}  {}", token.escape_debug()))?;
        }
    }
    Ok(())
}

pub(crate) fn detokenize(flags: &Detokenize) -> Result<()> {
    let tokenizer = pollster::block_on(load::tokenizer(&flags.model))?;
    let text = tokenizer.decode(&flags.ids, flags.skip_special)?;
    if flags.json {
        line(json!({"text": text}))?;
    } else {
        line(text)?;
    }
    Ok(())
}
