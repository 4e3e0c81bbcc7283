//! What SentencePiece does to a text before it merges: the dummy space, spaces to `▁`, a map of characters.

use std::collections::BTreeSet;

use super::proto::NormalizerSpec;
use super::{invalid, merge};
use crate::error::Result;
use crate::tokenizer::piece_decoder::AtStart;

/// The sign that stands for a space in pieces.
const SPACE_SIGN: &str = "\u{2581}";

#[derive(Debug, Clone)]
pub(super) struct Normalizer {
    pub(super) add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    space: &'static str,
    char_map: Option<CharMap>,
    user_defined: BTreeSet<String>,
}

impl Normalizer {
    pub(super) fn new(spec: Option<&NormalizerSpec>, user_defined: &BTreeSet<String>) -> Result<Self> {
        let spec = spec.cloned().unwrap_or_default();
        let char_map = match spec.precompiled_charsmap() {
            [] => None,
            blob => Some(CharMap::parse(blob)?),
        };
        Ok(Self {
            add_dummy_prefix: spec.add_dummy_prefix(),
            remove_extra_whitespaces: spec.remove_extra_whitespaces(),
            space: if spec.escape_whitespaces() { SPACE_SIGN } else { " " },
            char_map,
            user_defined: user_defined.clone(),
        })
    }

    /// What decoding drops because normalising may have put it there.
    pub(super) fn dropped_at_start(&self) -> AtStart {
        match (self.remove_extra_whitespaces, self.add_dummy_prefix) {
            (true, _) => AtStart::DropsUntilText,
            (false, true) => AtStart::DropsOne,
            (false, false) => AtStart::Keeps,
        }
    }

    pub(super) fn normalize(&self, text: &str) -> String {
        let mut rest = text;
        if self.remove_extra_whitespaces {
            while let Some(length) = self.leading_space(rest) {
                rest = &rest[length..];
            }
        }
        let mut normalized = String::with_capacity(rest.len() + rest.len() / 2 + SPACE_SIGN.len());
        if rest.is_empty() {
            return normalized;
        }
        if self.add_dummy_prefix {
            normalized.push_str(self.space);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while !rest.is_empty() {
            let (mut mapped, length) = self.map_prefix(rest);
            rest = &rest[length..];
            if after_space {
                mapped = mapped.trim_start_matches(' ');
            }
            if !mapped.is_empty() {
                normalized.extend(mapped.split_inclusive(' ').flat_map(
                    |part| match part.strip_suffix(' ') {
                        Some(word) => [word, self.space],
                        None => [part, ""],
                    },
                ));
                after_space = self.remove_extra_whitespaces && mapped.ends_with(' ');
            }
        }
        if self.remove_extra_whitespaces {
            normalized.truncate(normalized.trim_end_matches(self.space).len());
        }
        normalized
    }

    /// How much of the text is one space, after mapping.
    fn leading_space(&self, text: &str) -> Option<usize> {
        if text.is_empty() {
            return None;
        }
        let (mapped, length) = self.map_prefix(text);
        (mapped == " ").then_some(length)
    }

    /// What the beginning of a text that is not empty becomes, and how long that beginning is.
    fn map_prefix<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        if let Some(piece) = merge::longest_prefix(&self.user_defined, text) {
            return (&text[..piece.len()], piece.len());
        }
        if let Some((mapped, length)) = self.char_map.as_ref().and_then(|map| map.longest(text)) {
            return (mapped, length);
        }
        let length = text.chars().next().map_or(text.len(), char::len_utf8);
        (&text[..length], length)
    }
}

/// A compiled map of characters (NFKC, for instance): a double-array trie (Darts-clone's) to places in a text.
#[derive(Debug, Clone)]
struct CharMap {
    trie: Vec<u32>,
    /// The replacements, each ended by NUL.
    replacements: String,
}

impl CharMap {
    fn parse(blob: &[u8]) -> Result<Self> {
        const FIELD: &str = "normalizer_spec.precompiled_charsmap";
        let parts = blob
            .split_first_chunk::<4>()
            .and_then(|(size, rest)| rest.split_at_checked(u32::from_le_bytes(*size) as usize));
        let (trie, replacements) = parts.ok_or_else(|| invalid(FIELD, "it is truncated"))?;
        let (units, []) = trie.as_chunks::<4>() else {
            return Err(invalid(FIELD, "its trie is not a whole number of units"));
        };
        Ok(Self {
            trie: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            replacements: String::from_utf8(replacements.to_vec()).map_err(|error| invalid(FIELD, error))?,
        })
    }

    /// The longest key with which the text begins: its replacement and its length.
    fn longest(&self, text: &str) -> Option<(&str, usize)> {
        let offset = |unit: u32| (unit >> 10) << ((unit & (1 << 9)) >> 6);
        let mut position = offset(*self.trie.first()?);
        let mut found = None;
        for (index, byte) in text.bytes().enumerate() {
            position ^= u32::from(byte);
            let Some(unit) = self.trie.get(position as usize).copied() else { break };
            if unit & 0x8000_00FF != u32::from(byte) {
                break;
            }
            position ^= offset(unit);
            let has_leaf = (unit >> 8) & 1 == 1;
            if has_leaf && let Some(leaf) = self.trie.get(position as usize) {
                found = Some((leaf & 0x7FFF_FFFF, index + 1));
            }
        }
        let (value, length) = found.filter(|(_, length)| text.is_char_boundary(*length))?;
        let replacement = self.replacements.get(value as usize..)?;
        Some((replacement.split('\0').next().unwrap_or_default(), length))
    }
}
