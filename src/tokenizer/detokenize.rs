//! Tokens to text while they are generated: never half a character, never a wrong space.

use super::Tokenizer;
use super::piece_decoder::AtStart;

/// Turns a stream of tokens into pieces of text.
///
/// The pieces joined are exactly [`Tokenizer::decode`] of all tokens. A character that takes several tokens is held
/// back until it is complete; bytes that cannot become a character are shown as U+FFFD as soon as that is
/// certain. A token costs the same however long the text is.
#[derive(Debug, Clone)]
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    skip_special_tokens: bool,
    /// Nothing was written yet, so that a dummy space would be the text's first character.
    at_start: bool,
    /// The beginning of a character.
    pending: Vec<u8>,
}

impl<'a> Detokenizer<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, skip_special_tokens: bool) -> Self {
        Self { tokenizer, skip_special_tokens, at_start: true, pending: Vec::new() }
    }

    /// Continues the text of `prompt`: the space before a word is then part of the text, unless `prompt` has no text.
    #[must_use]
    pub fn after(mut self, prompt: &[u32]) -> Self {
        let writes = |id: &u32| {
            let hidden = self.skip_special_tokens && self.tokenizer.is_skipped(*id);
            !hidden && self.tokenizer.token_bytes(*id).is_some_and(|bytes| !bytes.is_empty())
        };
        self.at_start = !prompt.iter().any(writes);
        self
    }

    /// Begins a text of its own, whatever came before it; the opposite of [`Detokenizer::after`].
    #[must_use]
    pub fn at_start(mut self) -> Self {
        self.at_start = true;
        self
    }

    /// The text that this token completes; `None` where it completes nothing.
    ///
    /// Tokens without a text - special ones that are skipped, padding of the vocabulary - complete nothing.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if self.skip_special_tokens && self.tokenizer.is_skipped(id) {
            return None;
        }
        let mut bytes = self.tokenizer.token_bytes(id)?;
        let first;
        if bytes.is_empty() {
            return None;
        }
        if self.at_start {
            let dropped = self.tokenizer.dropped_at_start(id);
            if dropped == AtStart::DropsThoseOfFirst {
                first = self.tokenizer.without_spaces(id);
                bytes = &first;
            } else if dropped != AtStart::Keeps {
                bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            }
            self.at_start = dropped == AtStart::DropsUntilText && bytes.is_empty();
        }
        self.pending.extend_from_slice(bytes);
        let text = self.take_complete();
        (!text.is_empty()).then_some(text)
    }

    /// What was held back, at the end of the text: U+FFFD for a character that was never completed.
    pub fn finish(mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.pending);
        let mut text = String::new();
        if !rest.is_empty() {
            self.show_broken(rest.len(), &mut text);
        }
        (!text.is_empty()).then_some(text)
    }

    /// Moves all that is certain out of `pending`.
    fn take_complete(&mut self) -> String {
        let bytes = std::mem::take(&mut self.pending);
        let mut text = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, broken) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(length) = error.error_len() else {
                        self.pending = broken.to_vec();
                        return text;
                    };
                    self.show_broken(length, &mut text);
                    rest = &broken[length..];
                }
            }
        }
    }

    fn show_broken(&self, bytes: usize, text: &mut String) {
        let signs = if self.tokenizer.shows_each_broken_byte() { bytes } else { 1 };
        text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, signs));
    }
}
