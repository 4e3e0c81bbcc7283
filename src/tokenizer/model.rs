//! The two kinds of vocabulary behind one face: what `tokenizers` brings, and SentencePiece.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokenizers::models::{ModelWrapper, TrainerWrapper, bpe::BpeTrainer};
use tokenizers::{Model, Token};

use super::sentencepiece::SentencePiece;

/// What turns a stretch of text into tokens.
#[derive(Clone)]
pub(super) enum Vocabulary {
    /// A model of a tokenizer.json.
    Hub(ModelWrapper),
    /// A tokenizer.model.
    SentencePiece(SentencePiece),
}

impl Model for Vocabulary {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, sequence: &str) -> tokenizers::Result<Vec<Token>> {
        match self {
            Self::Hub(model) => model.tokenize(sequence),
            // Nobody asks for the pieces' text or place, and a string for each token is dear.
            Self::SentencePiece(model) => Ok(model
                .encode(sequence)
                .into_iter()
                .map(|id| Token { id, value: String::new(), offsets: (0, 0) })
                .collect()),
        }
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self {
            Self::Hub(model) => model.token_to_id(token),
            Self::SentencePiece(model) => model.id_of(token),
        }
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        match self {
            Self::Hub(model) => model.id_to_token(id),
            Self::SentencePiece(model) => model.piece(id).map(str::to_owned),
        }
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        match self {
            Self::Hub(model) => model.get_vocab(),
            Self::SentencePiece(model) => {
                model.pieces().enumerate().map(|(id, piece)| (piece.to_owned(), id as u32)).collect()
            }
        }
    }

    fn get_vocab_size(&self) -> usize {
        match self {
            Self::Hub(model) => model.get_vocab_size(),
            Self::SentencePiece(model) => model.pieces().len(),
        }
    }

    fn save(&self, _folder: &Path, _prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        Err("vocabularies are only read here".into())
    }

    fn get_trainer(&self) -> TrainerWrapper {
        BpeTrainer::default().into()
    }
}
