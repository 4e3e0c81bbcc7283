//! Which control tokens of a conversation count: those that the template wrote.
//!
//! Control tokens part the turns of a conversation. A user who writes their text could otherwise end the own turn and speak as
//! the system. So the characters of a rendered conversation know who wrote them ([`crate::jinja`]): a control token whose
//! characters are all a user's is text, and is encoded like any other text.

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::{AddedVocabulary, Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::{Pipeline, Tokenizer};
use crate::error::{Error, Result};
use crate::jinja::Char;

/// Which control tokens of a conversation count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ControlTokens {
    /// Those that the template wrote, in whole or in part; what users wrote stays text.
    #[default]
    OfTemplate,
    /// All, whoever wrote them. Only for input that is trusted as the template is.
    Anywhere,
}

/// What encodes text in which no control token counts.
pub(super) struct PlainText {
    added: AddedVocabulary,
    /// For what is not the text's beginning, where that makes a difference.
    inside: Option<PreTokenizerWrapper>,
}

impl PlainText {
    pub(super) fn of(pipeline: &Pipeline) -> Self {
        let mut added = pipeline.get_added_vocabulary().clone();
        added.set_encode_special_tokens(true);
        Self { added, inside: pipeline.get_pre_tokenizer().and_then(never_prepending) }
    }

    fn encode(&self, pipeline: &Pipeline, text: &str, is_beginning: bool) -> tokenizers::Result<Vec<u32>> {
        let mut parts = self.added.extract_and_normalize(pipeline.get_normalizer(), text);
        match (&self.inside, pipeline.get_pre_tokenizer()) {
            (Some(inside), _) if !is_beginning => inside.pre_tokenize(&mut parts)?,
            (_, Some(usual)) => usual.pre_tokenize(&mut parts)?,
            (_, None) => {}
        }
        parts.tokenize(|part| pipeline.get_model().tokenize(part.get()))?;
        Ok(ids(&parts).collect())
    }
}

/// A pre-tokenizer that puts a space before the text's beginning, changed to put none; `None` where it does no such thing.
fn never_prepending(pre_tokenizer: &PreTokenizerWrapper) -> Option<PreTokenizerWrapper> {
    match pre_tokenizer {
        PreTokenizerWrapper::Metaspace(metaspace)
            if metaspace.get_prepend_scheme() == PrependScheme::First =>
        {
            let mut metaspace = metaspace.clone();
            metaspace.set_prepend_scheme(PrependScheme::Never);
            Some(PreTokenizerWrapper::Metaspace(metaspace))
        }
        PreTokenizerWrapper::Sequence(sequence) => {
            let steps: Vec<_> = sequence.as_ref().iter().map(|step| (step, never_prepending(step))).collect();
            if steps.iter().all(|(_, changed)| changed.is_none()) {
                return None;
            }
            let steps = steps.into_iter().map(|(step, changed)| changed.unwrap_or_else(|| step.clone()));
            Some(tokenizers::pre_tokenizers::sequence::Sequence::new(steps.collect()).into())
        }
        _ => None,
    }
}

fn ids(parts: &PreTokenizedString) -> impl Iterator<Item = u32> + '_ {
    let splits = parts.get_splits(OffsetReferential::Original, OffsetType::None);
    splits.into_iter().filter_map(|(_, _, tokens)| tokens.as_ref()).flatten().map(|token| token.id)
}

/// A control token of a text: its id, and which characters it takes, with the white space that belongs to it.
struct Control {
    id: u32,
    start: usize,
    end: usize,
}

impl Tokenizer {
    /// The tokens of a rendered conversation.
    pub(super) fn encode_rendered(&self, chars: &[Char], count: ControlTokens) -> Result<Vec<u32>> {
        let text: String = chars.iter().map(|char| char.char()).collect();
        if count == ControlTokens::Anywhere {
            return self.encode(&text, false);
        }
        let (of_users, of_template): (Vec<_>, Vec<_>) = self
            .controls(&text)
            .into_iter()
            .partition(|control| is_users(&chars[control.start..control.end]));
        // A conversation like any other has the tokens that it always had.
        if of_users.is_empty() {
            return self.encode(&text, false);
        }
        let mut ids = Vec::new();
        let mut at = 0;
        let end = Control { id: 0, start: chars.len(), end: chars.len() };
        for (index, control) in of_template.iter().chain([&end]).enumerate() {
            let run: String = chars[at..control.start].iter().map(|char| char.char()).collect();
            if !run.is_empty() {
                ids.extend(self.encode_plain(&run, at == 0)?);
            }
            if index < of_template.len() {
                ids.push(control.id);
            }
            at = control.end;
        }
        self.checked(ids)
    }

    /// The control tokens that would be found in a text.
    fn controls(&self, text: &str) -> Vec<Control> {
        let added = self.pipeline.get_added_vocabulary();
        let parts = added.extract_and_normalize(self.pipeline.get_normalizer(), text);
        let splits = parts.get_splits(OffsetReferential::Original, OffsetType::Char);
        let control = |(start, end), id: u32| self.is_special(id).then_some(Control { id, start, end });
        splits
            .into_iter()
            .filter_map(|(_, offsets, tokens)| control(offsets, tokens.as_ref()?.first()?.id))
            .collect()
    }

    /// The tokens of a text between control tokens.
    fn encode_plain(&self, text: &str, is_beginning: bool) -> Result<Vec<u32>> {
        let failed =
            |error| Error::request("messages", format!("the text cannot be written in tokens: {error}"));
        let text = match (self.prefixes_once, is_beginning) {
            (true, true) => format!("\u{2581}{}", text.replace('\u{2581}', " ")),
            (true, false) => text.replace('\u{2581}', " "),
            (false, _) => text.to_owned(),
        };
        self.plain_text.encode(&self.pipeline, &text, is_beginning).map_err(failed)
    }
}

/// Whether users wrote all of a control token. White space around it may belong to the match and not to the token.
fn is_users(chars: &[Char]) -> bool {
    let is_text = |char: &&Char| !char.char().is_whitespace();
    if chars.iter().any(|char| is_text(&char)) {
        chars.iter().filter(is_text).all(|char| char.is_users())
    } else {
        chars.iter().all(|char| char.is_users())
    }
}
