//! SentencePiece's `tokenizer.model`, for checkpoints that bring nothing else.
//!
//! BPE models only, encoded as SentencePiece itself encodes them: characters are merged by the *score of the merged
//! piece*, best first, leftmost first among equals. That is not quite what a list of ranked merges does - Llama's
//! pieces of spaces all share one score - so the merging is done here ([`merge`]), and not by `tokenizers`.
//! Source: `bpe_model.cc`, `normalizer.cc` and `sentencepiece_processor.cc` of SentencePiece 0.2.

mod index;
mod merge;
mod normalizer;
mod proto;

use std::collections::BTreeSet;

use serde_json::Value;
use tokenizers::AddedToken;

use self::index::PieceIndex;
use self::normalizer::Normalizer;
pub(super) use self::proto::{
    ModelProto, ModelType, NormalizerSpec, Piece as PieceProto, PieceType, TrainerSpec,
};
use super::piece_decoder::{PieceDecoder, byte_piece};
use super::settings::{DeclaredToken, Settings};
use crate::error::{Error, Result};

const FILE: &str = "tokenizer.model";
const REMEDY: &str = "Fetch the file again, or use the one of the original checkpoint";

/// A SentencePiece BPE model.
#[derive(Debug, Clone)]
pub(super) struct SentencePiece {
    pieces: Vec<Piece>,
    index: PieceIndex,
    /// Pieces that are cut out of the text before anything is merged.
    user_defined: BTreeSet<String>,
    /// The token of each byte, where unknown characters are written in bytes.
    byte_ids: Option<Vec<u32>>,
    unknown: u32,
    normalizer: Normalizer,
}

#[derive(Debug, Clone)]
struct Piece {
    text: String,
    score: f32,
    kind: PieceType,
}

/// Reads the model into what encodes text, and into how its pieces spell text; fills in the settings that
/// `LlamaTokenizer` has by default.
pub(super) fn read(bytes: &[u8], settings: &mut Settings) -> Result<(SentencePiece, PieceDecoder)> {
    let proto: ModelProto = prost::Message::decode(bytes).map_err(|error| invalid("protobuf", error))?;
    let trainer = proto.trainer_spec.clone().unwrap_or_default();
    let mut model = SentencePiece::new(proto)?;
    add_defaults(settings, &trainer, &model);
    let spelling = model.spelling();
    if settings.legacy == Some(false) {
        model.normalizer.add_dummy_prefix = false;
    }
    Ok((model, spelling))
}

fn invalid(field: &str, problem: impl std::fmt::Display) -> Error {
    Error::invalid(FILE, field, problem, REMEDY)
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(
        FILE,
        what,
        "Use a checkpoint with a tokenizer.json; transformers writes one from this file with save_pretrained",
    )
}

/// What `LlamaTokenizer` assumes where `tokenizer_config.json` says nothing.
fn add_defaults(settings: &mut Settings, trainer: &TrainerSpec, model: &SentencePiece) {
    for (name, piece) in [
        ("unk_token", trainer.unk_piece()),
        ("bos_token", trainer.bos_piece()),
        ("eos_token", trainer.eos_piece()),
    ] {
        if !settings.named_tokens.contains_key(name) && model.id_of(piece).is_some() {
            settings.named_tokens.insert(name.to_owned(), Value::from(piece));
        }
        let text = settings.named_token(name).unwrap_or_default();
        let declared = settings.declared_tokens.iter().any(|declared| declared.token.content == text);
        if let Some(id) = model.id_of(text).filter(|_| !declared) {
            let token = AddedToken::from(text, true);
            settings.declared_tokens.push(DeclaredToken { id, token });
        }
    }
    settings.add_bos_token.get_or_insert(true);
    settings.add_eos_token.get_or_insert(false);
}

impl SentencePiece {
    pub(super) fn new(proto: ModelProto) -> Result<Self> {
        let trainer = proto.trainer_spec.unwrap_or_default();
        match trainer.model_type() {
            ModelType::Bpe => {}
            other => return Err(unsupported(&format!("a SentencePiece model of type {other:?}"))),
        }
        if trainer.treat_whitespace_as_suffix() {
            return Err(unsupported("treat_whitespace_as_suffix"));
        }
        if proto.denormalizer_spec.as_ref().is_some_and(|spec| !spec.precompiled_charsmap().is_empty()) {
            return Err(unsupported("a denormalizer"));
        }
        let pieces = read_pieces(proto.pieces)?;
        let index = PieceIndex::new(pieces.iter().map(|piece| piece.text.as_str()))
            .map_err(|id| invalid("pieces", format!("{:?} is there twice", pieces[id as usize].text)))?;
        let of_kind = |kind| (0u32..).zip(&pieces).filter(move |(_, piece)| piece.kind == kind);
        let Some((unknown, _)) = of_kind(PieceType::Unknown).next() else {
            return Err(invalid("pieces", "none is the unknown piece"));
        };
        let user_defined: BTreeSet<String> =
            of_kind(PieceType::UserDefined).map(|(_, piece)| piece.text.clone()).collect();
        let normalizer = Normalizer::new(proto.normalizer_spec.as_ref(), &user_defined)?;
        let mut model = Self { pieces, index, user_defined, byte_ids: None, unknown, normalizer };
        if trainer.byte_fallback() {
            model.byte_ids = Some(model.read_byte_ids()?);
        }
        Ok(model)
    }

    fn read_byte_ids(&self) -> Result<Vec<u32>> {
        let id = |byte: u8| {
            let name = format!("<0x{byte:02X}>");
            let id = self.id_of(&name).filter(|id| self.pieces[*id as usize].kind == PieceType::Byte);
            id.ok_or_else(|| invalid("pieces", format!("byte_fallback is set, but there is no byte {name}")))
        };
        debug_assert!((0..=255u8).all(|byte| byte_piece(&format!("<0x{byte:02X}>")) == Some(byte)));
        (0..=255).map(id).collect()
    }

    /// How the pieces spell text.
    pub(super) fn spelling(&self) -> PieceDecoder {
        PieceDecoder::sentencepiece(self.normalizer.dropped_at_start())
    }

    /// All pieces, by id.
    pub(super) fn pieces(&self) -> impl ExactSizeIterator<Item = &str> {
        self.pieces.iter().map(|piece| piece.text.as_str())
    }

    pub(super) fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize).map(|piece| piece.text.as_str())
    }

    pub(super) fn id_of(&self, piece: &str) -> Option<u32> {
        self.index.find(piece, |id| self.piece(id))
    }

    /// The pieces that mark something and stand for no text, such as `<s>`.
    pub(super) fn control_ids(&self) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.pieces).filter(|(_, piece)| piece.kind == PieceType::Control).map(|(id, _)| id)
    }

    /// The tokens of a stretch of text without special tokens in it.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let text = self.normalizer.normalize(text);
        let mut ids = Vec::with_capacity(text.len() / 3);
        let mut in_unknown = false;
        for symbol in self.merge(&text) {
            let id = self.id_of(symbol).filter(|id| *id != self.unknown);
            match (id, &self.byte_ids) {
                (Some(id), _) => ids.push(id),
                (None, Some(byte_ids)) => ids.extend(symbol.bytes().map(|byte| byte_ids[usize::from(byte)])),
                // Neighbouring unknown characters are one unknown token.
                (None, None) if !in_unknown => ids.push(self.unknown),
                (None, None) => {}
            }
            in_unknown = id.is_none();
        }
        ids
    }
}

fn read_pieces(pieces: Vec<proto::Piece>) -> Result<Vec<Piece>> {
    let piece = |(id, piece): (usize, proto::Piece)| {
        let field = format!("pieces[{id}]");
        let kind = PieceType::try_from(piece.r#type.unwrap_or(PieceType::Normal as i32))
            .map_err(|_| invalid(&field, "its type is unknown"))?;
        if piece.text().is_empty() {
            return Err(invalid(&field, "it is empty"));
        }
        if !piece.score().is_finite() {
            return Err(invalid(&field, "its score is not a number"));
        }
        Ok(Piece { score: piece.score(), text: piece.text.unwrap_or_default(), kind })
    };
    pieces.into_iter().enumerate().map(piece).collect()
}
