//! Text to tokens and back.
//!
//! A checkpoint brings a `tokenizer.json`, or only a SentencePiece `tokenizer.model`, or the metadata of a GGUF file. All
//! become one [`Tokenizer`]; nothing outside this module knows which it was.

mod chat_template;
mod control_tokens;
mod detokenize;
mod gguf;
mod local_time;
mod model;
mod piece_decoder;
mod sentencepiece;
mod settings;
mod special_token_template;
mod strftime;
mod tokenizer_json;

use std::collections::BTreeSet;

use tokenizers::{
    DecoderWrapper, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl,
};

pub use self::chat_template::{ChatFormat, ChatOptions, Rendered};
pub use self::control_tokens::ControlTokens;
use self::control_tokens::PlainText;
pub use self::detokenize::Detokenizer;
use self::model::Vocabulary;
use self::piece_decoder::{AtStart, PieceDecoder};
use self::settings::{DeclaredToken, Settings};
use self::special_token_template::SpecialTokenTemplate;
use crate::checkpoint::container::gguf::Metadata;
use crate::error::{Error, Result};

type Pipeline =
    TokenizerImpl<Vocabulary, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// The files of a checkpoint that concern text, each as it lies there, where it is there.
#[derive(Debug, Clone, Default)]
pub struct TokenizerFiles {
    /// `tokenizer.json`; preferred where both are there.
    pub tokenizer_json: Option<Vec<u8>>,
    /// `tokenizer.model`, a SentencePiece model.
    pub tokenizer_model: Option<Vec<u8>>,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<Vec<u8>>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<Vec<u8>>,
    /// `added_tokens.json`.
    pub added_tokens: Option<Vec<u8>>,
    /// `chat_template.jinja`.
    pub chat_template: Option<Vec<u8>>,
    /// `generation_config.json`, for its `eos_token_id`.
    pub generation_config: Option<Vec<u8>>,
}

impl TokenizerFiles {
    /// The names of all files.
    pub const NAMES: [&'static str; 7] = [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "generation_config.json",
        "tokenizer.model",
        "added_tokens.json",
    ];

    /// Whether a file says something only where there is no `tokenizer.json`.
    pub fn is_older(name: &str) -> bool {
        matches!(name, "tokenizer.model" | "added_tokens.json")
    }

    /// The place for the file of that name; `None` for any other name than those of [`TokenizerFiles::NAMES`].
    pub fn slot(&mut self, name: &str) -> Option<&mut Option<Vec<u8>>> {
        match name {
            "tokenizer.json" => Some(&mut self.tokenizer_json),
            "tokenizer.model" => Some(&mut self.tokenizer_model),
            "tokenizer_config.json" => Some(&mut self.tokenizer_config),
            "special_tokens_map.json" => Some(&mut self.special_tokens_map),
            "added_tokens.json" => Some(&mut self.added_tokens),
            "chat_template.jinja" => Some(&mut self.chat_template),
            "generation_config.json" => Some(&mut self.generation_config),
            _ => None,
        }
    }
}

/// Text to tokens and back, and conversations to text.
pub struct Tokenizer {
    pipeline: Pipeline,
    plain_text: PlainText,
    settings: Settings,
    /// The bytes of each token by id; `None` where an id has no token.
    bytes: Vec<Option<Box<[u8]>>>,
    special: BTreeSet<u32>,
    /// Those of them that decoding leaves out where it leaves out special tokens.
    skipped: BTreeSet<u32>,
    spelling: PieceDecoder,
    /// The byte token of a space, which SentencePiece does not take for the dummy space.
    space_byte: Option<u32>,
    special_tokens: SpecialTokenTemplate,
    /// Text before which SentencePiece puts a dummy space by itself, once, not per stretch (`legacy: false`).
    prefixes_once: bool,
    bos_token_id: Option<u32>,
    eos_token_ids: Vec<u32>,
    vocab_size: usize,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("kind", &self.kind())
            .field("tokens", &self.num_tokens())
            .field("spelling", &self.spelling)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads the files of a checkpoint whose network knows `vocab_size` tokens.
    ///
    /// A vocabulary smaller than that is common (the network's is padded); a larger one means that the files do not belong
    /// together and is an error. Single *added* tokens beyond the network's vocabulary are met in the wild - a padding
    /// token for which nobody widened the embedding; they are left out with a warning, and their text is then
    /// ordinary text.
    ///
    /// # Errors
    /// [`Error::Missing`] without a vocabulary, [`Error::Invalid`] for files that are damaged or do not fit the
    /// network, [`Error::Unsupported`] for kinds of tokenizers that this engine does not read.
    pub fn load(files: &TokenizerFiles, vocab_size: usize) -> Result<Self> {
        let mut settings = Settings::parse(files)?;
        let (mut pipeline, spelling, special_tokens, file) =
            match (&files.tokenizer_json, &files.tokenizer_model) {
                (Some(json), _) => {
                    let (pipeline, spelling, special_tokens) = tokenizer_json::read(json, vocab_size)?;
                    (pipeline, spelling, special_tokens, "tokenizer.json")
                }
                (None, Some(model)) => {
                    let (model, spelling) = sentencepiece::read(model, &mut settings)?;
                    let pipeline = TokenizerImpl::new(Vocabulary::SentencePiece(model));
                    (pipeline, spelling, SpecialTokenTemplate::default(), "tokenizer.model")
                }
                (None, None) => {
                    return Err(Error::missing(
                        "tokenizer.json",
                        "A checkpoint needs tokenizer.json or tokenizer.model to read and write text",
                    ));
                }
            };
        check_vocabulary(&pipeline, file, vocab_size)?;
        let is_sentencepiece = file == "tokenizer.model";
        if is_sentencepiece {
            let declared = std::mem::take(&mut settings.declared_tokens);
            add_declared_tokens(&mut pipeline, "tokenizer_config.json", declared, vocab_size)?;
        }
        let prefixes_once = is_sentencepiece && settings.legacy == Some(false);
        let tokenizer = Self::new(pipeline, spelling, special_tokens, settings, vocab_size);
        Ok(Self { prefixes_once, ..tokenizer })
    }

    /// Reads the tokenizer of a GGUF file, whose network knows `vocab_size` tokens, from the file's metadata.
    ///
    /// The ids are those of the model's own tokenizer, from which the file was made. The metadata are no longer needed then.
    ///
    /// # Errors
    /// [`Error::Missing`] where the file has no vocabulary, [`Error::Invalid`] where it contradicts itself or does not fit
    /// the network, [`Error::Unsupported`] for kinds of tokenizers that this engine does not read. The error names the file
    /// and the key.
    pub fn from_gguf(metadata: &Metadata, vocab_size: usize) -> Result<Self> {
        let (pipeline, spelling, settings) = gguf::read(metadata, vocab_size)?;
        Ok(Self::new(pipeline, spelling, SpecialTokenTemplate::default(), settings, vocab_size))
    }

    fn new(
        pipeline: Pipeline,
        spelling: PieceDecoder,
        special_tokens: SpecialTokenTemplate,
        settings: Settings,
        vocab_size: usize,
    ) -> Self {
        let is_sentencepiece = matches!(pipeline.get_model(), Vocabulary::SentencePiece(_));
        let mut tokenizer = Self {
            bytes: token_bytes(&pipeline, &spelling, vocab_size),
            special: special_ids(&pipeline),
            skipped: skipped_ids(&pipeline),
            space_byte: pipeline.token_to_id("<0x20>").filter(|_| is_sentencepiece),
            prefixes_once: false,
            special_tokens,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            spelling,
            plain_text: PlainText::of(&pipeline),
            pipeline,
            settings,
            vocab_size,
        };
        tokenizer.find_ends();
        tokenizer
    }

    /// Looks up the tokens that begin and end a text.
    fn find_ends(&mut self) {
        let named = |name: &str| {
            self.settings
                .named_token(name)
                .and_then(|text| self.pipeline.token_to_id(text))
                .filter(|id| self.is_known(*id))
        };
        let (bos, eos) = (named("bos_token"), named("eos_token"));
        // As in transformers 5, these settings replace what tokenizer.json says, where there are any.
        if self.settings.add_bos_token.is_some() || self.settings.add_eos_token.is_some() {
            let before = bos.filter(|_| self.settings.add_bos_token == Some(true));
            let after = eos.filter(|_| self.settings.add_eos_token == Some(true));
            self.special_tokens =
                SpecialTokenTemplate { before: Vec::from_iter(before), after: Vec::from_iter(after) };
        }
        self.bos_token_id = bos;
        self.eos_token_ids = eos.into_iter().chain(self.settings.generation_eos.iter().copied()).collect();
        self.eos_token_ids.retain(|id| (*id as usize) < self.vocab_size);
        self.eos_token_ids.sort_unstable();
        self.eos_token_ids.dedup();
    }

    /// The tokens of a text.
    ///
    /// With `add_special_tokens` the tokens that the model's tokenizer puts around a text by itself, such as `<s>`; a
    /// rendered conversation already has them. The text of a special token *inside* `text` becomes that token.
    ///
    /// # Errors
    /// [`Error::Request`] for a text that the vocabulary cannot express.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        let stretches = if self.prefixes_once && !text.is_empty() {
            self.encode_prefixed_once(text)?
        } else {
            self.encode_stretches(text)?
        };
        let ids = if add_special_tokens {
            [&self.special_tokens.before[..], &stretches, &self.special_tokens.after].concat()
        } else {
            stretches
        };
        self.checked(ids)
    }

    /// Refuses tokens that the network does not know.
    fn checked(&self, ids: Vec<u32>) -> Result<Vec<u32>> {
        match ids.iter().find(|id| **id as usize >= self.vocab_size) {
            None => Ok(ids),
            Some(id) => Err(Error::request(
                "text",
                format!("it has token {id}, but the network knows {} tokens", self.vocab_size),
            )),
        }
    }

    fn encode_stretches(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .pipeline
            .encode_fast(text, false)
            .map_err(|error| Error::request("text", format!("it cannot be written in tokens: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The slow `LlamaTokenizer` with `legacy=False`: one dummy space before everything, none after special tokens.
    fn encode_prefixed_once(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode_stretches(&format!("\u{2581}{}", text.replace('\u{2581}', " ")))?;
        let is_dummy = |id: &u32| self.token(*id).as_deref() == Some("\u{2581}");
        if ids.first().is_some_and(is_dummy) && ids.get(1).is_some_and(|id| self.is_special(*id)) {
            ids.remove(0);
        }
        Ok(ids)
    }

    /// The text of tokens.
    ///
    /// Bytes that are no UTF-8 become U+FFFD. `skip_special_tokens` leaves out `<s>` and its like.
    ///
    /// # Errors
    /// [`Error::Request`] for a token that the network does not know.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.vocab_size) {
            return Err(Error::request(
                "tokens",
                format!("token {id} is outside the vocabulary of {}", self.vocab_size),
            ));
        }
        let mut detokenizer = Detokenizer::new(self, skip_special_tokens);
        let mut text: String = ids.iter().filter_map(|id| detokenizer.push(*id)).collect();
        text.extend(detokenizer.finish());
        Ok(text)
    }

    /// Decodes tokens one by one, special ones left out. For a text that goes on after a prompt add [`Detokenizer::after`].
    pub fn detokenizer(&self) -> Detokenizer<'_> {
        Detokenizer::new(self, true)
    }

    /// The token as the vocabulary spells it, such as `▁the` or `Ġthe`; `None` where an id has no token.
    pub fn token(&self, id: u32) -> Option<String> {
        if self.is_known(id) { self.pipeline.id_to_token(id) } else { None }
    }

    /// The bytes of text for which a token stands; they need not be UTF-8. `None` where an id has no token.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.bytes.get(id as usize)?.as_deref()
    }

    /// The id of a token as the vocabulary spells it.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.pipeline.token_to_id(token).filter(|id| self.is_known(*id))
    }

    /// Whether a token is control rather than text.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// All tokens that are control rather than text, in ascending order.
    pub fn special_ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.special.iter().copied()
    }

    /// The token that begins a text, where the tokenizer's settings name one.
    pub fn bos_token_id(&self) -> Option<u32> {
        self.bos_token_id
    }

    /// The tokens that end a generation, by the tokenizer's settings and `generation_config.json`.
    pub fn eos_token_ids(&self) -> &[u32] {
        &self.eos_token_ids
    }

    /// How many ids have a token.
    pub fn num_tokens(&self) -> usize {
        self.bytes.iter().flatten().count()
    }

    /// What kind of tokenizer it is, in words.
    pub fn kind(&self) -> &'static str {
        match self.pipeline.get_model() {
            Vocabulary::SentencePiece(_) => "SentencePiece BPE",
            Vocabulary::Hub(tokenizers::ModelWrapper::BPE(_)) => "BPE",
            Vocabulary::Hub(tokenizers::ModelWrapper::Unigram(_)) => "Unigram",
            Vocabulary::Hub(tokenizers::ModelWrapper::WordLevel(_)) => "WordLevel",
            Vocabulary::Hub(tokenizers::ModelWrapper::WordPiece(_)) => "WordPiece",
        }
    }

    /// Whether a text without special tokens leaves this one out.
    fn is_skipped(&self, id: u32) -> bool {
        self.skipped.contains(&id)
    }

    fn is_known(&self, id: u32) -> bool {
        self.token_bytes(id).is_some()
    }

    /// What is dropped of this token where it begins a text.
    fn dropped_at_start(&self, id: u32) -> AtStart {
        if self.space_byte == Some(id) { AtStart::Keeps } else { self.spelling.at_start }
    }

    /// The bytes of a token, less those that stand for a space in it.
    fn without_spaces(&self, id: u32) -> Vec<u8> {
        let added = self.pipeline.get_added_vocabulary();
        let piece = added.simple_id_to_token(id).or_else(|| self.pipeline.get_model().id_to_token(id));
        piece.map_or_else(Vec::new, |piece| self.spelling.bytes(&piece.replace('\u{2581}', "")))
    }

    fn shows_each_broken_byte(&self) -> bool {
        self.spelling.shows_each_broken_byte()
    }
}

/// Refuses a vocabulary that is larger than the network's, before anything is indexed with its ids.
fn check_vocabulary(pipeline: &Pipeline, file: &str, vocab_size: usize) -> Result<()> {
    let vocab = pipeline.get_model().get_vocab();
    match vocab.iter().max_by_key(|(_, id)| **id) {
        None => Err(Error::invalid(file, "vocabulary", "it is empty", "Fetch the file again")),
        Some((token, id)) if *id as usize >= vocab_size => Err(Error::invalid(
            file,
            "vocabulary",
            format!("token {token:?} has id {id}, but config.json says vocab_size {vocab_size}"),
            "Take all files from the same checkpoint",
        )),
        Some(_) => Ok(()),
    }
}

/// Adds tokens to a vocabulary, each at the id that its file declares.
fn add_declared_tokens(
    pipeline: &mut Pipeline,
    file: &str,
    mut declared: Vec<DeclaredToken>,
    vocab_size: usize,
) -> Result<()> {
    declared.retain(|declared| {
        let fits = (declared.id as usize) < vocab_size;
        if !fits {
            tracing::warn!(
                token = declared.token.content,
                id = declared.id,
                vocab_size,
                "an added token is beyond the network's vocabulary and is left out"
            );
        }
        fits
    });
    declared.retain(|declared| !declared.token.content.is_empty());
    let invalid = |field: &str, problem: String| {
        Error::invalid(file, field, problem, "Take all files from the same checkpoint")
    };
    pipeline
        .add_tokens(declared.iter().map(|declared| declared.token.clone()))
        .map_err(|error| invalid("added tokens", error.to_string()))?;
    // `tokenizers` counts the ids itself; where the file means others, the network would be fed the wrong rows.
    for DeclaredToken { id, token } in &declared {
        if pipeline.token_to_id(&token.content) != Some(*id) {
            return Err(invalid(
                "added tokens",
                format!(
                    "{:?} is declared as token {id}, which is not where the vocabulary has it",
                    token.content
                ),
            ));
        }
    }
    Ok(())
}

/// The bytes of every token, by id.
fn token_bytes(pipeline: &Pipeline, spelling: &PieceDecoder, vocab_size: usize) -> Vec<Option<Box<[u8]>>> {
    // One by one: `get_vocab` copies the whole vocabulary.
    let spell = |id: usize| {
        let piece = pipeline.get_model().id_to_token(id as u32)?;
        Some(spelling.bytes(&piece).into_boxed_slice())
    };
    let mut bytes: Vec<Option<Box<[u8]>>> = (0..vocab_size).map(spell).collect();
    let added = pipeline.get_added_vocabulary();
    let is_sentencepiece = matches!(pipeline.get_model(), Vocabulary::SentencePiece(_));
    for (id, token) in added.get_added_tokens_decoder() {
        if let Some(slot) = bytes.get_mut(*id as usize) {
            // `tokenizers` decodes an added token like any other, and a normalised one from its normalised form.
            let spelt = match added.simple_id_to_token(*id) {
                Some(form) if !is_sentencepiece => spelling.bytes(&form),
                _ => spelling.added_token_bytes(&token.content),
            };
            *slot = Some(spelt.into_boxed_slice());
        }
    }
    if let Vocabulary::SentencePiece(model) = pipeline.get_model() {
        let added = pipeline.get_added_vocabulary().get_added_tokens_decoder();
        for id in model.control_ids().filter(|id| !added.contains_key(id)) {
            bytes[id as usize] = Some(Box::default());
        }
    }
    bytes
}

/// Tokens that a decoded text leaves out where it leaves out special ones: `tokenizers` goes by the form from which it decodes,
/// so that a special token whose normalised form is another one shows.
fn skipped_ids(pipeline: &Pipeline) -> BTreeSet<u32> {
    let added = pipeline.get_added_vocabulary();
    let is_skipped =
        |id: &u32| added.simple_id_to_token(*id).is_some_and(|form| added.is_special_token(&form));
    special_ids(pipeline).into_iter().filter(is_skipped).collect()
}

fn special_ids(pipeline: &Pipeline) -> BTreeSet<u32> {
    let tokens = pipeline.get_added_vocabulary().get_added_tokens_decoder();
    tokens.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect()
}
