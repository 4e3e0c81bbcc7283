//! What a checkpoint's `config.json` says, checked before any weight is read.

mod quantization;

pub use super::fields::FILE;
pub(crate) use super::fields::token_ids;
pub use super::rope::{Rope, RopeScaling};
pub use quantization::{BitsAndGroup, Quantization};

use crate::error::Result;
use crate::model::decoder::{CacheSpec, DecoderSpec};
use crate::model::families::gguf::GgufModel;
use crate::model::families::{Family, Sizes, TensorNames};
use crate::model::fields::Fields;

/// Far beyond what any machine runs this engine with; a configuration that claims more is a mistake or an attack.
const MAX_PARAMETERS: u64 = 1 << 37;

/// The shape of a Llama-like decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What it calls itself, such as `llama`.
    pub model_type: String,
    /// What people call it, and what it accepts.
    pub(crate) family: &'static Family,
    /// What its tensors are called.
    pub(crate) tensors: TensorNames,
    /// What describes the network, for error messages: `config.json`, or the metadata of a GGUF file.
    pub(crate) described_by: &'static str,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward activation.
    pub intermediate_size: usize,
    /// Blocks that the checkpoint stores.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key/value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Positions that the model was trained for.
    pub max_position_embeddings: usize,
    /// Epsilon of every RMSNorm.
    pub rms_norm_eps: f32,
    /// Rotary embedding; that of the blocks that see all positions, where others have another.
    pub rope: Rope,
    /// What the network computes.
    pub decoder: DecoderSpec,
    /// How the checkpoint's own tensors are quantised, where they are.
    pub quantization: Option<Quantization>,
    /// Token put before every text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a generation.
    pub eos_token_ids: Vec<u32>,
}

impl Config {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where the file contradicts itself, [`crate::Error::Unsupported`] by name where it asks for
    /// what the engine does not do.
    pub fn parse(json: &[u8]) -> Result<Self> {
        Self::parse_ignoring(json, &[])
    }

    /// The same with fields that are passed over although nobody here knows what they mean.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_ignoring(json: &[u8], ignored: &[String]) -> Result<Self> {
        Self::of(&Fields::parse(json)?, ignored)
    }

    /// The same of a file of llama.cpp, which says in its metadata what `config.json` would say.
    pub(crate) fn of_gguf(model: &GgufModel<'_>, ignored: &[String]) -> Result<Self> {
        let (architecture, fields) = model.fields()?;
        let mut config = Self::of(&fields, ignored)?;
        config.tensors = architecture.tensors;
        config.described_by = "the metadata";
        if let Some(pairs) = architecture.rotary_pairs {
            config.decoder.rotary_pairs = pairs;
        }
        config.decoder.norm_offset = architecture.norm_offset.unwrap_or(config.decoder.norm_offset);
        Ok(config)
    }

    fn of(fields: &Fields, ignored: &[String]) -> Result<Self> {
        let family = Family::of(fields)?;
        family.check(fields, ignored)?;
        let num_heads = fields.size("num_attention_heads", 1 << 10)?;
        let hidden_size = fields.size("hidden_size", 1 << 16)?;
        let num_hidden_layers = fields.size("num_hidden_layers", 1 << 10)?;
        let head_dim = match family.head_dim(fields)? {
            Some(head_dim) => head_dim,
            None if hidden_size.is_multiple_of(num_heads) => hidden_size / num_heads,
            None => {
                return Err(fields.invalid(
                    "hidden_size",
                    format!("{hidden_size} is not a multiple of num_attention_heads ({num_heads}) and head_dim is not given"),
                ));
            }
        };
        let rope = family.rope(fields)?;
        let sizes = Sizes { hidden_size, num_hidden_layers, head_dim };
        let decoder = family.decoder(fields, sizes, &rope)?;
        let config = Self {
            model_type: fields.text("model_type")?.unwrap_or(family.model_type()).to_owned(),
            family,
            tensors: family.tensors,
            described_by: FILE,
            hidden_size,
            intermediate_size: family.feed_forward_width(fields)?,
            num_hidden_layers,
            num_heads,
            num_kv_heads: fields.size_or("num_key_value_heads", 1 << 10, num_heads)?,
            head_dim,
            vocab_size: fields.size("vocab_size", 1 << 21)?,
            max_position_embeddings: fields.size_or("max_position_embeddings", 1 << 24, 2048)?,
            rms_norm_eps: family.epsilon(fields)? as f32,
            rope,
            decoder,
            quantization: Quantization::read(fields)?,
            bos_token_id: fields.tokens("bos_token_id")?.first().copied(),
            eos_token_ids: fields.tokens("eos_token_id")?,
        };
        config.check(fields)?;
        Ok(config)
    }

    fn check(&self, fields: &Fields) -> Result<()> {
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            return Err(fields.invalid(
                "num_key_value_heads",
                format!("{} does not divide num_attention_heads ({})", self.num_kv_heads, self.num_heads),
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(
                fields.invalid("head_dim", format!("{} is odd, rotary embedding needs pairs", self.head_dim))
            );
        }
        if self.query_width() > 1 << 17 {
            return Err(fields.invalid(
                "head_dim",
                format!("{} heads of {} are absurdly wide", self.num_heads, self.head_dim),
            ));
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps >= 0.0) {
            return Err(fields.invalid("rms_norm_eps", "it must be a number of at least 0"));
        }
        self.check_size(fields)
    }

    /// Each size may be plausible and all of them together absurd: the largest part is then at fault.
    fn check_size(&self, fields: &Fields) -> Result<()> {
        let product = |sizes: [usize; 3]| sizes.iter().map(|n| *n as u64).fold(1, u64::saturating_mul);
        let layers = self.num_hidden_layers;
        let embeddings = if self.decoder.tied_embeddings { 1 } else { 2 };
        let parts = [
            ("vocab_size", product([embeddings, self.vocab_size, self.hidden_size])),
            ("intermediate_size", product([layers, 3 * self.intermediate_size, self.hidden_size])),
            (
                "num_attention_heads",
                product([layers, self.qkv_width() + self.query_width(), self.hidden_size]),
            ),
        ];
        let total = parts.iter().map(|(_, weights)| *weights).fold(0, u64::saturating_add);
        match parts.into_iter().max_by_key(|(_, weights)| *weights) {
            Some((field, weights)) if total > MAX_PARAMETERS => Err(fields.invalid(
                field,
                format!(
                    "with hidden_size {} and {layers} layers the network would have {total} weights, {weights} of them \
                     by this size; no more than {MAX_PARAMETERS} are read",
                    self.hidden_size
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Key/value caches of a sequence.
    pub fn num_kv_caches(&self) -> usize {
        let caches = self.decoder.caches();
        caches.iter().filter(|cache| matches!(cache, CacheSpec::KeyValue { .. })).count()
    }

    /// Width of all query heads.
    pub fn query_width(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Width of all key heads, and of all value heads.
    pub fn kv_width(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// Rows of the joint query, key and value projection.
    pub fn qkv_width(&self) -> usize {
        self.query_width() + 2 * self.kv_width()
    }
}
