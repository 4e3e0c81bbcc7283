//! Families of decoders, as data: one small file a family says which `config.json` it serves, which of its fields it reads,
//! which change nothing, and what its tensors are called.
//!
//! The list of fields is an allow-list. A field that is on no list is accepted only where it is null or false, or has the value
//! with which it does nothing: a new kind of model must not run silently wrong. [`Family::check`] refuses the others by name.

mod fields;
mod gemma3;
pub(crate) mod gguf;
mod granite;
mod layers;
mod lfm2;
mod llama;
mod llama4;
mod mistral;
mod mobilellm;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod smollm3;
mod tensors;

pub(crate) use tensors::TensorNames;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::decoder::{
    ActivationFunction, AttentionSpec, Biases, BlockSpec, DecoderSpec, Mixer, Norms, Window,
};
use crate::model::fields::Fields;
use crate::model::rope::{Rope, RopeRules};

/// All families. A configuration without a `model_type` is Llama's.
const ALL: &[&Family] = &[
    &llama::FAMILY,
    &mobilellm::FAMILY,
    &qwen2::FAMILY,
    &qwen3::FAMILY,
    &smollm3::FAMILY,
    &granite::FAMILY,
    &granite::HYBRID,
    &olmo2::FAMILY,
    &gemma3::FAMILY,
    &mistral::FAMILY,
    &phi3::FAMILY,
    &llama4::FAMILY,
    &lfm2::FAMILY,
];

/// A family of decoders.
#[derive(Debug)]
pub(crate) struct Family {
    /// What people call it.
    pub(crate) name: &'static str,
    /// The values of `model_type` that it serves.
    model_types: &'static [&'static str],
    /// The field that names its activation function, and the one that it has where the field is absent.
    activation: (&'static str, ActivationFunction),
    /// Whether the output matrix is the embedding where `tie_word_embeddings` is absent.
    tied: bool,
    /// The field of the norms' epsilon, and its value where it is absent.
    epsilon: (&'static str, f64),
    /// The width of a head where `head_dim` is absent; `None` divides `hidden_size` by the number of heads.
    head_dim: Option<usize>,
    /// What its rotary embedding may be.
    rope: RopeRules,
    /// Width of the gated activation.
    feed_forward_width: fn(&Fields) -> Result<usize>,
    /// Fields that it reads beside those that every family reads.
    reads: &'static [&'static str],
    /// Fields that change nothing, beside those that change nothing for any family.
    harmless: &'static [&'static str],
    /// Fields that do nothing with one value and are not computed with another.
    neutral: &'static [(&'static str, Neutral)],
    /// What its decoder computes, by its configuration, beside what every family reads.
    decoder: fn(&Fields, Sizes, DecoderSpec) -> Result<DecoderSpec>,
    /// What its tensors are called.
    pub(crate) tensors: TensorNames,
    /// How files of llama.cpp name it and what they say of it; several entries where it has several names there.
    gguf: &'static [gguf::Architecture],
}

/// Sizes of a decoder that what it computes depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Width of the residual stream.
    pub(super) hidden_size: usize,
    /// Blocks that are stored.
    pub(super) num_hidden_layers: usize,
    /// Width of a head.
    pub(super) head_dim: usize,
}

/// The value with which a field does nothing; null and false always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Neutral {
    /// Zero, or an empty list.
    Zero,
    /// One: it is a factor.
    One,
    /// A list that holds nothing but this text, once a layer.
    Each(&'static str),
}

impl Neutral {
    /// What a person may write.
    fn words(self) -> String {
        match self {
            Self::Zero => "0, or an empty list".to_owned(),
            Self::One => "1".to_owned(),
            Self::Each(text) => format!("a list of \"{text}\""),
        }
    }

    fn is(self, value: &Value) -> bool {
        match self {
            Self::Zero => value.as_f64() == Some(0.0) || value.as_array().is_some_and(Vec::is_empty),
            Self::One => value.as_f64() == Some(1.0),
            Self::Each(text) => {
                value.as_array().is_some_and(|list| list.iter().all(|item| item.as_str() == Some(text)))
            }
        }
    }
}

impl Family {
    /// The family that a configuration names.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a `model_type` that none serves.
    pub(super) fn of(fields: &Fields) -> Result<&'static Self> {
        let Some(model_type) = fields.text("model_type")? else { return Ok(&llama::FAMILY) };
        ALL.iter()
            .copied()
            .find(|family| family.model_types.contains(&model_type))
            .ok_or_else(|| fields.unsupported(format!("model_type {model_type}"), supported()))
    }

    /// The `model_type` of a configuration that has none.
    pub(super) fn model_type(&self) -> &'static str {
        self.model_types.first().copied().unwrap_or_default()
    }

    /// Refuses, by name, what the configuration asks for and the family does not compute. `ignored` are fields that the caller
    /// takes responsibility for.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(super) fn check(&self, fields: &Fields, ignored: &[String]) -> Result<()> {
        fields::refuse_foreign_quantization(fields)?;
        let windows_off = fields::windows_are_off(fields)?;
        let unknown = fields.iter().find(|(field, value)| {
            let known = self.knows(field) || ignored.iter().any(|name| name == field);
            let window = windows_off && fields::OF_WINDOWS.contains(field);
            !(known
                || window
                || value.is_null()
                || **value == Value::Bool(false)
                || self.is_neutral(field, value))
        });
        match unknown {
            None => Ok(()),
            Some((field, value)) => Err(self.refused(fields, field, value)),
        }
    }

    /// What a decoder of this configuration computes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the configuration contradicts itself.
    pub(super) fn decoder(&self, fields: &Fields, sizes: Sizes, rope: &Rope) -> Result<DecoderSpec> {
        rope.check(fields, sizes.head_dim)?;
        let plain = self.plain_decoder(fields, sizes, rope)?;
        (self.decoder)(fields, sizes, plain)
    }

    /// Its rotary embedding; that of the layers that see all positions, where others have another.
    ///
    /// # Errors
    /// [`Error::Invalid`], or [`Error::Unsupported`] for a kind that is not computed.
    pub(super) fn rope(&self, fields: &Fields) -> Result<Rope> {
        Rope::read(fields, self.rope)
    }

    /// Epsilon of its norms.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is not a number.
    pub(super) fn epsilon(&self, fields: &Fields) -> Result<f64> {
        let (field, default) = self.epsilon;
        fields.number_or(field, default)
    }

    /// Width of the gated activation.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(super) fn feed_forward_width(&self, fields: &Fields) -> Result<usize> {
        (self.feed_forward_width)(fields)
    }

    /// Width of a head.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(super) fn head_dim(&self, fields: &Fields) -> Result<Option<usize>> {
        Ok(fields.optional_size("head_dim", 1 << 10)?.or(self.head_dim))
    }

    /// The decoder of a configuration that has no fields of its family's own: all blocks are Llama's.
    fn plain_decoder(&self, fields: &Fields, sizes: Sizes, rope: &Rope) -> Result<DecoderSpec> {
        let attention = AttentionSpec {
            window: Window::Full,
            rotary: Some(0),
            query_key_norm: None,
            scale: 1.0 / (sizes.head_dim as f32).sqrt(),
            temperature: None,
        };
        let block = BlockSpec {
            mixer: Mixer::Attention(attention),
            activation: self.activation(fields)?,
            norms: Norms::Before,
            biases: Biases::new(fields.flag("attention_bias", false)?, fields.flag("mlp_bias", false)?),
            residual_scale: 1.0,
            runs: 1,
            shared_kv: false,
        };
        Ok(DecoderSpec {
            blocks: vec![block; sizes.num_hidden_layers],
            tied_embeddings: fields.flag("tie_word_embeddings", self.tied)?,
            embedding_scale: 1.0,
            logit_scale: 1.0,
            logit_softcap: None,
            norm_offset: 0.0,
            rotary: vec![rope.rotary(sizes.head_dim)],
            rotary_pairs: rope.halves(sizes.head_dim),
        })
    }

    fn activation(&self, fields: &Fields) -> Result<ActivationFunction> {
        let (field, default) = self.activation;
        match fields.text(field)? {
            None => Ok(default),
            Some("silu" | "swish") => Ok(ActivationFunction::Silu),
            Some("gelu_pytorch_tanh" | "gelu_new") => Ok(ActivationFunction::GeluTanh),
            Some(other) => Err(fields.unsupported(
                format!("{} {other}", fields.name(field)),
                "The activation function must be silu (swish) or gelu_pytorch_tanh (gelu_new)",
            )),
        }
    }

    fn knows(&self, field: &str) -> bool {
        [fields::READ, fields::HARMLESS, self.reads, self.harmless].iter().any(|list| list.contains(&field))
    }

    fn is_neutral(&self, field: &str, value: &Value) -> bool {
        self.neutral_value(field).is_some_and(|neutral| neutral.is(value))
    }

    /// The value with which a field does nothing, where the engine knows one.
    fn neutral_value(&self, field: &str) -> Option<Neutral> {
        let mut neutral = self.neutral.iter().chain(fields::NEUTRAL);
        neutral.find(|(name, _)| *name == field).map(|(_, neutral)| *neutral)
    }

    fn refused(&self, fields: &Fields, field: &str, value: &Value) -> Error {
        let only = self
            .neutral_value(field)
            .map_or_else(String::new, |value| format!("; only {} is", value.words()));
        let remedy = format!(
            "The engine does not compute that for {}{only}. If you know that the field changes nothing, ignore it: \
             `--ignore-config-field {field}` on the command line, `ignoreConfigFields` in JavaScript. {}",
            self.name,
            supported()
        );
        fields.unsupported(format!("{} {}", fields.name(field), fields::shown(field, value)), remedy)
    }
}

/// Where most configurations have it.
fn intermediate_size(fields: &Fields) -> Result<usize> {
    fields.size("intermediate_size", MAX_WIDTH)
}

/// Wider than any feed-forward part.
const MAX_WIDTH: usize = 1 << 20;

/// Two configurations of one family have the same family.
impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

fn supported() -> String {
    let names: Vec<_> = ALL.iter().map(|family| family.name).collect();
    format!("Supported families are {}", names.join(", "))
}
