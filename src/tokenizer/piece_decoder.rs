//! How the pieces of a vocabulary spell text: every token's bytes, known once and for all.
//!
//! The decoders of a `tokenizer.json` work on whole sequences. Those of the language models that this engine
//! runs do the same to every piece wherever it stands, but for one space at the very beginning; so a token
//! *is* its bytes, and decoding is joining. That makes streaming exact and cheap (see [`super::detokenize`]).

use serde_json::Value;

use crate::error::{Error, Result};

const FILE: &str = "tokenizer.json";
const REMEDY: &str = "Supported are ByteLevel, and Replace, ByteFallback, Fuse, Strip and Metaspace as LLaMA's tokenizers use them";

/// What a decoder does to a piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PieceDecoder {
    /// `▁` to a space, as a rule.
    replacements: Vec<(String, String)>,
    /// `<0x0A>` is a byte.
    byte_fallback: bool,
    /// Every character stands for a byte, in GPT-2's alphabet.
    byte_level: bool,
    /// Every piece is a word of its own.
    space_before_each: bool,
    /// What of the beginning of the text is not part of it.
    pub(super) at_start: AtStart,
}

/// What becomes of spaces at the beginning of a decoded text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum AtStart {
    /// They are text.
    #[default]
    Keeps,
    /// The first one is a dummy.
    DropsOne,
    /// Those of the first token are dropped, all of them, wherever they stand in it: the decoder Metaspace of `tokenizers`.
    DropsThoseOfFirst,
    /// One of every piece is dropped until there is text: SentencePiece with collapsed white space.
    DropsUntilText,
}

impl PieceDecoder {
    /// The spelling of a SentencePiece model.
    pub(super) fn sentencepiece(at_start: AtStart) -> Self {
        Self {
            replacements: vec![("\u{2581}".to_owned(), " ".to_owned())],
            byte_fallback: true,
            at_start,
            ..Self::default()
        }
    }

    /// The spelling of byte-level BPE.
    pub(super) fn byte_level() -> Self {
        Self { byte_level: true, ..Self::default() }
    }

    /// Reads the `decoder` of a tokenizer.json.
    pub(super) fn from_decoder(decoder: Option<&Value>) -> Result<Self> {
        let mut spelling = Self::default();
        match decoder {
            // Without a decoder, pieces are joined with spaces.
            None | Some(Value::Null) => {
                spelling.space_before_each = true;
                spelling.at_start = AtStart::DropsOne;
            }
            Some(decoder) => spelling.add(decoder)?,
        }
        Ok(spelling)
    }

    fn add(&mut self, decoder: &Value) -> Result<()> {
        let text = |name: &str| decoder.get(name).and_then(Value::as_str);
        match text("type").unwrap_or_default() {
            "Sequence" => {
                for step in decoder.get("decoders").and_then(Value::as_array).into_iter().flatten() {
                    self.add(step)?;
                }
            }
            "ByteLevel" => self.byte_level = true,
            "ByteFallback" => self.byte_fallback = true,
            "Fuse" => {}
            "Replace" => {
                let from = decoder.pointer("/pattern/String").and_then(Value::as_str);
                match from.zip(text("content")) {
                    Some((from, to)) if !from.is_empty() => {
                        self.replacements.push((from.to_owned(), to.to_owned()));
                    }
                    _ => return Err(unsupported("a Replace decoder with a regular expression")),
                }
            }
            "Strip" => {
                let count = |name: &str| decoder.get(name).and_then(Value::as_u64).unwrap_or(0);
                match (text("content"), count("start"), count("stop")) {
                    (_, 0, 0) => {}
                    (Some(" "), 1, 0) => self.at_start = AtStart::DropsOne,
                    _ => return Err(unsupported("a Strip decoder other than of one space at the start")),
                }
            }
            "Metaspace" => {
                let space = text("replacement").unwrap_or("\u{2581}").to_owned();
                self.replacements.push((space, " ".to_owned()));
                let never = text("prepend_scheme") == Some("never")
                    || decoder.get("add_prefix_space") == Some(&Value::Bool(false));
                self.at_start = if never { AtStart::Keeps } else { AtStart::DropsThoseOfFirst };
            }
            other => return Err(unsupported(&format!("the decoder {other:?}"))),
        }
        Ok(())
    }

    /// Whether each byte of a broken UTF-8 sequence shows as a U+FFFD of its own, as it does in SentencePiece;
    /// byte-level tokenizers show one for the sequence.
    pub(super) fn shows_each_broken_byte(&self) -> bool {
        self.byte_fallback
    }

    /// The bytes that a piece of the vocabulary stands for.
    pub(super) fn bytes(&self, piece: &str) -> Vec<u8> {
        if self.byte_level
            && let Some(bytes) = piece.chars().map(byte_of_char).collect()
        {
            return bytes;
        }
        if self.byte_fallback
            && let Some(byte) = byte_piece(piece)
        {
            return vec![byte];
        }
        let mut text = if self.space_before_each { format!(" {piece}") } else { piece.to_owned() };
        for (from, to) in &self.replacements {
            text = text.replace(from, to);
        }
        text.into_bytes()
    }

    /// The bytes of a token that was added to the vocabulary, which stands for its own text.
    pub(super) fn added_token_bytes(&self, content: &str) -> Vec<u8> {
        let space = if self.space_before_each { " " } else { "" };
        format!("{space}{content}").into_bytes()
    }
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(FILE, what, REMEDY)
}

/// The byte of `<0x0A>` and its like.
pub(super) fn byte_piece(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hex = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The byte for which a character stands in GPT-2's byte-level alphabet: printable Latin-1 is itself, the other 68
/// bytes follow from U+0100 in their order.
fn byte_of_char(char: char) -> Option<u8> {
    let code = u32::from(char);
    let byte = match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7F,
        0x143 => 0xAD,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_byte_level_alphabet_names_each_byte_once() {
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let bytes: BTreeSet<u8> = alphabet.iter().filter_map(|char| byte_of_char(*char)).collect();
        assert_eq!((alphabet.len(), bytes.len()), (256, 256));
        assert_eq!(byte_of_char('Ġ'), Some(b' '));
        assert_eq!(byte_of_char('Ċ'), Some(b'\n'));
        assert_eq!(byte_of_char('▁'), None);
    }

    #[test]
    fn llama_pieces() {
        let spelling = PieceDecoder::sentencepiece(AtStart::DropsOne);
        assert_eq!(spelling.bytes("▁the▁"), b" the ");
        assert_eq!(spelling.bytes("<0xE2>"), [0xE2]);
        assert_eq!(spelling.bytes("<0x+1>"), b"<0x+1>");
        assert_eq!(spelling.bytes("<0x>"), b"<0x>");
    }

    #[test]
    fn no_decoder_joins_words_with_spaces() {
        let spelling = PieceDecoder::from_decoder(None).unwrap();
        assert_eq!(spelling.at_start, AtStart::DropsOne);
        assert_eq!(spelling.bytes("word"), b" word");
    }

    #[test]
    fn other_decoders_are_refused_by_name() {
        for decoder in [json!({"type": "WordPiece", "prefix": "##"}), json!({"type": "CTC"}), json!(3)] {
            let error = PieceDecoder::from_decoder(Some(&decoder)).unwrap_err();
            assert_eq!(error.code(), "unsupported");
        }
        let error = PieceDecoder::from_decoder(Some(&json!({"type": "WordPiece"}))).unwrap_err();
        assert!(error.to_string().contains("WordPiece"), "{error}");
    }
}
