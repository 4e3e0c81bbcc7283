//! What a checkpoint is, from its configuration and its headers alone: what `mobilellm inspect` shows.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Checkpoint;
use super::names::Module;
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::Source;
use crate::checkpoint::source::files::{TOKENIZER_LIMIT, is_there, read_optional};
use crate::error::{Error, Result};
use crate::model::config::{Config, RopeScaling};

/// A checkpoint described.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Where it is.
    pub location: String,
    /// `llama` or `mobilellm`.
    pub model_type: String,
    /// Blocks that are stored.
    pub num_hidden_layers: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward activation.
    pub intermediate_size: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key/value heads.
    pub num_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Positions that the model was trained for.
    pub max_position_embeddings: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// `none`, `linear` or `llama3`.
    pub rope_scaling: &'static str,
    /// The output matrix is the embedding.
    pub tied_embeddings: bool,
    /// Each block runs twice in a row with the same weights.
    pub layer_sharing: bool,
    /// How many weights.
    pub parameters: Parameters,
    /// How the tensors are stored, by dtype.
    pub dtypes: BTreeMap<String, Stored>,
    /// How the weights are quantised, such as `4 bits, groups of 64`; `None` for floats.
    pub quantization: Option<String>,
    /// Bytes of all files of weights.
    pub bytes: u64,
    /// The files of weights.
    pub files: Vec<String>,
    /// Bytes of keys and values that one token of context takes, in f16.
    pub kv_bytes_per_token: usize,
    /// The file that the tokenizer is read from; `None` where there is none.
    pub tokenizer: Option<&'static str>,
    /// Where the chat template is; `None` for a base model without one.
    pub chat_template: Option<&'static str>,
    /// Tensors that the network does not need.
    pub surplus: Vec<String>,
}

/// How many weights a checkpoint has. Shared ones count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Parameters {
    /// All.
    pub total: u64,
    /// Of the embedding, and of the output matrix where that is another.
    pub embedding: u64,
    /// Of one block.
    pub per_layer: u64,
}

/// Tensors of one dtype.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// How many.
    pub tensors: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Inspection {
    /// Reads the configuration and all headers; no weights.
    ///
    /// # Errors
    /// Whatever is wrong with these files; [`Error::Cancelled`].
    pub async fn of(source: &dyn Source, cancel: &Cancel) -> Result<Self> {
        let checkpoint = Checkpoint::open(source, cancel).await?;
        let headers = checkpoint.headers().await?;
        let mut dtypes = BTreeMap::<String, Stored>::new();
        for (file, header) in &headers {
            checkpoint.specs(file, header)?;
            for tensor in &header.tensors {
                let stored = dtypes.entry(tensor.dtype.to_string()).or_default();
                stored.tensors += 1;
                stored.bytes += tensor.len;
            }
        }
        let config = &checkpoint.config;
        Ok(Self {
            location: source.location(),
            model_type: config.model_type.clone(),
            num_hidden_layers: config.num_hidden_layers,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            num_heads: config.num_heads,
            num_kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
            vocab_size: config.vocab_size,
            max_position_embeddings: config.max_position_embeddings,
            rope_theta: config.rope.theta,
            rope_scaling: match config.rope.scaling {
                RopeScaling::None => "none",
                RopeScaling::Linear { .. } => "linear",
                RopeScaling::Llama3 { .. } => "llama3",
            },
            tied_embeddings: config.decoder.tied_embeddings,
            layer_sharing: config.decoder.block.runs > 1,
            parameters: Parameters::of(config),
            dtypes,
            quantization: config.quantization.as_ref().map(|quantization| {
                let exceptions = match quantization.overrides.len() {
                    0 => String::new(),
                    n => format!(", {n} exceptions"),
                };
                let format = quantization.default;
                format!("{} bits, groups of {}{exceptions}", format.bits, format.group_size)
            }),
            bytes: headers.iter().map(|(_, header)| header.file_len).sum(),
            files: headers.into_iter().map(|(file, _)| file).collect(),
            // Keys and values, two bytes each.
            kv_bytes_per_token: config.num_caches() * 2 * config.kv_width() * 2,
            tokenizer: tokenizer(source, cancel).await?,
            chat_template: chat_template(source, cancel).await?,
            surplus: checkpoint.surplus().to_vec(),
        })
    }
}

impl Parameters {
    /// Counts from the shapes alone.
    pub fn of(config: &Config) -> Self {
        let count = |module: Module| {
            let (rows, cols) = module.shape(config);
            let bias = if module.has_bias(config) { rows } else { 0 };
            rows as u64 * cols as u64 + bias as u64
        };
        let sum = |wanted: &dyn Fn(&Module) -> bool| Module::all(config).filter(wanted).map(count).sum();
        Self {
            total: sum(&|_| true),
            embedding: sum(&|module| matches!(module, Module::Embedding | Module::Head)),
            per_layer: sum(&|module| {
                matches!(module, Module::AttentionNorm(0) | Module::FeedForwardNorm(0) | Module::Linear(0, _))
            }),
        }
    }
}

async fn tokenizer(source: &dyn Source, cancel: &Cancel) -> Result<Option<&'static str>> {
    for file in ["tokenizer.json", "tokenizer.model"] {
        if is_there(source, file, cancel).await? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

async fn chat_template(source: &dyn Source, cancel: &Cancel) -> Result<Option<&'static str>> {
    const TEMPLATE: &str = "chat_template.jinja";
    const CONFIG: &str = "tokenizer_config.json";
    if is_there(source, TEMPLATE, cancel).await? {
        return Ok(Some(TEMPLATE));
    }
    let Some(json) = read_optional(source, CONFIG, TOKENIZER_LIMIT, cancel).await? else { return Ok(None) };
    let config: Value = serde_json::from_slice(&json)
        .map_err(|error| Error::invalid(CONFIG, "JSON", error, "Download the tokenizer's files again"))?;
    Ok(config.get("chat_template").is_some_and(|template| !template.is_null()).then_some(CONFIG))
}
