//! Families of decoders, as data: one small file a family says which `config.json` it serves, which of its fields it reads,
//! which change nothing, and what its tensors are called.
//!
//! The list of fields is an allow-list. A field that is on no list is accepted only where it is null or false, or has the value
//! with which it does nothing: a new kind of model must not run silently wrong. [`Family::check`] refuses the others by name.

mod fields;
mod llama;
mod mobilellm;
mod tensors;

pub(crate) use tensors::TensorNames;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::decoder::{
    ActivationFunction, AttentionSpec, BlockSpec, DecoderSpec, FeedForwardSpec, Mixer, Norms, Window,
};
use crate::model::fields::{FILE, Fields};
use crate::model::rope::Rope;

/// All families. A configuration without a `model_type` is Llama's.
const ALL: &[&Family] = &[&llama::FAMILY, &mobilellm::FAMILY];

/// A family of decoders.
#[derive(Debug)]
pub(crate) struct Family {
    /// What people call it.
    pub(crate) name: &'static str,
    /// The values of `model_type` that it serves.
    model_types: &'static [&'static str],
    /// The values of `hidden_act` that name its activation; it is the first where the field is absent.
    activations: &'static [&'static str],
    /// Fields that it reads beside those that every family reads.
    reads: &'static [&'static str],
    /// Fields that change nothing, beside those that change nothing for any family.
    harmless: &'static [&'static str],
    /// Fields that do nothing with one value and are not computed with another.
    neutral: &'static [(&'static str, Neutral)],
    /// What its decoder computes, by its configuration.
    decoder: fn(&Fields, Sizes, &Rope) -> Result<DecoderSpec>,
    /// What its tensors are called.
    pub(crate) tensors: TensorNames,
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
            .ok_or_else(|| Error::unsupported(FILE, format!("model_type {model_type}"), supported()))
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
        if let Some(activation) = fields.text("hidden_act")?
            && !self.activations.contains(&activation)
        {
            let remedy = format!("The activation of {} must be {}", self.name, self.activations.join(" or "));
            return Err(Error::unsupported(FILE, format!("hidden_act {activation}"), remedy));
        }
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
            Some((field, value)) => Err(self.refused(field, value)),
        }
    }

    /// What a decoder of this configuration computes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the configuration contradicts itself.
    pub(super) fn decoder(&self, fields: &Fields, sizes: Sizes, rope: &Rope) -> Result<DecoderSpec> {
        (self.decoder)(fields, sizes, rope)
    }

    /// Its rotary embedding.
    ///
    /// # Errors
    /// [`Error::Invalid`], or [`Error::Unsupported`] for a kind that is not computed.
    #[expect(clippy::unused_self, reason = "families will have bases of their own")]
    pub(super) fn rope(&self, fields: &Fields) -> Result<Rope> {
        Rope::read(fields, 10_000.0)
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

    fn refused(&self, field: &str, value: &Value) -> Error {
        let only = self
            .neutral_value(field)
            .map_or_else(String::new, |value| format!("; only {} is", value.words()));
        let remedy = format!(
            "The engine does not compute that for {}{only}. If you know that the field changes nothing, ignore it: \
             `--ignore-config-field {field}` on the command line, `ignoreConfigFields` in JavaScript. {}",
            self.name,
            supported()
        );
        Error::unsupported(FILE, format!("{field} {}", fields::shown(field, value)), remedy)
    }
}

/// The decoder of a configuration that has no fields of its family's own: all blocks are Llama's.
///
/// # Errors
/// [`Error::Invalid`] for a flag that is neither true nor false.
fn plain_decoder(fields: &Fields, sizes: Sizes, rope: &Rope) -> Result<DecoderSpec> {
    let attention_bias = fields.flag("attention_bias", false)?;
    let attention = AttentionSpec {
        qkv_bias: attention_bias,
        output_bias: attention_bias,
        window: Window::Full,
        rotary: Some(0),
        query_key_norm: None,
        scale: 1.0 / (sizes.head_dim as f32).sqrt(),
        temperature: None,
    };
    let feed_forward =
        FeedForwardSpec { activation: ActivationFunction::Silu, bias: fields.flag("mlp_bias", false)? };
    let block = BlockSpec {
        mixer: Mixer::Attention(attention),
        feed_forward,
        norms: Norms::Before,
        residual_scale: 1.0,
        runs: 1,
        shared_kv: false,
    };
    Ok(DecoderSpec {
        blocks: vec![block; sizes.num_hidden_layers],
        tied_embeddings: fields.flag("tie_word_embeddings", false)?,
        embedding_scale: 1.0,
        logit_scale: 1.0,
        logit_softcap: None,
        norm_offset: 0.0,
        rotary: vec![rope.rotary(sizes.head_dim)],
        rotary_pairs: rope.halves(sizes.head_dim),
    })
}

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
