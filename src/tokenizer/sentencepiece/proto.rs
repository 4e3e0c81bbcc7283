//! The fields of `sentencepiece_model.proto` that decide how text is encoded; all others are skipped.

/// A whole `tokenizer.model`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::tokenizer) struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::tokenizer) pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    pub(in crate::tokenizer) trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    pub(in crate::tokenizer) normalizer_spec: Option<NormalizerSpec>,
    #[prost(message, optional, tag = "5")]
    pub(in crate::tokenizer) denormalizer_spec: Option<NormalizerSpec>,
}

/// `SentencePiece`: one piece of the vocabulary.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::tokenizer) struct Piece {
    #[prost(string, optional, tag = "1")]
    pub(in crate::tokenizer) text: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub(in crate::tokenizer) score: Option<f32>,
    #[prost(enumeration = "PieceType", optional, tag = "3")]
    pub(in crate::tokenizer) r#type: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(in crate::tokenizer) enum PieceType {
    Normal = 1,
    Unknown = 2,
    /// Marks something and stands for no text: `<s>`.
    Control = 3,
    /// Always cut out whole.
    UserDefined = 4,
    /// Takes part in merging, but is taken apart again.
    Unused = 5,
    /// `<0x00>` to `<0xFF>`.
    Byte = 6,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::tokenizer) struct TrainerSpec {
    #[prost(enumeration = "ModelType", optional, tag = "3", default = "Unigram")]
    pub(in crate::tokenizer) model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    pub(in crate::tokenizer) treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    pub(in crate::tokenizer) byte_fallback: Option<bool>,
    #[prost(string, optional, tag = "45", default = "<unk>")]
    pub(in crate::tokenizer) unk_piece: Option<String>,
    #[prost(string, optional, tag = "46", default = "<s>")]
    pub(in crate::tokenizer) bos_piece: Option<String>,
    #[prost(string, optional, tag = "47", default = "</s>")]
    pub(in crate::tokenizer) eos_piece: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(in crate::tokenizer) enum ModelType {
    Unigram = 1,
    Bpe = 2,
    Word = 3,
    Char = 4,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::tokenizer) struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(in crate::tokenizer) precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3", default = "true")]
    pub(in crate::tokenizer) add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4", default = "true")]
    pub(in crate::tokenizer) remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    pub(in crate::tokenizer) escape_whitespaces: Option<bool>,
}
