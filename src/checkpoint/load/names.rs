//! What a tensor's name says: which module of the decoder it belongs to, and as what.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::decoder::{AttentionSpec, BlockSpec, Mixer, QueryKeyNorm};
use crate::model::families::TensorNames;
use crate::model::network::{MatrixId, Projection, VectorId};

/// A module of the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Module {
    /// Rows of tokens.
    Embedding,
    /// The output matrix.
    Head,
    /// The norm before it.
    FinalNorm,
    /// A norm of a block.
    Norm(usize, Norm),
    /// A matrix of a block.
    Linear(usize, Linear),
    /// The taps of a block's short convolution.
    Convolution(usize),
}

/// The norms of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Norm {
    /// Before attention, or what stands in its place.
    Attention,
    /// After it.
    AttentionPost,
    /// Before the feed-forward part.
    FeedForward,
    /// After it.
    FeedForwardPost,
    /// Of the queries.
    Query,
    /// Of the keys.
    Key,
}

/// The matrices of a block as checkpoints store them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Linear {
    /// Query, key and value rows in one.
    QueryKeyValue,
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// Values.
    Value,
    /// What attention adds.
    Output,
    /// Gate rows and up rows in one.
    GateUp,
    /// What the activation function sees.
    Gate,
    /// What it is multiplied with.
    Up,
    /// What the feed-forward part adds.
    Down,
    /// Gates and inputs of a short convolution.
    ConvolutionIn,
    /// What it adds.
    ConvolutionOut,
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

impl Norm {
    const ALL: [Self; 6] = [
        Self::Attention,
        Self::AttentionPost,
        Self::FeedForward,
        Self::FeedForwardPost,
        Self::Query,
        Self::Key,
    ];

    fn path(self, names: &TensorNames) -> Option<&'static str> {
        match self {
            Self::Attention => names.attention_norm,
            Self::AttentionPost => names.attention_post_norm,
            Self::FeedForward => names.feed_forward_norm,
            Self::FeedForwardPost => names.feed_forward_post_norm,
            Self::Query => names.query_norm,
            Self::Key => names.key_norm,
        }
    }

    fn exists(self, block: &BlockSpec) -> bool {
        let weighted = |attention: &AttentionSpec| {
            matches!(attention.query_key_norm, Some(QueryKeyNorm::Heads | QueryKeyNorm::Rows))
        };
        match self {
            Self::Attention | Self::FeedForward => block.norms.before(),
            Self::AttentionPost | Self::FeedForwardPost => block.norms.after(),
            Self::Query | Self::Key => block.attention().is_some_and(weighted),
        }
    }

    fn width(self, index: usize, config: &Config) -> usize {
        let attention = config.decoder.blocks.get(index).and_then(BlockSpec::attention);
        let rows = attention.is_some_and(|attention| attention.query_key_norm == Some(QueryKeyNorm::Rows));
        match self {
            Self::Query if rows => config.query_width(),
            Self::Key if rows => config.kv_width(),
            Self::Query | Self::Key => config.head_dim,
            _ => config.hidden_size,
        }
    }

    /// Its vector in block `block` of the network.
    fn id(self, block: usize) -> VectorId {
        match self {
            Self::Attention => VectorId::AttentionNorm(block),
            Self::AttentionPost => VectorId::AttentionPostNorm(block),
            Self::FeedForward => VectorId::FeedForwardNorm(block),
            Self::FeedForwardPost => VectorId::FeedForwardPostNorm(block),
            Self::Query => VectorId::QueryNorm(block),
            Self::Key => VectorId::KeyNorm(block),
        }
    }
}

impl Linear {
    const ALL: [Self; 11] = [
        Self::QueryKeyValue,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::GateUp,
        Self::Gate,
        Self::Up,
        Self::Down,
        Self::ConvolutionIn,
        Self::ConvolutionOut,
    ];

    pub(super) fn path(self, names: &TensorNames) -> Option<&'static str> {
        match self {
            Self::QueryKeyValue => names.query_key_value,
            Self::Query => Some(names.query),
            Self::Key => Some(names.key),
            Self::Value => Some(names.value),
            Self::Output => Some(names.output),
            Self::GateUp => names.gate_up,
            Self::Gate => Some(names.gate),
            Self::Up => Some(names.up),
            Self::Down => Some(names.down),
            Self::ConvolutionIn => names.convolution_in,
            Self::ConvolutionOut => names.convolution_out,
        }
    }

    /// The joint projection that it is a part of, and which part.
    pub fn part_of(self) -> (Projection, usize) {
        match self {
            Self::QueryKeyValue | Self::Query => (Projection::Qkv, 0),
            Self::Key => (Projection::Qkv, 1),
            Self::Value => (Projection::Qkv, 2),
            Self::Output => (Projection::Output, 0),
            Self::GateUp | Self::Gate => (Projection::GateUp, 0),
            Self::Up => (Projection::GateUp, 1),
            Self::Down => (Projection::Down, 0),
            Self::ConvolutionIn => (Projection::ConvolutionIn, 0),
            Self::ConvolutionOut => (Projection::ConvolutionOut, 0),
        }
    }

    fn exists(self, block: &BlockSpec, names: &TensorNames) -> bool {
        let attention = block.attention().is_some();
        match self {
            Self::QueryKeyValue => attention && names.query_key_value.is_some(),
            Self::Query | Self::Key | Self::Value => attention && names.query_key_value.is_none(),
            Self::Output => attention,
            Self::GateUp => names.gate_up.is_some(),
            Self::Gate | Self::Up => names.gate_up.is_none(),
            Self::Down => true,
            Self::ConvolutionIn | Self::ConvolutionOut => !attention,
        }
    }

    /// Those that blocks of this configuration have.
    pub(super) fn all_of(config: &Config) -> Vec<Self> {
        let names = &config.tensors;
        let exists = |linear: &Self| config.decoder.blocks.iter().any(|block| linear.exists(block, names));
        Self::ALL.into_iter().filter(exists).collect()
    }

    /// The part of a joint projection with that index.
    pub(crate) fn of_part(projection: Projection, part: usize, config: &Config) -> Option<Self> {
        Self::all_of(config).into_iter().find(|linear| linear.part_of() == (projection, part))
    }

    fn has_bias(self, block: &BlockSpec) -> bool {
        let (projection, part) = self.part_of();
        projection.biases(&block.biases).get(part) == Some(&true)
    }

    /// The field of `config.json` that gives it a bias.
    pub(super) fn bias_field(self) -> &'static str {
        match self {
            Self::QueryKeyValue | Self::Query | Self::Key | Self::Value | Self::Output => "attention_bias",
            Self::GateUp | Self::Gate | Self::Up | Self::Down => "mlp_bias",
            Self::ConvolutionIn | Self::ConvolutionOut => "conv_bias",
        }
    }
}

impl Module {
    /// All that a checkpoint with this configuration has.
    pub fn all(config: &Config) -> impl Iterator<Item = Self> {
        let blocks = (0..config.decoder.blocks.len()).flat_map(|block| Self::of_block(block, config));
        [Self::Embedding, Self::FinalNorm]
            .into_iter()
            .chain((!config.decoder.tied_embeddings).then_some(Self::Head))
            .chain(blocks)
    }

    /// Those of a block.
    fn of_block(index: usize, config: &Config) -> Vec<Self> {
        let Some(block) = config.decoder.blocks.get(index) else { return Vec::new() };
        let norms = Norm::ALL.into_iter().filter(|norm| norm.exists(block));
        let linears = Linear::ALL.into_iter().filter(|linear| linear.exists(block, &config.tensors));
        norms
            .map(|norm| Self::Norm(index, norm))
            .chain(linears.map(|linear| Self::Linear(index, linear)))
            .chain(block.attention().is_none().then_some(Self::Convolution(index)))
            .collect()
    }

    /// Rows and columns of its weight; a norm has one row.
    pub fn shape(self, config: &Config) -> (usize, usize) {
        let hidden = config.hidden_size;
        match self {
            Self::Embedding | Self::Head => (config.vocab_size, hidden),
            Self::FinalNorm => (1, hidden),
            Self::Norm(block, norm) => (1, norm.width(block, config)),
            Self::Convolution(block) => (hidden, kernel_size(block, config)),
            Self::Linear(_, linear) => match linear {
                Linear::QueryKeyValue => (config.qkv_width(), hidden),
                Linear::Query => (config.query_width(), hidden),
                Linear::Key | Linear::Value => (config.kv_width(), hidden),
                Linear::Output => (hidden, config.query_width()),
                Linear::GateUp => (2 * config.intermediate_size, hidden),
                Linear::Gate | Linear::Up => (config.intermediate_size, hidden),
                Linear::Down => (hidden, config.intermediate_size),
                Linear::ConvolutionIn => (3 * hidden, hidden),
                Linear::ConvolutionOut => (hidden, hidden),
            },
        }
    }

    /// The matrix that its weight is, or is a part of, and which part; `None` for a vector.
    pub fn matrix(self) -> Option<(MatrixId, usize)> {
        match self {
            Self::Embedding => Some((MatrixId::Embedding, 0)),
            Self::Head => Some((MatrixId::Head, 0)),
            Self::Linear(block, linear) => {
                let (projection, part) = linear.part_of();
                Some((MatrixId::Block(block, projection), part))
            }
            Self::FinalNorm | Self::Norm(..) | Self::Convolution(_) => None,
        }
    }

    /// The vector that its weight is; `None` for a matrix.
    pub fn vector(self) -> Option<VectorId> {
        match self {
            Self::FinalNorm => Some(VectorId::FinalNorm),
            Self::Norm(block, norm) => Some(norm.id(block)),
            Self::Convolution(block) => Some(VectorId::Convolution(block)),
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
        if let Some(norm) = Norm::ALL.into_iter().find(|norm| norm.path(names) == Some(rest)) {
            return Some(Self::Norm(index, norm));
        }
        if names.convolution == Some(rest) {
            return Some(Self::Convolution(index));
        }
        let linear = Linear::ALL.into_iter().find(|linear| linear.path(names) == Some(rest))?;
        Some(Self::Linear(index, linear))
    }

    /// Its path in a checkpoint of this configuration, such as `model.layers.0.mlp.up_proj`.
    pub fn path(self, config: &Config) -> String {
        let names = &config.tensors;
        let of_block =
            |block: usize, name: Option<&str>| format!("{}{block}.{}", names.block, name.unwrap_or_default());
        match self {
            Self::Embedding => names.embedding.to_owned(),
            Self::Head => names.head.to_owned(),
            Self::FinalNorm => names.final_norm.to_owned(),
            Self::Norm(block, norm) => of_block(block, norm.path(names)),
            Self::Convolution(block) => of_block(block, names.convolution),
            Self::Linear(block, linear) => of_block(block, linear.path(names)),
        }
    }

    /// The block that it is part of.
    pub fn block(self) -> Option<usize> {
        match self {
            Self::Norm(block, _) | Self::Convolution(block) | Self::Linear(block, _) => Some(block),
            Self::Embedding | Self::Head | Self::FinalNorm => None,
        }
    }
}

/// Positions that the convolution of a block sees; 0 where it has none.
fn kernel_size(block: usize, config: &Config) -> usize {
    match config.decoder.blocks.get(block).map(|block| block.mixer) {
        Some(Mixer::ShortConvolution { kernel_size }) => kernel_size,
        _ => 0,
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

/// What the names of a checkpoint begin with in place of the family's own beginning: wrappers leave theirs when a model is
/// saved through them (`_orig_mod.`, `module.`, `language_model.`), and the bare network is saved without any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// `None`: the family's own.
    found: Option<String>,
}

impl Prefix {
    /// Finds it in the names of all tensors, by the first that is a part of the network behind it.
    pub(super) fn find<'a>(tensors: impl Iterator<Item = &'a str> + Clone, names: &TensorNames) -> Self {
        if tensors.clone().any(|tensor| is_of_network(tensor, names)) {
            return Self::default();
        }
        let prefix_of = |tensor: &str| {
            let starts = std::iter::once(0).chain(tensor.match_indices('.').map(|(dot, _)| dot + 1));
            let mut ends = starts.filter(|at| {
                tensor.get(*at..).is_some_and(|rest| is_of_network(&format!("{}{rest}", names.root()), names))
            });
            ends.next().and_then(|at| tensor.get(..at)).map(str::to_owned)
        };
        Self { found: tensors.into_iter().find_map(prefix_of) }
    }

    /// A name of the checkpoint as the family would write it.
    pub(super) fn canonical<'a>(&self, name: &'a str, names: &TensorNames) -> Cow<'a, str> {
        let Some(found) = &self.found else { return Cow::Borrowed(name) };
        let is_head = |rest: &str| rest.strip_prefix(names.head).is_some_and(|rest| rest.starts_with('.'));
        // The output matrix lies beside the network, so that it has the wrapper's part of the prefix at most.
        let outside = found.strip_suffix(names.root()).and_then(|wrapper| name.strip_prefix(wrapper));
        match (outside, name.strip_prefix(found.as_str())) {
            (Some(rest), _) | (_, Some(rest)) if is_head(rest) => Cow::Borrowed(rest),
            (_, Some(rest)) => Cow::Owned(format!("{}{rest}", names.root())),
            _ => Cow::Borrowed(name),
        }
    }

    /// What to say of it beside a name that is not known.
    fn note(&self, names: &TensorNames) -> String {
        match self.found.as_deref() {
            None => String::new(),
            Some("") => format!(". Its names lack the prefix `{}`, which is no fault", names.root()),
            Some(found) => {
                format!(
                    ". Its names have the prefix `{found}` in place of `{}`, which is no fault",
                    names.root()
                )
            }
        }
    }
}

/// Whether a tensor is a block's or the embedding, by its name.
fn is_of_network(tensor: &str, names: &TensorNames) -> bool {
    Name::parse(tensor, names)
        .is_some_and(|name| name.module == Module::Embedding || name.module.block().is_some())
}

impl Role {
    /// What to do with the tensor `tensor` of `file`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a tensor that the network has no place for: to leave it out would change what
    /// the model computes.
    pub(crate) fn of(tensor: &str, file: &str, config: &Config, prefix: &Prefix) -> Result<Self> {
        // Old checkpoints store the rotary frequencies, which follow from the configuration.
        if tensor.ends_with(".rotary_emb.inv_freq") {
            return Ok(Self::Surplus);
        }
        let names = &config.tensors;
        let unknown = |why: &str| {
            let remedy = if tensor.contains(".lora_") {
                "It belongs to a LoRA adapter: merge the adapter into its model first".to_owned()
            } else {
                let family = config.family.name;
                format!("It is not part of a {family} decoder with this config.json{}", prefix.note(names))
            };
            Err(Error::unsupported(file, format!("tensor {tensor}{why}"), remedy))
        };
        let Some(name) = Name::parse(&prefix.canonical(tensor, names), names) else { return unknown("") };
        if name.module.block().is_some_and(|block| block >= config.num_hidden_layers) {
            return unknown(&format!(" beyond num_hidden_layers ({})", config.num_hidden_layers));
        }
        if name.module.block().is_some_and(|block| !Module::of_block(block, config).contains(&name.module)) {
            return unknown("");
        }
        match (name.module, name.field) {
            // Whether config.json announces it is looked at once all biases are known.
            (Module::Linear(..), _) => Ok(Self::Used(name)),
            (_, Field::Bias) => unknown(" (a bias that the network has no place for)"),
            (module, Field::Scales | Field::Biases) if module.vector().is_some() => unknown(" of a norm"),
            _ => Ok(Self::Used(name)),
        }
    }
}
