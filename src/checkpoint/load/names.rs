//! What a tensor's name says: which module of the decoder it belongs to, and as what.

use std::fmt;

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::network::{MatrixId, Projection, VectorId};

/// A module of the checkpoint, under the names of Hugging Face's Llama.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Module {
    /// `model.embed_tokens`
    Embedding,
    /// `lm_head`
    Head,
    /// `model.norm`
    FinalNorm,
    /// `model.layers.N.input_layernorm`
    AttentionNorm(usize),
    /// `model.layers.N.post_attention_layernorm`
    FeedForwardNorm(usize),
    /// `model.layers.N.self_attn.q_proj` and its like.
    Linear(usize, Linear),
}

/// The matrices of a block as checkpoints store them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Linear {
    /// `self_attn.q_proj`
    Query,
    /// `self_attn.k_proj`
    Key,
    /// `self_attn.v_proj`
    Value,
    /// `self_attn.o_proj`
    Output,
    /// `mlp.gate_proj`
    Gate,
    /// `mlp.up_proj`
    Up,
    /// `mlp.down_proj`
    Down,
}

/// As what a tensor belongs to its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// `.weight`: floats, or packed integers.
    Weight,
    /// `.scales` of a quantised weight.
    Scales,
    /// `.biases` of a quantised weight's groups.
    Biases,
    /// `.bias`, added to the products.
    Bias,
}

/// A tensor's place in the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The module.
    pub module: Module,
    /// As what.
    pub field: Field,
}

/// What the loader does with a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is part of the network.
    Used(Name),
    /// It is known and not needed.
    Surplus,
}

impl Linear {
    const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    fn path(self) -> &'static str {
        match self {
            Self::Query => "self_attn.q_proj",
            Self::Key => "self_attn.k_proj",
            Self::Value => "self_attn.v_proj",
            Self::Output => "self_attn.o_proj",
            Self::Gate => "mlp.gate_proj",
            Self::Up => "mlp.up_proj",
            Self::Down => "mlp.down_proj",
        }
    }

    /// The joint projection that it is a part of, and which part.
    pub fn part_of(self) -> (Projection, usize) {
        match self {
            Self::Query => (Projection::Qkv, 0),
            Self::Key => (Projection::Qkv, 1),
            Self::Value => (Projection::Qkv, 2),
            Self::Output => (Projection::Output, 0),
            Self::Gate => (Projection::GateUp, 0),
            Self::Up => (Projection::GateUp, 1),
            Self::Down => (Projection::Down, 0),
        }
    }

    fn has_bias(self, config: &Config) -> bool {
        match self {
            Self::Query | Self::Key | Self::Value | Self::Output => config.attention_bias,
            Self::Gate | Self::Up | Self::Down => config.mlp_bias,
        }
    }
}

impl Module {
    /// All that a checkpoint with this configuration has.
    pub fn all(config: &Config) -> impl Iterator<Item = Self> {
        let blocks = (0..config.num_hidden_layers).flat_map(|block| {
            [Self::AttentionNorm(block), Self::FeedForwardNorm(block)]
                .into_iter()
                .chain(Linear::ALL.map(|linear| Self::Linear(block, linear)))
        });
        [Self::Embedding, Self::FinalNorm]
            .into_iter()
            .chain((!config.tied_embeddings).then_some(Self::Head))
            .chain(blocks)
    }

    /// Rows and columns of its weight; a norm has one row.
    pub fn shape(self, config: &Config) -> (usize, usize) {
        let hidden = config.hidden_size;
        match self {
            Self::Embedding | Self::Head => (config.vocab_size, hidden),
            Self::FinalNorm | Self::AttentionNorm(_) | Self::FeedForwardNorm(_) => (1, hidden),
            Self::Linear(_, linear) => match linear {
                Linear::Query => (config.query_width(), hidden),
                Linear::Key | Linear::Value => (config.kv_width(), hidden),
                Linear::Output => (hidden, config.query_width()),
                Linear::Gate | Linear::Up => (config.intermediate_size, hidden),
                Linear::Down => (hidden, config.intermediate_size),
            },
        }
    }

    /// The matrix that its weight is, or is a part of, and which part; `None` for a norm.
    pub fn matrix(self) -> Option<(MatrixId, usize)> {
        match self {
            Self::Embedding => Some((MatrixId::Embedding, 0)),
            Self::Head => Some((MatrixId::Head, 0)),
            Self::Linear(block, linear) => {
                let (projection, part) = linear.part_of();
                Some((MatrixId::Block(block, projection), part))
            }
            Self::FinalNorm | Self::AttentionNorm(_) | Self::FeedForwardNorm(_) => None,
        }
    }

    /// The vector that a norm's weight is.
    pub fn norm(self) -> Option<VectorId> {
        match self {
            Self::FinalNorm => Some(VectorId::FinalNorm),
            Self::AttentionNorm(block) => Some(VectorId::AttentionNorm(block)),
            Self::FeedForwardNorm(block) => Some(VectorId::FeedForwardNorm(block)),
            Self::Embedding | Self::Head | Self::Linear(..) => None,
        }
    }

    /// Whether the configuration gives it a bias.
    pub fn has_bias(self, config: &Config) -> bool {
        matches!(self, Self::Linear(_, linear) if linear.has_bias(config))
    }

    fn parse(path: &str) -> Option<Self> {
        match path {
            "model.embed_tokens" => return Some(Self::Embedding),
            "model.norm" => return Some(Self::FinalNorm),
            "lm_head" => return Some(Self::Head),
            _ => {}
        }
        let (block, rest) = path.strip_prefix("model.layers.")?.split_once('.')?;
        let index: usize = block.parse().ok()?;
        // "007" and "+7" parse, too, but are not names of block 7.
        if index.to_string() != block {
            return None;
        }
        match rest {
            "input_layernorm" => Some(Self::AttentionNorm(index)),
            "post_attention_layernorm" => Some(Self::FeedForwardNorm(index)),
            _ => Linear::ALL
                .into_iter()
                .find(|linear| linear.path() == rest)
                .map(|linear| Self::Linear(index, linear)),
        }
    }

    fn block(self) -> Option<usize> {
        match self {
            Self::AttentionNorm(block) | Self::FeedForwardNorm(block) | Self::Linear(block, _) => Some(block),
            Self::Embedding | Self::Head | Self::FinalNorm => None,
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedding => f.write_str("model.embed_tokens"),
            Self::Head => f.write_str("lm_head"),
            Self::FinalNorm => f.write_str("model.norm"),
            Self::AttentionNorm(block) => write!(f, "model.layers.{block}.input_layernorm"),
            Self::FeedForwardNorm(block) => write!(f, "model.layers.{block}.post_attention_layernorm"),
            Self::Linear(block, linear) => write!(f, "model.layers.{block}.{}", linear.path()),
        }
    }
}

impl Field {
    fn suffix(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Scales => "scales",
            Self::Biases => "biases",
            Self::Bias => "bias",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.field.suffix())
    }
}

impl Name {
    fn parse(tensor: &str) -> Option<Self> {
        let (path, suffix) = tensor.rsplit_once('.')?;
        let field = [Field::Weight, Field::Scales, Field::Biases, Field::Bias]
            .into_iter()
            .find(|field| field.suffix() == suffix)?;
        Some(Self { module: Module::parse(path)?, field })
    }
}

impl Role {
    /// What to do with the tensor `tensor` of `file`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a tensor that the network has no place for: to leave it out would change what
    /// the model computes.
    pub fn of(tensor: &str, file: &str, config: &Config) -> Result<Self> {
        // Old checkpoints store the rotary frequencies, which follow from the configuration.
        if tensor.ends_with(".rotary_emb.inv_freq") {
            return Ok(Self::Surplus);
        }
        let unknown = |why: &str| {
            Err(Error::unsupported(
                file,
                format!("tensor {tensor}{why}"),
                "It is not part of a Llama decoder with this config.json",
            ))
        };
        let Some(name) = Name::parse(tensor) else { return unknown("") };
        if name.module.block().is_some_and(|block| block >= config.num_hidden_layers) {
            return unknown(&format!(" beyond num_hidden_layers ({})", config.num_hidden_layers));
        }
        match (name.module, name.field) {
            (Module::Head, Field::Weight | Field::Scales | Field::Biases) if config.tied_embeddings => {
                Ok(Self::Surplus)
            }
            (module, Field::Bias) if !module.has_bias(config) => {
                unknown(" (a bias that it does not announce)")
            }
            (module, Field::Scales | Field::Biases) if module.norm().is_some() => unknown(" of a norm"),
            _ => Ok(Self::Used(name)),
        }
    }
}
