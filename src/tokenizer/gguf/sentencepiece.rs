//! The kind `llama`: a SentencePiece BPE model, taken apart. Here it is put together again.

use tokenizers::TokenizerImpl;

use super::token_list::{Token, TokenList, TokenType, check_len};
use super::{ADD_SPACE_PREFIX, MERGES, SCORES, TOKENS, add_searched_tokens};
use crate::checkpoint::container::gguf::Metadata;
use crate::error::{Error, Result};
use crate::tokenizer::Pipeline;
use crate::tokenizer::model::Vocabulary;
use crate::tokenizer::piece_decoder::PieceDecoder;
use crate::tokenizer::sentencepiece::{
    ModelProto, ModelType, NormalizerSpec, PieceProto, PieceType, SentencePiece, TrainerSpec,
};

const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
const REMOVE_EXTRA_WHITESPACES: &str = "tokenizer.ggml.remove_extra_whitespaces";
const CHAR_MAP: &str = "tokenizer.ggml.precompiled_charsmap";

/// Builds what encodes text, and how its pieces spell text.
pub(super) fn build(metadata: &Metadata, tokens: &TokenList) -> Result<(Pipeline, PieceDecoder)> {
    if metadata.get(CHAR_MAP).is_some() {
        let remedy = "Use the model's original checkpoint with its tokenizer.json or tokenizer.model";
        return Err(Error::unsupported(metadata.file(), CHAR_MAP, remedy));
    }
    let add_space_prefix = metadata.flag(ADD_SPACE_PREFIX)?.unwrap_or(true);
    let proto = ModelProto {
        pieces: pieces(metadata, tokens, add_space_prefix)?,
        trainer_spec: Some(TrainerSpec {
            model_type: Some(ModelType::Bpe as i32),
            byte_fallback: Some(tokens.iter().any(|token| token.kind == TokenType::Byte)),
            ..TrainerSpec::default()
        }),
        normalizer_spec: Some(NormalizerSpec {
            add_dummy_prefix: Some(add_space_prefix),
            remove_extra_whitespaces: Some(metadata.flag(REMOVE_EXTRA_WHITESPACES)?.unwrap_or(false)),
            ..NormalizerSpec::default()
        }),
        denormalizer_spec: None,
    };
    let model = SentencePiece::new(proto).map_err(|error| match error {
        Error::Invalid { field, problem, .. } => metadata.invalid(TOKENS, format!("{field}: {problem}")),
        other => other,
    })?;
    let spelling = model.spelling();
    let mut pipeline = TokenizerImpl::new(Vocabulary::SentencePiece(model));
    add_searched_tokens(&mut pipeline, metadata, tokens, add_space_prefix)?;
    Ok((pipeline, spelling))
}

/// The pieces of the model, by id.
fn pieces(metadata: &Metadata, tokens: &TokenList, add_space_prefix: bool) -> Result<Vec<PieceProto>> {
    let scores = scores(metadata, tokens)?;
    let unknown = unknown(metadata, tokens)?;
    let piece = |(token, score): (Token, f32)| {
        let kind = match token.kind {
            _ if token.id == unknown => PieceType::Unknown,
            // There may be one only.
            TokenType::Unknown | TokenType::Control => PieceType::Control,
            // Pieces of the model itself are found by the model. With dummy spaces they are tokens that were added to a
            // model later: they are found before it (`add_searched_tokens`), and each stretch between them begins with a
            // dummy space.
            TokenType::UserDefined if !add_space_prefix => PieceType::UserDefined,
            TokenType::UserDefined | TokenType::Normal => PieceType::Normal,
            TokenType::Unused => PieceType::Unused,
            TokenType::Byte => PieceType::Byte,
        };
        // Converters write these pieces with spaces, all others with `▁`.
        let text = match kind {
            PieceType::UserDefined => token.text.replace(' ', "\u{2581}"),
            _ => token.text.to_owned(),
        };
        PieceProto { text: Some(text), score: Some(score), r#type: Some(kind as i32) }
    };
    Ok(tokens.iter().zip(scores).map(piece).collect())
}

/// The token for what cannot be written.
fn unknown(metadata: &Metadata, tokens: &TokenList) -> Result<u32> {
    let of_kind = || tokens.iter().find(|token| token.kind == TokenType::Unknown);
    let unknown = tokens.named(metadata, UNKNOWN)?.or_else(of_kind).or_else(|| tokens.find("<unk>"));
    match unknown {
        Some(token) => Ok(token.id),
        None => Err(metadata.invalid(UNKNOWN, "it is missing, and no token has type 2 (unknown)")),
    }
}

/// How early a piece is merged: the higher, the earlier.
///
/// A converter that had only a `tokenizer.json` to read writes one score for all, and then a list of merges must say it.
fn scores(metadata: &Metadata, tokens: &TokenList) -> Result<Vec<f32>> {
    let scores = metadata.floats(SCORES)?;
    if let Some(scores) = &scores {
        check_len(metadata, SCORES, scores.len(), tokens.len())?;
        if let Some(id) = scores.iter().position(|score| !score.is_finite()) {
            return Err(metadata.invalid(SCORES, format!("that of token {id} is no finite number")));
        }
    }
    match (scores, metadata.strings(MERGES)?) {
        (Some(scores), _) if tells_apart(&scores, tokens) => Ok(scores),
        (_, Some(merges)) => Ok(scores_of_merges(merges, tokens)),
        (Some(_), None) => Err(metadata.invalid(SCORES, "all pieces have the same, and there are no merges")),
        (None, None) => Err(metadata.invalid(SCORES, "it is missing, and there are no merges")),
    }
}

/// Whether pieces of more than one character have different scores.
fn tells_apart(scores: &[f32], tokens: &TokenList) -> bool {
    let merged = tokens
        .iter()
        .zip(scores)
        .filter(|(token, _)| token.kind == TokenType::Normal && token.text.chars().nth(1).is_some());
    let mut scores = merged.map(|(_, score)| score).peekable();
    match scores.next() {
        Some(first) => scores.peek().is_none() || scores.any(|score| score != first),
        None => true,
    }
}

/// A piece is merged where the first merge that makes it stands in the list.
fn scores_of_merges(merges: &[String], tokens: &TokenList) -> Vec<f32> {
    let mut scores = vec![-(merges.len() as f32); tokens.len()];
    for (rank, merge) in merges.iter().enumerate().rev() {
        if let Some(token) = tokens.find(&merge.replacen(' ', "", 1)) {
            scores[token.id as usize] = -(rank as f32);
        }
    }
    scores
}
