//! The tokens of a file with their types, checked.

use std::collections::HashMap;

use super::{TOKEN_TYPE, TOKENS};
use crate::checkpoint::container::gguf::Metadata;
use crate::error::Result;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenType {
    /// A piece of text.
    Normal,
    /// Stands for what cannot be written.
    Unknown,
    /// Marks something, such as the end of a turn; text becomes it only where special tokens are asked for.
    Control,
    /// Always cut out of a text whole.
    UserDefined,
    /// Fills a gap between the vocabulary and the network's size.
    Unused,
    /// `<0x00>` to `<0xFF>`.
    Byte,
}

impl TokenType {
    /// By the format's number.
    fn of(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

/// A token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) id: u32,
    pub(super) text: &'a str,
    pub(super) kind: TokenType,
}

/// All tokens of a file, by id. Each text is there once, but for the empty one.
#[derive(Debug)]
pub(super) struct TokenList<'a> {
    texts: &'a [String],
    kinds: Vec<TokenType>,
    ids: HashMap<&'a str, u32>,
}

impl<'a> TokenList<'a> {
    /// Reads them for a network that knows `vocab_size` tokens.
    pub(super) fn read(metadata: &'a Metadata, vocab_size: usize) -> Result<Self> {
        let missing = |key: &str| metadata.invalid(key, "it is missing");
        let texts = metadata.strings(TOKENS)?.ok_or_else(|| missing(TOKENS))?;
        if texts.is_empty() {
            return Err(metadata.invalid(TOKENS, "it is empty"));
        }
        if texts.len() > vocab_size {
            let problem = format!("it has {} tokens, but the network knows {vocab_size}", texts.len());
            return Err(metadata.invalid(TOKENS, problem));
        }
        // Without types, control tokens would be cut into pieces like any text.
        let numbers = metadata.integers(TOKEN_TYPE)?.ok_or_else(|| missing(TOKEN_TYPE))?;
        check_len(metadata, TOKEN_TYPE, numbers.len(), texts.len())?;
        let kinds = numbers
            .iter()
            .enumerate()
            .map(|(id, number)| {
                TokenType::of(*number).ok_or_else(|| {
                    let problem = format!("token {id} has type {number}, but types go from 1 to 6");
                    metadata.invalid(TOKEN_TYPE, problem)
                })
            })
            .collect::<Result<_>>()?;
        let mut ids = HashMap::with_capacity(texts.len());
        for (id, text) in (0u32..).zip(texts).filter(|(_, text)| !text.is_empty()) {
            if let Some(first) = ids.insert(text.as_str(), id) {
                let problem = format!("tokens {first} and {id} are both {text:?}");
                return Err(metadata.invalid(TOKENS, problem));
            }
        }
        Ok(Self { texts, kinds, ids })
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Token<'a>> + '_ {
        (0u32..).zip(self.texts).zip(&self.kinds).map(|((id, text), kind)| Token { id, text, kind: *kind })
    }

    pub(super) fn get(&self, id: u32) -> Option<Token<'a>> {
        let text = self.texts.get(id as usize)?;
        Some(Token { id, text, kind: *self.kinds.get(id as usize)? })
    }

    /// The token that is written so.
    pub(super) fn find(&self, text: &str) -> Option<Token<'a>> {
        self.get(*self.ids.get(text)?)
    }

    /// The token whose id stands under a key; `None` where the key is absent or holds the format's "none", -1.
    pub(super) fn named(&self, metadata: &Metadata, key: &str) -> Result<Option<Token<'a>>> {
        let none = u32::MAX as usize;
        match metadata.size(key, none)? {
            None => Ok(None),
            Some(id) if id == none => Ok(None),
            Some(id) => match self.get(id as u32) {
                Some(token) => Ok(Some(token)),
                None => {
                    Err(metadata.invalid(key, format!("there is no token {id} among the {}", self.len())))
                }
            },
        }
    }
}

/// A list must say something of each token.
pub(super) fn check_len(metadata: &Metadata, key: &str, len: usize, tokens: usize) -> Result<()> {
    if len == tokens {
        return Ok(());
    }
    Err(metadata.invalid(key, format!("it has {len} entries, but there are {tokens} tokens")))
}
