//! What a checkpoint is, from its configuration and its headers alone: what `mobilellm inspect` shows.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Checkpoint;
use super::gguf::GgufFiles;
use super::names::Module;
use crate::checkpoint::container::gguf::Metadata;
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::Source;
use crate::checkpoint::source::files::{TOKENIZER_LIMIT, is_there, read_optional};
use crate::error::{Error, Result};
use crate::model::config::{Config, RopeScaling};
use crate::model::decoder::{CacheSpec, Window};

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
    /// `none`, `linear`, `llama3` or `longrope`.
    pub rope_scaling: &'static str,
    /// The output matrix is the embedding.
    pub tied_embeddings: bool,
    /// Each block runs twice in a row with the same weights.
    pub layer_sharing: bool,
    /// How many layers see which positions: `full attention`, `window of 512`, `chunks of 8192`, `convolution of 3`.
    pub mixers: BTreeMap<String, usize>,
    /// How many weights.
    pub parameters: Parameters,
    /// How the tensors are stored, by dtype.
    pub dtypes: BTreeMap<String, Stored>,
    /// How the weights are quantised, such as `4 bits, groups of 64`; `None` for floats.
    pub quantization: Option<String>,
    /// Bytes of all files of weights.
    pub bytes: u64,
    /// Bytes of the weights in memory, held as they are stored.
    pub memory_bytes: u64,
    /// The files of weights.
    pub files: Vec<String>,
    /// Bytes of keys and values that one token of context takes, in f16. A layer with a window keeps no more than that.
    pub kv_bytes_per_token: usize,
    /// The file that the tokenizer is read from, or its kind in a GGUF file; `None` where there is none.
    pub tokenizer: Option<String>,
    /// Where the chat template is; `None` for a base model without one.
    pub chat_template: Option<String>,
    /// The token before every text.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a generation.
    pub eos_token_ids: Vec<u32>,
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
        let weights = match checkpoint.gguf() {
            Some(files) => Weights::of_gguf(files, &checkpoint.config),
            None => Weights::of_safetensors(&checkpoint).await?,
        };
        let (tokenizer, chat_template) = match checkpoint.metadata() {
            Some(metadata) => (tokenizer_kind(metadata)?, chat_template_key(metadata)?),
            None => (tokenizer(source, cancel).await?, chat_template(source, cancel).await?),
        };
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
                RopeScaling::Long { .. } => "longrope",
            },
            tied_embeddings: config.decoder.tied_embeddings,
            layer_sharing: config.decoder.shares_layers(),
            mixers: mixers(config),
            parameters: Parameters::of(config),
            dtypes: weights.dtypes,
            quantization: config.quantization.as_ref().map(|quantization| {
                let exceptions = match quantization.overrides.len() {
                    0 => String::new(),
                    n => format!(", {n} exceptions"),
                };
                let format = quantization.default;
                format!("{} bits, groups of {}{exceptions}", format.bits, format.group_size)
            }),
            bytes: weights.files.iter().map(|(_, len)| len).sum(),
            memory_bytes: weights.memory_bytes,
            files: weights.files.into_iter().map(|(file, _)| file).collect(),
            // Keys and values, two bytes each.
            kv_bytes_per_token: config.num_kv_caches() * 2 * config.kv_width() * 2,
            tokenizer,
            chat_template,
            bos_token_id: config.bos_token_id,
            eos_token_ids: config.eos_token_ids.clone(),
            surplus: checkpoint.surplus().to_vec(),
        })
    }
}

/// What the headers say.
struct Weights {
    dtypes: BTreeMap<String, Stored>,
    memory_bytes: u64,
    /// Names and lengths.
    files: Vec<(String, u64)>,
}

impl Weights {
    async fn of_safetensors(checkpoint: &Checkpoint<'_>) -> Result<Self> {
        let headers = checkpoint.headers().await?;
        let mut dtypes = BTreeMap::new();
        for (file, header) in &headers {
            checkpoint.specs(file, header)?;
            for tensor in &header.tensors {
                count(&mut dtypes, tensor.dtype, tensor.len);
            }
        }
        let memory_bytes = dtypes.values().map(|stored: &Stored| stored.bytes).sum();
        let files = headers.into_iter().map(|(file, header)| (file, header.file_len)).collect();
        Ok(Self { dtypes, memory_bytes, files })
    }

    fn of_gguf(files: &GgufFiles, config: &Config) -> Self {
        let mut dtypes = BTreeMap::new();
        for tensor in files.tensors() {
            count(&mut dtypes, tensor.kind, tensor.len);
        }
        let memory_bytes = files.memory_bytes(config);
        Self {
            dtypes,
            memory_bytes,
            files: files.lengths().map(|(file, len)| (file.to_owned(), len)).collect(),
        }
    }
}

fn count(dtypes: &mut BTreeMap<String, Stored>, kind: impl std::fmt::Display, bytes: u64) {
    let stored = dtypes.entry(kind.to_string()).or_default();
    stored.tensors += 1;
    stored.bytes += bytes;
}

/// The kind of a GGUF file's tokenizer, and how it divides a text.
fn tokenizer_kind(metadata: &Metadata) -> Result<Option<String>> {
    let Some(model) = metadata.text("tokenizer.ggml.model")? else { return Ok(None) };
    let pre = metadata.text("tokenizer.ggml.pre")?.map_or_else(String::new, |pre| format!(", pre {pre}"));
    Ok(Some(format!("{model}{pre}")))
}

fn chat_template_key(metadata: &Metadata) -> Result<Option<String>> {
    const KEY: &str = "tokenizer.chat_template";
    Ok(metadata.text(KEY)?.map(|_| KEY.to_owned()))
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
            per_layer: sum(&|module| module.block() == Some(0)),
        }
    }
}

fn mixers(config: &Config) -> BTreeMap<String, usize> {
    let mut mixers = BTreeMap::new();
    for block in &config.decoder.blocks {
        let mixer = match block.cache() {
            CacheSpec::KeyValue { window: Window::Full } => "full attention".to_owned(),
            CacheSpec::KeyValue { window: Window::Sliding(len) } => format!("window of {len}"),
            CacheSpec::KeyValue { window: Window::Chunked(len) } => format!("chunks of {len}"),
            CacheSpec::Convolution { kernel_size } => format!("convolution of {kernel_size}"),
        };
        *mixers.entry(mixer).or_default() += 1;
    }
    mixers
}

async fn tokenizer(source: &dyn Source, cancel: &Cancel) -> Result<Option<String>> {
    for file in ["tokenizer.json", "tokenizer.model"] {
        if is_there(source, file, cancel).await? {
            return Ok(Some(file.to_owned()));
        }
    }
    Ok(None)
}

async fn chat_template(source: &dyn Source, cancel: &Cancel) -> Result<Option<String>> {
    const TEMPLATE: &str = "chat_template.jinja";
    const CONFIG: &str = "tokenizer_config.json";
    if is_there(source, TEMPLATE, cancel).await? {
        return Ok(Some(TEMPLATE.to_owned()));
    }
    let Some(json) = read_optional(source, CONFIG, TOKENIZER_LIMIT, cancel).await? else { return Ok(None) };
    let config: Value = serde_json::from_slice(&json)
        .map_err(|error| Error::invalid(CONFIG, "JSON", error, "Download the tokenizer's files again"))?;
    Ok(config.get("chat_template").is_some_and(|template| !template.is_null()).then(|| CONFIG.to_owned()))
}
