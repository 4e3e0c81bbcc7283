//! What a tensor's name says: which module of the decoder it belongs to, and as what.

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::decoder::{AttentionSpec, BlockSpec};
use crate::model::families::TensorNames;
use crate::model::network::{MatrixId, Projection, VectorId};

/// A module of the checkpoint. The names beside them are those of Hugging Face's Llama.
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

    fn path(self, names: &TensorNames) -> &'static str {
        match self {
            Self::Query => names.query,
            Self::Key => names.key,
            Self::Value => names.value,
            Self::Output => names.output,
            Self::Gate => names.gate,
            Self::Up => names.up,
            Self::Down => names.down,
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

    fn has_bias(self, block: &BlockSpec) -> bool {
        let attention = |wanted: fn(&AttentionSpec) -> bool| block.attention().is_some_and(wanted);
        match self {
            Self::Query | Self::Key | Self::Value => attention(|attention| attention.qkv_bias),
            Self::Output => attention(|attention| attention.output_bias),
            Self::Gate | Self::Up | Self::Down => block.feed_forward.bias,
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
            .chain((!config.decoder.tied_embeddings).then_some(Self::Head))
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
        match self {
            Self::Linear(block, linear) => {
                config.decoder.blocks.get(block).is_some_and(|block| linear.has_bias(block))
            }
            _ => false,
        }
    }

    fn parse(path: &str, names: &TensorNames) -> Option<Self> {
        let outside = [
            (names.embedding, Self::Embedding),
            (names.final_norm, Self::FinalNorm),
            (names.head, Self::Head),
        ];
        if let Some((_, module)) = outside.into_iter().find(|(name, _)| *name == path) {
            return Some(module);
        }
        let (block, rest) = path.strip_prefix(names.block)?.split_once('.')?;
        let index: usize = block.parse().ok()?;
        // "007" and "+7" parse, too, but are not names of block 7.
        if index.to_string() != block {
            return None;
        }
        if rest == names.attention_norm {
            return Some(Self::AttentionNorm(index));
        }
        if rest == names.feed_forward_norm {
            return Some(Self::FeedForwardNorm(index));
        }
        let linear = Linear::ALL.into_iter().find(|linear| linear.path(names) == rest)?;
        Some(Self::Linear(index, linear))
    }

    /// Its path in a checkpoint of this configuration, such as `model.layers.0.mlp.up_proj`.
    pub fn path(self, config: &Config) -> String {
        let names = &config.family.tensors;
        let of_block = |block: usize, name: &str| format!("{}{block}.{name}", names.block);
        match self {
            Self::Embedding => names.embedding.to_owned(),
            Self::Head => names.head.to_owned(),
            Self::FinalNorm => names.final_norm.to_owned(),
            Self::AttentionNorm(block) => of_block(block, names.attention_norm),
            Self::FeedForwardNorm(block) => of_block(block, names.feed_forward_norm),
            Self::Linear(block, linear) => of_block(block, linear.path(names)),
        }
    }

    fn block(self) -> Option<usize> {
        match self {
            Self::AttentionNorm(block) | Self::FeedForwardNorm(block) | Self::Linear(block, _) => Some(block),
            Self::Embedding | Self::Head | Self::FinalNorm => None,
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

impl Name {
    /// The tensor's name in a checkpoint of this configuration.
    pub fn path(self, config: &Config) -> String {
        format!("{}.{}", self.module.path(config), self.field.suffix())
    }

    fn parse(tensor: &str, names: &TensorNames) -> Option<Self> {
        let (path, suffix) = tensor.rsplit_once('.')?;
        let field = [Field::Weight, Field::Scales, Field::Biases, Field::Bias]
            .into_iter()
            .find(|field| field.suffix() == suffix)?;
        Some(Self { module: Module::parse(path, names)?, field })
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
                format!("It is not part of a {} decoder with this config.json", config.family.name),
            ))
        };
        let Some(name) = Name::parse(tensor, &config.family.tensors) else { return unknown("") };
        if name.module.block().is_some_and(|block| block >= config.num_hidden_layers) {
            return unknown(&format!(" beyond num_hidden_layers ({})", config.num_hidden_layers));
        }
        match (name.module, name.field) {
            (Module::Head, Field::Weight | Field::Scales | Field::Biases)
                if config.decoder.tied_embeddings =>
            {
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
