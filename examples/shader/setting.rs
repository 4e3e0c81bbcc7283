//! The inputs of a shader: the sizes and formats of a model, and the features of a device.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};

use clap::ValueEnum;
use mobilellm::backend::gpu::plan::{Plan, Target};
use mobilellm::backend::gpu::{CacheFormat, Layout, Tier};
use mobilellm::measure::bench::Shape;
use mobilellm::model::config::Config;
use mobilellm::model::matrix::{Affine, Format, ScaleFormat};
use mobilellm::model::network::Network;
use serde_json::{Value, json};

/// Bytes per binding that WebGPU guarantees on every device.
const MAX_BINDING: u64 = 128 << 20;

/// Format of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Weights {
    /// Single precision
    F32,
    /// Half precision
    F16,
    /// bfloat16
    Bf16,
    /// Integers of 4 bits
    Q4,
    /// Integers of 8 bits
    Q8,
}

/// Format of the scales and biases of integer weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scales {
    /// Single precision
    F32,
    /// Half precision
    F16,
    /// bfloat16
    Bf16,
}

/// Options of the model and the device.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A published shape, such as mobilellm-350m, or LAYERSxHIDDEN
    #[arg(long, default_value = "mobilellm-125m")]
    shape: String,
    /// The family whose blocks are lowered
    #[arg(long, value_enum, default_value_t = Family::Llama)]
    family: Family,
    /// Columns that share a scale, for integer weights: 32, 64 or 128
    #[arg(long, default_value_t = 64, value_parser = power_of_two::<32, 128>)]
    group_size: usize,
    /// Format of the scales
    #[arg(long, value_enum, default_value_t = Scales::F16)]
    scales: Scales,
    /// Threads in the smallest subgroup of the device: a power of two from 4 to 128
    #[arg(long, default_value_t = 32, value_parser = power_of_two::<4, 128>)]
    subgroup_size: usize,
}

/// A power of two in a range.
fn power_of_two<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number) && number.is_power_of_two());
    number.ok_or_else(|| format!("it must be a power of two from {MIN} to {MAX}"))
}

/// Families whose blocks use kernels that Llama's blocks do not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    /// Llama and MobileLLM: five calls per block
    Llama,
    /// OLMo 2: norms of branches, and of whole rows of queries and keys
    Olmo2,
    /// Gemma 3: norms of branches and of heads, windows, bounded logits
    Gemma3,
    /// Llama 4 without experts: chunks, and queries with a temperature
    Llama4,
    /// LFM2: convolutions
    Lfm2,
}

impl Family {
    /// The fields that turn a `config.json` of Llama's shape into one of this family.
    fn fields(self, shape: &Shape) -> Value {
        match self {
            Self::Llama => json!({}),
            Self::Olmo2 => json!({"model_type": "olmo2"}),
            Self::Gemma3 => json!({
                "model_type": "gemma3_text", "sliding_window": 512, "query_pre_attn_scalar": 64,
                "final_logit_softcapping": 30.0
            }),
            Self::Llama4 => json!({
                "model_type": "llama4_text", "intermediate_size_mlp": shape.intermediate_size, "moe_layers": [],
                "attention_chunk_size": 512, "attn_temperature_tuning": true
            }),
            Self::Lfm2 => json!({
                "model_type": "lfm2", "full_attn_idxs": [0], "conv_L_cache": 3, "block_auto_adjust_ff_dim": false
            }),
        }
    }
}

/// The inputs that differ between plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) family: Family,
    pub(crate) tier: Tier,
    pub(crate) weights: Weights,
    pub(crate) int8_tiles: bool,
}

/// The setting as flags, without the weights and the family.
impl Display for Setting {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let int8_tiles = if self.int8_tiles { " --int8-tiles" } else { "" };
        write!(f, "--tier {}{int8_tiles}", self.tier.name())
    }
}

/// A shape and its options.
pub(crate) struct Model<'a> {
    shape: Shape,
    options: &'a Options,
}

impl<'a> Model<'a> {
    pub(crate) fn new(options: &'a Options) -> Result<Self, String> {
        let shape = Shape::parse(&options.shape).map_err(|error| error.to_string())?;
        Ok(Self { shape, options })
    }

    /// The family that the flags name.
    pub(crate) fn family(&self) -> Family {
        self.options.family
    }

    fn network(&self, family: Family) -> Result<Network, String> {
        let mut json = self.shape.config_json();
        if family != Family::Llama {
            // Only MobileLLM has this field.
            json.remove("layer_sharing");
            json.insert(
                "head_dim".to_owned(),
                json!(self.shape.hidden_size / self.shape.num_attention_heads),
            );
        }
        if let Value::Object(fields) = family.fields(&self.shape) {
            json.extend(fields);
        }
        let json = serde_json::to_vec(&json).map_err(|error| error.to_string())?;
        Config::parse(&json).map(Network::new).map_err(|error| error.to_string())
    }

    /// The calls of the network, lowered as in the engine.
    pub(crate) fn plan(&self, setting: Setting) -> Result<Plan, String> {
        let format = self.format(setting.weights);
        let network = self.network(setting.family)?;
        let mut layouts = HashMap::new();
        for (id, rows, cols) in network.matrices() {
            if let Format::Affine(Affine { group_size, .. }) = format
                && !cols.is_multiple_of(group_size as usize)
            {
                return Err(format!(
                    "{id:?} has rows of {cols} values, which are no whole groups of {group_size}: choose another \
                     --group-size or --shape"
                ));
            }
            let layout = Layout::new(rows, cols, format, MAX_BINDING).map_err(|error| error.to_string())?;
            layouts.insert(id, layout);
        }
        let cache = CacheFormat::for_weights([format]);
        let target = Target::new(setting.tier, cache, self.options.subgroup_size, setting.int8_tiles);
        Plan::new(&network, &layouts, target).map_err(|error| error.to_string())
    }

    fn format(&self, weights: Weights) -> Format {
        let affine = |bits| {
            let scales = match self.options.scales {
                Scales::F32 => ScaleFormat::F32,
                Scales::F16 => ScaleFormat::F16,
                Scales::Bf16 => ScaleFormat::Bf16,
            };
            Format::Affine(Affine { bits, group_size: self.options.group_size as u32, scales })
        };
        match weights {
            Weights::F32 => Format::F32,
            Weights::F16 => Format::F16,
            Weights::Bf16 => Format::Bf16,
            Weights::Q4 => affine(4),
            Weights::Q8 => affine(8),
        }
    }
}
