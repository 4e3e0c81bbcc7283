//! What a checkpoint's `config.json` says, checked before any weight is read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The name that errors give to the file.
pub const FILE: &str = "config.json";

const SUPPORTED: &str =
    "Supported are llama and mobilellm checkpoints (MobileLLM, MobileLLM-LS, SmolLM2, Llama 2 and 3)";

/// The shape of a Llama-like decoder.
#[expect(clippy::struct_excessive_bools, reason = "they mirror the independent switches of the file")]
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `llama` or `mobilellm`.
    pub model_type: String,
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
    /// Rotary embedding.
    pub rope: Rope,
    /// The output matrix is the embedding.
    pub tied_embeddings: bool,
    /// Each block runs twice in a row with the same weights (MobileLLM-LS).
    pub layer_sharing: bool,
    /// With layer sharing, the second run attends to the first run's keys and values instead of its own.
    pub shared_kv: bool,
    /// Query, key, value and output projections have biases.
    pub attention_bias: bool,
    /// Feed-forward projections have biases.
    pub mlp_bias: bool,
    /// How the checkpoint's own tensors are quantised, where they are.
    pub quantization: Option<Quantization>,
    /// Token put before every text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a generation.
    pub eos_token_ids: Vec<u32>,
}

/// Rotary position embedding: base frequency and its scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the geometric frequencies.
    pub theta: f64,
    /// How the frequencies are stretched for longer contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// They are not.
    None,
    /// All divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1's: low frequencies divided, high ones kept, a ramp between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original_max_position / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_position / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of the first training.
        original_max_position: f64,
    },
}

/// The `quantization` object of an MLX-layout checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantization {
    /// What holds for every quantised tensor without an entry of its own.
    pub default: BitsAndGroup,
    /// Exceptions by module path such as `model.embed_tokens`; `None` says: not quantised.
    pub overrides: BTreeMap<String, Option<BitsAndGroup>>,
}

/// Bits a weight and columns a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitsAndGroup {
    /// 4 or 8.
    pub bits: u32,
    /// 32, 64 or 128.
    pub group_size: u32,
}

impl Quantization {
    /// What holds for a module such as `model.layers.0.mlp.up_proj`.
    pub fn of(&self, module: &str) -> Option<BitsAndGroup> {
        self.overrides.get(module).copied().unwrap_or(Some(self.default))
    }
}

impl Config {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the file contradicts itself, [`Error::Unsupported`] by name where it asks for
    /// what the engine does not do.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let fields = Fields::parse(json)?;
        fields.refuse_foreign()?;
        let num_heads = fields.size("num_attention_heads", 1 << 10)?;
        let hidden_size = fields.size("hidden_size", 1 << 16)?;
        let config = Self {
            model_type: fields.text("model_type")?.unwrap_or("llama").to_owned(),
            hidden_size,
            intermediate_size: fields.size("intermediate_size", 1 << 20)?,
            num_hidden_layers: fields.size("num_hidden_layers", 1 << 10)?,
            num_heads,
            num_kv_heads: fields.size_or("num_key_value_heads", 1 << 10, num_heads)?,
            head_dim: match fields.optional_size("head_dim", 1 << 10)? {
                Some(head_dim) => head_dim,
                None if hidden_size.is_multiple_of(num_heads) => hidden_size / num_heads,
                None => {
                    return Err(fields.invalid(
                        "hidden_size",
                        format!("{hidden_size} is not a multiple of num_attention_heads ({num_heads}) and head_dim is not given"),
                    ));
                }
            },
            vocab_size: fields.size("vocab_size", 1 << 21)?,
            max_position_embeddings: fields.size_or("max_position_embeddings", 1 << 24, 2048)?,
            rms_norm_eps: fields.number_or("rms_norm_eps", 1e-6)? as f32,
            rope: fields.rope()?,
            tied_embeddings: fields.flag("tie_word_embeddings", false)?
                || fields.flag("share_embedding", false)?,
            layer_sharing: fields.flag("layer_sharing", false)?,
            shared_kv: fields.flag("layer_sharing_shared_kv", false)?,
            attention_bias: fields.flag("attention_bias", false)?,
            mlp_bias: fields.flag("mlp_bias", false)?,
            quantization: fields.quantization()?,
            bos_token_id: fields.tokens("bos_token_id")?.first().copied(),
            eos_token_ids: fields.tokens("eos_token_id")?,
        };
        config.check(&fields)?;
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
        if self.shared_kv && !self.layer_sharing {
            return Err(fields.invalid("layer_sharing_shared_kv", "it means nothing without layer_sharing"));
        }
        Ok(())
    }

    /// How often each stored block runs.
    pub fn runs_per_block(&self) -> usize {
        if self.layer_sharing { 2 } else { 1 }
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

    /// The rotary frequencies of the `head_dim / 2` pairs, in radians a position.
    pub fn rotary_frequencies(&self) -> Vec<f64> {
        let half = self.head_dim / 2;
        (0..half)
            .map(|i| self.rope.theta.powf(-(i as f64) / half as f64))
            .map(|frequency| self.rope.scaling.apply(frequency))
            .collect()
    }
}

impl RopeScaling {
    /// The stretched frequency; the formula of transformers' `_compute_llama3_parameters`.
    fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position } => {
                let wavelength = 2.0 * std::f64::consts::PI / frequency;
                if wavelength < original_max_position / high_freq_factor {
                    frequency
                } else if wavelength > original_max_position / low_freq_factor {
                    frequency / factor
                } else {
                    let smooth = (original_max_position / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            }
        }
    }
}

/// The JSON object, with typed access whose errors name the field.
struct Fields(Map<String, Value>);

impl Fields {
    fn parse(json: &[u8]) -> Result<Self> {
        match serde_json::from_slice(json) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(Error::invalid(FILE, "top level", "it is not a JSON object", REMEDY)),
            Err(error) => Err(Error::invalid(FILE, "JSON", error, REMEDY)),
        }
    }

    #[expect(clippy::unused_self, reason = "reads like the other accessors where it is called")]
    fn invalid(&self, field: &str, problem: impl std::fmt::Display) -> Error {
        Error::invalid(FILE, field, problem, REMEDY)
    }

    /// A present, non-null field.
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn text(&self, field: &str) -> Result<Option<&str>> {
        self.get(field)
            .map(|value| value.as_str().ok_or_else(|| self.invalid(field, "it must be a string")))
            .transpose()
    }

    fn flag(&self, field: &str, default: bool) -> Result<bool> {
        self.get(field).map_or(Ok(default), |value| {
            value.as_bool().ok_or_else(|| self.invalid(field, "it must be true or false"))
        })
    }

    fn optional_size(&self, field: &str, max: usize) -> Result<Option<usize>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        match value.as_u64() {
            Some(size) if size >= 1 && size <= max as u64 => Ok(Some(size as usize)),
            _ => Err(self.invalid(field, format!("{value} is not a whole number from 1 to {max}"))),
        }
    }

    fn size(&self, field: &str, max: usize) -> Result<usize> {
        self.optional_size(field, max)?.ok_or_else(|| self.invalid(field, "it is missing"))
    }

    fn size_or(&self, field: &str, max: usize, default: usize) -> Result<usize> {
        Ok(self.optional_size(field, max)?.unwrap_or(default))
    }

    fn number_or(&self, field: &str, default: f64) -> Result<f64> {
        number(&self.0, field, field)?.map_or(Ok(default), Ok)
    }

    /// One token id or a list of them.
    fn tokens(&self, field: &str) -> Result<Vec<u32>> {
        self.get(field).map_or(Ok(Vec::new()), |value| {
            token_ids(value).ok_or_else(|| self.invalid(field, "it must be a token id or a list of them"))
        })
    }

    /// Says no by name to what the network does not compute.
    fn refuse_foreign(&self) -> Result<()> {
        let model_type = self.text("model_type")?.unwrap_or("llama");
        if !matches!(model_type, "llama" | "mobilellm") {
            return Err(Error::unsupported(FILE, format!("model_type {model_type}"), SUPPORTED));
        }
        let activation = self.text("hidden_act")?.unwrap_or("silu");
        if !matches!(activation, "silu" | "swish") {
            return Err(Error::unsupported(
                FILE,
                format!("hidden_act {activation}"),
                "The gated activation must be silu",
            ));
        }
        if let Some(Value::Object(foreign)) = self.get("quantization_config")
            && let Some(method) = foreign.get("quant_method").and_then(Value::as_str)
        {
            return Err(Error::unsupported(
                FILE,
                format!("quantization_config.quant_method {method}"),
                "Use the original float checkpoint or an MLX-quantised one",
            ));
        }
        for field in ["sliding_window", "attn_logit_softcapping", "num_experts", "num_local_experts"] {
            if self.get(field).is_some_and(|value| *value != Value::Bool(false) && value.as_u64() != Some(0))
            {
                return Err(Error::unsupported(FILE, field, SUPPORTED));
            }
        }
        Ok(())
    }

    /// `rope_theta` and `rope_scaling`, or the newer `rope_parameters` that holds both.
    fn rope(&self) -> Result<Rope> {
        let empty = Map::new();
        let object = |field: &str| match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.invalid(field, "it must be an object")),
        };
        let parameters = object("rope_parameters")?;
        let scaling = parameters.or(object("rope_scaling")?).unwrap_or(&empty);
        let theta = match number(scaling, "rope_theta", "rope_parameters.rope_theta")? {
            Some(theta) => theta,
            None => self.number_or("rope_theta", 10_000.0)?,
        };
        if !(theta.is_finite() && theta > 0.0) {
            return Err(self.invalid("rope_theta", format!("{theta} is not a positive number")));
        }
        Ok(Rope { theta, scaling: self.rope_scaling(scaling)? })
    }

    fn rope_scaling(&self, fields: &Map<String, Value>) -> Result<RopeScaling> {
        let kind = fields
            .get("rope_type")
            .or_else(|| fields.get("type"))
            .and_then(Value::as_str)
            .unwrap_or("default");
        let positive = |field: &str| {
            number(fields, field, &format!("rope_scaling.{field}"))?
                .filter(|value| value.is_finite() && *value > 0.0)
                .ok_or_else(|| self.invalid(&format!("rope_scaling.{field}"), "it must be a positive number"))
        };
        match kind {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: positive("factor")? }),
            "llama3" => {
                let scaling = RopeScaling::Llama3 {
                    factor: positive("factor")?,
                    low_freq_factor: positive("low_freq_factor")?,
                    high_freq_factor: positive("high_freq_factor")?,
                    original_max_position: positive("original_max_position_embeddings")?,
                };
                match scaling {
                    RopeScaling::Llama3 { low_freq_factor, high_freq_factor, .. }
                        if low_freq_factor >= high_freq_factor =>
                    {
                        Err(self.invalid("rope_scaling.low_freq_factor", "it must be below high_freq_factor"))
                    }
                    _ => Ok(scaling),
                }
            }
            other => Err(Error::unsupported(
                FILE,
                format!("rope_scaling type {other}"),
                "Supported are default, linear and llama3",
            )),
        }
    }

    /// The MLX `quantization` object.
    fn quantization(&self) -> Result<Option<Quantization>> {
        let Some(value) = self.get("quantization") else { return Ok(None) };
        let Value::Object(map) = value else {
            return Err(self.invalid("quantization", "it must be an object"));
        };
        if let Some(mode) = map.get("mode").and_then(Value::as_str)
            && mode != "affine"
        {
            return Err(Error::unsupported(FILE, format!("quantization.mode {mode}"), "Only affine is"));
        }
        let mut overrides = BTreeMap::new();
        for (module, entry) in map {
            match entry {
                Value::Object(entry) => {
                    overrides.insert(module.clone(), Some(bits_and_group(module, entry)?));
                }
                Value::Bool(false) => {
                    overrides.insert(module.clone(), None);
                }
                _ => {}
            }
        }
        Ok(Some(Quantization { default: bits_and_group("quantization", map)?, overrides }))
    }
}

const REMEDY: &str = "Download config.json again from where the checkpoint comes from";

fn number(fields: &Map<String, Value>, field: &str, name: &str) -> Result<Option<f64>> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(Error::invalid(FILE, name, "it must be a number", REMEDY)),
        },
    }
}

fn bits_and_group(name: &str, fields: &Map<String, Value>) -> Result<BitsAndGroup> {
    let get = |field: &str, allowed: &[u64]| match fields.get(field).and_then(Value::as_u64) {
        Some(value) if allowed.contains(&value) => Ok(value as u32),
        other => Err(Error::unsupported(
            FILE,
            format!("{name}: {field} {}", other.map_or("(missing)".to_owned(), |v| v.to_string())),
            format!("Supported are {allowed:?}"),
        )),
    };
    Ok(BitsAndGroup { bits: get("bits", &[4, 8])?, group_size: get("group_size", &[32, 64, 128])? })
}

/// A token id or a list of them; `None` where the value is neither.
pub(crate) fn token_ids(value: &Value) -> Option<Vec<u32>> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => list.iter().map(id).collect(),
        one => id(one).map(|id| vec![id]),
    }
}
