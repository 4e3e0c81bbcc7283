//! What the names under `tokenizer.ggml.pre` mean: how text is cut into words before anything is merged.
//!
//! A name stands for the `normalizer`, the `pre_tokenizer` and two flags of the `tokenizer.json` from which a file was made.
//! llama.cpp's converter finds it by comparing what tokenizers do with a test text, so that models share a name. The
//! patterns are those of the `tokenizer.json` files, which llama.cpp writes in a way of its own. A name that is not in this
//! table is refused: with the wrong pattern a model reads numbers and code as it never did, and says nothing of it.

use super::PRE;
use crate::checkpoint::container::gguf::Metadata;
use crate::error::{Error, Result};

/// A step that cuts text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Each digit, of any script, is a word.
    Digits,
    /// What matches the pattern is a word, and so is what lies between two matches.
    Words(&'static str),
}

/// What a name means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PreTokenizer {
    names: &'static [&'static str],
    /// Characters are composed first (NFC).
    pub(super) composes: bool,
    /// One after the other, each within the words of the one before.
    pub(super) cuts: &'static [Cut],
    /// A word that is a token is that token, whatever the merges make of it.
    pub(super) whole_words: bool,
    /// Whether a text gets a first token where the file does not say so.
    pub(super) adds_bos: bool,
}

/// GPT-2's words: letters, digits or signs, each with at most one space before it.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// GPT-4's words, as most later models have them: digits in threes.
const GPT4: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// The same with single digits.
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// GPT-4o's words: a capital letter begins a new one.
const GPT4O: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// Mistral's Tekken: the same with single digits and without contractions.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// llama.cpp's own rule for models that it did not know when the file was made.
const DEFAULT: [Cut; 4] = [
    Cut::Words(r"[\p{P}\$\+<=>\^~\|]+"),
    Cut::Words(GPT2),
    Cut::Words(r"\p{N}+"),
    Cut::Words("[0-9][0-9][0-9]"),
];

const PLAIN: PreTokenizer =
    PreTokenizer { names: &[], composes: false, cuts: &[], whole_words: false, adds_bos: false };

static PRE_TOKENIZERS: [PreTokenizer; 9] = [
    PreTokenizer { names: &["default"], cuts: &DEFAULT, ..PLAIN },
    // GPT-2, Phi-2.
    PreTokenizer { names: &["gpt-2", "phi-2"], cuts: &[Cut::Words(GPT2)], ..PLAIN },
    // SmolLM and SmolLM2; StarCoder; Granite up to 3 (refact).
    PreTokenizer {
        names: &["smollm", "starcoder", "refact"],
        cuts: &[Cut::Digits, Cut::Words(GPT2)],
        ..PLAIN
    },
    // Llama 3, LFM2.
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3", "lfm2"],
        cuts: &[Cut::Words(GPT4)],
        whole_words: true,
        adds_bos: true,
        ..PLAIN
    },
    // Llama 3's vocabulary without a first token: SmolLM3.
    PreTokenizer { names: &["smaug-bpe"], cuts: &[Cut::Words(GPT4)], whole_words: true, ..PLAIN },
    // GPT-4's vocabulary: OLMo 2, Granite 4, Phi-4.
    PreTokenizer { names: &["dbrx"], cuts: &[Cut::Words(GPT4)], ..PLAIN },
    // Qwen from 1.5 to 3; DeepSeek's distillates of it, which renamed some of its control tokens.
    PreTokenizer {
        names: &["qwen2", "deepseek-r1-qwen"],
        composes: true,
        cuts: &[Cut::Words(QWEN2)],
        ..PLAIN
    },
    // GPT-4o's vocabulary, Phi-4-mini; Llama 4.
    PreTokenizer { names: &["gpt-4o", "llama4"], cuts: &[Cut::Words(GPT4O)], ..PLAIN },
    // Mistral from Nemo on.
    PreTokenizer {
        names: &["tekken"],
        cuts: &[Cut::Words(TEKKEN)],
        whole_words: true,
        adds_bos: true,
        ..PLAIN
    },
];

/// The rules that a file names.
pub(super) fn of(metadata: &Metadata) -> Result<&'static PreTokenizer> {
    let remedy = || {
        let names: Vec<&str> = PRE_TOKENIZERS.iter().flat_map(|pre| pre.names).copied().collect();
        format!("Supported are {}", names.join(", "))
    };
    let Some(name) = metadata.text(PRE)? else {
        return Err(Error::unsupported(
            metadata.file(),
            format!("a tokenizer without {PRE}, as converters before May 2024 wrote it,"),
            "How it cuts text into words would be a guess. Use a newer file of the same model",
        ));
    };
    PRE_TOKENIZERS
        .iter()
        .find(|pre| pre.names.contains(&name))
        .ok_or_else(|| Error::unsupported(metadata.file(), format!("{PRE} {name:?}"), remedy()))
}
