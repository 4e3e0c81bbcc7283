//! The tokens at which a generation ends.

use super::token_list::{TokenList, TokenType};
use crate::checkpoint::container::gguf::Metadata;
use crate::error::Result;

/// Keys whose token ends a generation: the end of the text, of a turn, of a message, and for code that is filled in
/// between, the tokens that lead to another file.
const KEYS: [&str; 6] = [
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
    "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id",
    "tokenizer.ggml.fim_sep_token_id",
];

/// Control tokens that end a generation by their name. Most files do not say what `generation_config.json` said (Gemma's
/// `eos_token_id` is the end of the text, but it ends its turns with `<end_of_turn>`), so that there is no other way.
const NAMES: [&str; 11] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
];

/// The ids, in no particular order.
pub(super) fn read(metadata: &Metadata, tokens: &TokenList) -> Result<Vec<u32>> {
    let mut ends = Vec::new();
    for key in KEYS {
        ends.extend(tokens.named(metadata, key)?.map(|token| token.id));
    }
    let named = NAMES.iter().filter_map(|name| tokens.find(name));
    ends.extend(named.filter(|token| token.kind == TokenType::Control).map(|token| token.id));
    Ok(ends)
}
