//! The kind `gpt2`: byte-level BPE with a list of merges, encoded by the crate `tokenizers`.

use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BpeBuilder, Merges, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, TokenizerImpl};

use super::pre_tokenizers::{Cut, PreTokenizer};
use super::token_list::{TokenList, TokenType};
use super::{ADD_SPACE_PREFIX, MERGES, TOKENS, add_searched_tokens};
use crate::checkpoint::container::gguf::Metadata;
use crate::error::{Error, Result};
use crate::tokenizer::Pipeline;
use crate::tokenizer::model::Vocabulary;
use crate::tokenizer::piece_decoder::PieceDecoder;

/// Builds what encodes text, and how its pieces spell text.
pub(super) fn build(
    metadata: &Metadata,
    tokens: &TokenList,
    pre: &PreTokenizer,
) -> Result<(Pipeline, PieceDecoder)> {
    if metadata.flag(ADD_SPACE_PREFIX)? == Some(true) {
        let what = format!("{ADD_SPACE_PREFIX} of a byte-level tokenizer");
        return Err(Error::unsupported(metadata.file(), what, "Supported is false"));
    }
    let model = bpe(metadata, tokens, pre.whole_words)?;
    let mut pipeline: Pipeline = TokenizerImpl::new(Vocabulary::Hub(model));
    let internal = |error: tokenizers::Error| Error::internal(format!("pre-tokenizer: {error}"));
    let normalizer = pre.composes.then_some(NormalizerWrapper::NFC(NFC));
    pipeline.with_normalizer(normalizer).map_err(internal)?;
    pipeline.with_pre_tokenizer(Some(word_cutter(pre).map_err(internal)?));
    add_searched_tokens(&mut pipeline, metadata, tokens, true)?;
    Ok((pipeline, PieceDecoder::byte_level()))
}

/// Cuts text into words, and writes each byte of them as a character.
fn word_cutter(pre: &PreTokenizer) -> tokenizers::Result<PreTokenizerWrapper> {
    let cut = |cut: &Cut| {
        Ok(match cut {
            Cut::Digits => Digits::new(true).into(),
            Cut::Words(pattern) => {
                let pattern = SplitPattern::Regex((*pattern).to_owned());
                Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into()
            }
        })
    };
    let mut steps = pre.cuts.iter().map(cut).collect::<tokenizers::Result<Vec<_>>>()?;
    steps.push(ByteLevel::new(false, true, false).into());
    Ok(Sequence::new(steps).into())
}

fn bpe(metadata: &Metadata, tokens: &TokenList, whole_words: bool) -> Result<ModelWrapper> {
    // A token that only fills a gap has no text that could be found.
    let named = tokens.iter().filter(|token| token.kind != TokenType::Unused && !token.text.is_empty());
    let vocab: Vocab = named.map(|token| (token.text.to_owned(), token.id)).collect();
    if vocab.is_empty() {
        return Err(metadata.invalid(TOKENS, "all tokens are empty or unused"));
    }
    let merges = merges(metadata, &vocab)?;
    BpeBuilder::new()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(whole_words)
        .build()
        .map(ModelWrapper::BPE)
        .map_err(|error| metadata.invalid(MERGES, error))
}

/// The pairs of pieces that merge, in order. Each is two pieces with a space between, which together are a token.
fn merges(metadata: &Metadata, vocab: &Vocab) -> Result<Merges> {
    let lines = metadata.strings(MERGES)?.ok_or_else(|| metadata.invalid(MERGES, "it is missing"))?;
    let mut joined = String::new();
    let pair = |(index, line): (usize, &String)| {
        let invalid = |problem: &str| metadata.invalid(MERGES, format!("entry {index}, {line:?}, {problem}"));
        let (left, right) = match line.split_once(' ') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
                (left, right)
            }
            _ => return Err(invalid("is not two pieces with a space between")),
        };
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        if !vocab.contains_key(&joined) {
            return Err(invalid("does not make a token"));
        }
        Ok((left.to_owned(), right.to_owned()))
    };
    lines.iter().enumerate().map(pair).collect()
}
