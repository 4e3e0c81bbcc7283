//! Reading `tokenizer.json`.
//!
//! The crate `tokenizers` could read the file by itself, but it trusts it: a truncated or hostile file makes it panic,
//! and its route through a generic JSON value takes ten times the file's size. So the frame of the file and the
//! vocabulary of the common model, BPE, are read here, checked, and handed over part by part.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::{BpeBuilder, Vocab};
use tokenizers::utils::SysRegex;
use tokenizers::{AddedToken, TokenizerImpl};

use super::model::Vocabulary;
use super::piece_decoder::PieceDecoder;
use super::settings::DeclaredToken;
use super::special_token_template::SpecialTokenTemplate;
use super::{Pipeline, add_declared_tokens};
use crate::error::{Error, Result};

const FILE: &str = "tokenizer.json";
const REMEDY: &str = "Fetch the file again, or use the one of the original checkpoint";

#[derive(Deserialize)]
struct File<'a> {
    #[serde(default)]
    added_tokens: Vec<AddedTokenEntry>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    #[serde(borrow)]
    model: &'a RawValue,
}

#[derive(Deserialize)]
struct AddedTokenEntry {
    id: u32,
    #[serde(flatten)]
    token: AddedToken,
}

/// The head of any model, and the whole of a BPE model but its vocabulary and merges.
#[derive(Deserialize)]
struct ModelHead<'a> {
    #[serde(rename = "type")]
    kind: Option<Cow<'a, str>>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: Option<bool>,
    #[serde(default)]
    byte_fallback: Option<bool>,
    #[serde(default)]
    ignore_merges: Option<bool>,
    #[serde(borrow)]
    merges: Option<&'a RawValue>,
    #[serde(borrow)]
    vocab: Option<&'a RawValue>,
}

/// Reads the file into what encodes text, how its pieces spell text, and what is put around it.
pub(super) fn read(json: &[u8], vocab_size: usize) -> Result<(Pipeline, PieceDecoder, SpecialTokenTemplate)> {
    let file: File = serde_json::from_slice(json).map_err(|error| invalid("JSON", error))?;
    let spelling = PieceDecoder::from_decoder(file.decoder.as_ref())?;
    for part in [&file.normalizer, &file.pre_tokenizer].into_iter().flatten() {
        refuse_hazards(part)?;
    }
    let mut pipeline: Pipeline = TokenizerImpl::new(Vocabulary::Hub(read_model(file.model)?));
    pipeline
        .with_normalizer(part::<tokenizers::NormalizerWrapper>("normalizer", file.normalizer)?)
        .map_err(|error| invalid("normalizer", error))?;
    pipeline
        .with_pre_tokenizer(part::<tokenizers::PreTokenizerWrapper>("pre_tokenizer", file.pre_tokenizer)?);
    let special_tokens = SpecialTokenTemplate::from_post_processor(file.post_processor.as_ref(), vocab_size)?;
    let declared =
        file.added_tokens.into_iter().map(|entry| DeclaredToken { id: entry.id, token: entry.token });
    add_declared_tokens(&mut pipeline, FILE, declared.collect(), vocab_size)?;
    Ok((pipeline, spelling, special_tokens))
}

fn invalid(field: &str, problem: impl std::fmt::Display) -> Error {
    Error::invalid(FILE, field, problem, REMEDY)
}

fn part<T: serde::de::DeserializeOwned>(field: &str, value: Option<Value>) -> Result<Option<T>> {
    value.map(serde_json::from_value).transpose().map_err(|error| invalid(field, error))
}

/// Refuses parts with which `tokenizers` panics on some files, and which no language model is known to use.
fn refuse_hazards(part: &Value) -> Result<()> {
    if let Some(kind) = hazard(part) {
        let remedy = "Use a tokenizer.json of a Llama-like model, or a tokenizer.model";
        return Err(Error::unsupported(FILE, format!("its {kind}"), remedy));
    }
    match part {
        Value::Object(fields) => fields.values().try_for_each(refuse_hazards),
        Value::Array(items) => items.iter().try_for_each(refuse_hazards),
        _ => Ok(()),
    }
}

/// The name of such a part. Where its type says nothing to `tokenizers`, it goes by the fields, and so does this.
fn hazard(part: &Value) -> Option<&'static str> {
    let is = |name: &str, field: &str| {
        part.get("type").and_then(Value::as_str) == Some(name) || part.get(field).is_some()
    };
    if is("FixedLength", "length") {
        Some("FixedLength")
    } else if is("Precompiled", "precompiled_charsmap") {
        Some("Precompiled")
    } else {
        (is("Replace", "content") && replaces_nothing(part.get("pattern")?)).then_some("Replace")
    }
}

/// Whether a pattern matches where there is nothing.
fn replaces_nothing(pattern: &Value) -> bool {
    let text = |name: &str| pattern.get(name).and_then(Value::as_str);
    let matches_empty = |regex: &str| match SysRegex::new(regex) {
        Ok(regex) => {
            ["", "a ", " 1\n."].iter().any(|probe| regex.find_iter(probe).any(|(start, end)| start == end))
        }
        Err(_) => false,
    };
    text("String").is_some_and(str::is_empty) || text("Regex").is_some_and(matches_empty)
}

fn read_model(json: &RawValue) -> Result<ModelWrapper> {
    let head: ModelHead = serde_json::from_str(json.get()).map_err(|error| invalid("model", error))?;
    // Files of before 2020 do not say the type; only BPE has merges.
    match head.kind.as_deref() {
        Some("BPE") => read_bpe(head),
        None if head.merges.is_some() => read_bpe(head),
        Some("Unigram" | "WordLevel" | "WordPiece") | None => {
            serde_json::from_str(json.get()).map_err(|error| invalid("model", error))
        }
        Some(other) => Err(Error::unsupported(
            FILE,
            format!("the model type {other:?}"),
            "Supported are BPE, Unigram, WordLevel and WordPiece",
        )),
    }
}

fn read_bpe(head: ModelHead) -> Result<ModelWrapper> {
    let vocab = head.vocab.ok_or_else(|| invalid("model.vocab", "it is missing"))?;
    let vocab: Vocab = serde_json::from_str(vocab.get()).map_err(|error| invalid("model.vocab", error))?;
    let merges = match head.merges {
        Some(merges) => read_merges(merges)?,
        None => Vec::new(),
    };
    let prefix = head.continuing_subword_prefix.unwrap_or_default();
    check_merges(&merges, &vocab, &prefix)?;
    if let Some(unknown) = head.unk_token.as_ref().filter(|token| !vocab.contains_key(*token)) {
        return Err(invalid("model.unk_token", format!("{unknown:?} is not in the vocabulary")));
    }
    let mut builder = BpeBuilder::new()
        .vocab_and_merges(vocab, merges)
        .fuse_unk(head.fuse_unk.unwrap_or(false))
        .byte_fallback(head.byte_fallback.unwrap_or(false))
        .ignore_merges(head.ignore_merges.unwrap_or(false));
    // Absent is not the same as empty here: an empty prefix costs a copy of every character.
    if !prefix.is_empty() {
        builder = builder.continuing_subword_prefix(prefix);
    }
    if let Some(unknown) = head.unk_token {
        builder = builder.unk_token(unknown);
    }
    if let Some(suffix) = head.end_of_word_suffix.filter(|suffix| !suffix.is_empty()) {
        builder = builder.end_of_word_suffix(suffix);
    }
    builder.build().map(ModelWrapper::BPE).map_err(|error| invalid("model", error))
}

/// Merges are pairs, or in older files two pieces with a space between.
fn read_merges(json: &RawValue) -> Result<Vec<(String, String)>> {
    if let Ok(pairs) = serde_json::from_str(json.get()) {
        return Ok(pairs);
    }
    let lines: Vec<Cow<str>> =
        serde_json::from_str(json.get()).map_err(|error| invalid("model.merges", error))?;
    lines
        .iter()
        .filter(|line| !line.starts_with("#version"))
        .map(|line| match line.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => Ok((left.to_owned(), right.to_owned())),
            _ => Err(invalid("model.merges", format!("{line:?} is not two pieces with a space between"))),
        })
        .collect()
}

/// `tokenizers` panics on a merge whose result is longer than every piece.
fn check_merges(merges: &[(String, String)], vocab: &Vocab, prefix: &str) -> Result<()> {
    let longest = vocab.keys().map(String::len).max().unwrap_or(0);
    let fits = |(left, right): &&(String, String)| {
        right.len() >= prefix.len()
            && right.is_char_boundary(prefix.len())
            && left.len() + right.len() - prefix.len() <= longest
    };
    match merges.iter().find(|merge| !fits(merge)) {
        Some((left, right)) => Err(invalid(
            "model.merges",
            format!("{left:?} and {right:?} do not make a piece of the vocabulary"),
        )),
        None => Ok(()),
    }
}
