//! Tokenizers of GGUF files, from the metadata `tokenizer.*`.
//!
//! A GGUF file does not hold the model's own tokenizer, but a description of it: the kind (`tokenizer.ggml.model`), the
//! tokens with their types, merges or scores, and for byte-level BPE the *name* of the rules that cut text into words
//! (`tokenizer.ggml.pre`). The ids here are those of the model's own tokenizer. Where llama.cpp's differ, as with Qwen's
//! composed characters, they are not llama.cpp's.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#tokenizer>.

mod byte_level;
mod ends;
mod pre_tokenizers;
mod sentencepiece;
mod settings;
#[cfg(test)]
mod tests;
mod token_list;

use tokenizers::AddedToken;

use self::token_list::{TokenList, TokenType};
use super::Pipeline;
use super::piece_decoder::PieceDecoder;
use super::settings::Settings;
use crate::checkpoint::container::gguf::Metadata;
use crate::error::{Error, Result};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const SCORES: &str = "tokenizer.ggml.scores";
const ADD_SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";

/// Bytes of all tokens together that are searched for in every text. Real files have less than a tenth of this; the
/// automaton that searches takes some fifty bytes for each.
const MAX_SEARCHED_BYTES: usize = 2 << 20;

/// Reads the metadata of a file into what encodes text, how its pieces spell text, and the settings.
pub(super) fn read(metadata: &Metadata, vocab_size: usize) -> Result<(Pipeline, PieceDecoder, Settings)> {
    match metadata.text(MODEL)? {
        None | Some("none" | "no_vocab") => Err(Error::missing(
            format!("the tokenizer in {}", metadata.file()),
            "The file has only weights. Use a GGUF file with a vocabulary to read and write text",
        )),
        Some("gpt2") => {
            let tokens = TokenList::read(metadata, vocab_size)?;
            let pre = pre_tokenizers::of(metadata)?;
            let settings = settings::read(metadata, &tokens, pre.adds_bos)?;
            let (pipeline, spelling) = byte_level::build(metadata, &tokens, pre)?;
            Ok((pipeline, spelling, settings))
        }
        Some("llama") => {
            let tokens = TokenList::read(metadata, vocab_size)?;
            let settings = settings::read(metadata, &tokens, true)?;
            let (pipeline, spelling) = sentencepiece::build(metadata, &tokens)?;
            Ok((pipeline, spelling, settings))
        }
        Some(other) => Err(Error::unsupported(
            metadata.file(),
            format!("{MODEL} {other:?}"),
            "Supported are gpt2 (byte-level BPE) and llama (SentencePiece BPE)",
        )),
    }
}

/// Makes a pipeline find tokens in a text before it is cut into words: control tokens, which `tokenizers` calls special,
/// and with `user_defined` those that are found in any text.
fn add_searched_tokens(
    pipeline: &mut Pipeline,
    metadata: &Metadata,
    tokens: &TokenList,
    user_defined: bool,
) -> Result<()> {
    let searched = |kind: TokenType| match kind {
        TokenType::Control | TokenType::Unknown => true,
        TokenType::UserDefined => user_defined,
        TokenType::Normal | TokenType::Unused | TokenType::Byte => false,
    };
    let swallows = swallows_spaces(metadata)?;
    let added: Vec<AddedToken> = tokens
        .iter()
        .filter(|token| searched(token.kind) && !token.text.is_empty())
        .map(|token| {
            let special = token.kind != TokenType::UserDefined;
            AddedToken::from(token.text, special).normalized(false).rstrip(special && swallows(token.text))
        })
        .collect();
    let bytes: usize = added.iter().map(|token| token.content.len()).sum();
    if bytes > MAX_SEARCHED_BYTES {
        let problem =
            format!("its control and user-defined tokens have {bytes} bytes, more than {MAX_SEARCHED_BYTES}");
        return Err(metadata.invalid(TOKENS, problem));
    }
    pipeline.add_tokens(added).map_err(|error| metadata.invalid(TOKENS, error))?;
    Ok(())
}

/// Which control tokens take the white space behind them along. GGUF has no field for it; the tokenizer of Phi-3 does it, and
/// says so in its `tokenizer_config.json` (`rstrip`).
fn swallows_spaces(metadata: &Metadata) -> Result<impl Fn(&str) -> bool> {
    let is_phi3 =
        metadata.text("general.architecture")? == Some("phi3") && metadata.text(MODEL)? == Some("llama");
    Ok(move |token: &str| is_phi3 && !matches!(token, "<unk>" | "<s>" | "<|endoftext|>"))
}
