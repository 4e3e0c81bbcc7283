//! The shapes to measure: the published family, and any other depth and width.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::checkpoint::load::inspect::Parameters;
use crate::error::{Error, Result};
use crate::model::config::Config;

/// Positions of synthetic models: the number that the family was trained for.
const POSITIONS: usize = 2048;

/// Tokens of the family's vocabulary.
const VOCAB: usize = 32_000;

/// Width of a head in the whole family.
const HEAD_DIM: usize = 64;

/// Name, layers, hidden, heads, key/value heads, ffn, vocabulary, each block run twice.
type Row = (&'static str, usize, usize, usize, usize, usize, usize, bool);

/// Sources: the configurations published with MobileLLM (arXiv 2402.14905) and SmolLM2.
const FAMILY: [Row; 8] = [
    ("mobilellm-125m", 30, 576, 9, 3, 1536, VOCAB, false),
    ("mobilellm-ls-125m", 30, 576, 9, 3, 1536, VOCAB, true),
    ("mobilellm-350m", 32, 960, 15, 5, 2560, VOCAB, false),
    ("mobilellm-ls-350m", 32, 960, 15, 5, 2560, VOCAB, true),
    ("mobilellm-600m", 40, 1152, 18, 6, 3072, VOCAB, false),
    ("mobilellm-1b", 54, 1280, 20, 5, 3584, VOCAB, false),
    ("mobilellm-1.5b", 54, 1600, 25, 5, 4352, VOCAB, false),
    ("smollm2-135m", 30, 576, 9, 3, 1536, 49_152, false),
];

/// Shapes of other families: the same sizes, and what else their `config.json` says. Sources: the configurations published with
/// the models.
const OTHERS: [(Row, &str); 7] = [
    (
        ("qwen2.5-0.5b", 24, 896, 14, 2, 4864, 151_936, false),
        r#"{"model_type": "qwen2", "rope_theta": 1e6, "rms_norm_eps": 1e-6}"#,
    ),
    (
        ("qwen3-0.6b", 28, 1024, 16, 8, 3072, 151_936, false),
        r#"{"model_type": "qwen3", "head_dim": 128, "rope_theta": 1e6, "rms_norm_eps": 1e-6}"#,
    ),
    (
        ("gemma-3-270m", 18, 640, 4, 1, 2048, 262_144, false),
        r#"{"model_type": "gemma3_text", "head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 512,
            "rope_theta": 1e6, "rms_norm_eps": 1e-6}"#,
    ),
    (
        ("mobilellm-r1-140m", 15, 576, 9, 3, 2048, 128_256, false),
        r#"{"model_type": "llama4_text", "head_dim": 64, "intermediate_size_mlp": 2048, "moe_layers": [],
            "no_rope_layer_interval": 1024, "attention_chunk_size": 32768, "rope_theta": 5e5}"#,
    ),
    (
        ("mobilellm-r1-360m", 15, 1024, 16, 4, 4096, 128_256, false),
        r#"{"model_type": "llama4_text", "head_dim": 64, "intermediate_size_mlp": 4096, "moe_layers": [],
            "no_rope_layer_interval": 1024, "attention_chunk_size": 32768, "rope_theta": 5e5}"#,
    ),
    (
        ("lfm2-350m", 16, 1024, 16, 8, 6656, 65_536, false),
        r#"{"model_type": "lfm2", "full_attn_idxs": [2, 5, 8, 10, 12, 14], "rope_theta": 1e6, "norm_eps": 1e-5}"#,
    ),
    (
        ("granite-4.0-350m", 28, 1024, 16, 4, 2048, 100_352, false),
        r#"{"model_type": "granite", "embedding_multiplier": 12.0, "attention_multiplier": 0.015625,
            "residual_multiplier": 0.246, "logits_scaling": 4.0, "rope_theta": 1e7}"#,
    ),
];

/// The shape of a decoder, with the field names of `config.json`. Embeddings are tied, as in the whole family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Its name in reports.
    pub name: String,
    /// Number of stored blocks.
    pub num_hidden_layers: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Query heads; they divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Key/value heads; they divide `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of the gated feed-forward activation.
    pub intermediate_size: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Whether each block runs twice in a row.
    #[serde(default)]
    pub layer_sharing: bool,
    /// Further fields of `config.json`, for shapes of other families: `model_type` and what that family reads.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

impl Shape {
    /// The published family, smallest first.
    pub fn family() -> Vec<Self> {
        FAMILY.map(Self::from_row).into()
    }

    /// Shapes of other families, as published.
    pub fn others() -> Vec<Self> {
        let shape = |(row, fields): (Row, &str)| Self {
            fields: serde_json::from_str(fields).unwrap_or_default(),
            ..Self::from_row(row)
        };
        OTHERS.map(shape).into()
    }

    /// A published shape by its name, or another shape as `LAYERSxHIDDEN`, such as `12x768`.
    ///
    /// # Errors
    /// [`Error::Request`] for any other text; the message lists the names.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(row) = FAMILY.iter().find(|row| row.0 == text) {
            return Ok(Self::from_row(*row));
        }
        if let Some(shape) = Self::others().into_iter().find(|shape| shape.name == text) {
            return Ok(shape);
        }
        let free = text.split_once('x').and_then(|(layers, hidden)| {
            Some(Self::of(layers.parse().ok()?, hidden.parse().ok().filter(|hidden| *hidden > 0)?))
        });
        free.ok_or_else(|| {
            let names: Vec<_> =
                FAMILY.iter().chain(OTHERS.iter().map(|(row, _)| row)).map(|row| row.0).collect();
            Error::request(
                "shape",
                format!("{text:?} is neither LAYERSxHIDDEN nor one of {}", names.join(", ")),
            )
        })
    }

    /// A shape of any depth and width, with the proportions of the family: heads 64 wide, about three heads per
    /// key/value head, and a feed-forward width of 8/3 of the hidden size.
    pub fn of(num_hidden_layers: usize, hidden_size: usize) -> Self {
        let heads = if hidden_size.is_multiple_of(HEAD_DIM) { hidden_size / HEAD_DIM } else { 1 };
        let kv_heads = (1..=heads.div_ceil(3)).rev().find(|n| heads.is_multiple_of(*n)).unwrap_or(1);
        Self {
            name: format!("{num_hidden_layers}x{hidden_size}"),
            num_hidden_layers,
            hidden_size,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            intermediate_size: (hidden_size * 8 / 3).next_multiple_of(32),
            vocab_size: VOCAB,
            layer_sharing: false,
            fields: Map::new(),
        }
    }

    /// The shape of `layers` layers with about `parameters` parameters and the proportions of the family. The hidden
    /// size is a whole number of heads; the feed-forward width is chosen to reach the number of parameters.
    pub fn with_parameters(layers: usize, parameters: u64) -> Self {
        let candidates = (1..=64).map(|heads| Self::of(layers, heads * HEAD_DIM)).filter_map(|shape| {
            let bare = Self { intermediate_size: 0, ..shape.clone() }.num_parameters();
            let rest = parameters.checked_sub(bare)?;
            let per_column = (3 * shape.hidden_size * layers) as u64;
            let intermediate_size = (rest + 16 * per_column) / (32 * per_column) * 32;
            (intermediate_size > 0).then_some(Self { intermediate_size: intermediate_size as usize, ..shape })
        });
        // How far the feed-forward width is from 8/3 of the hidden size, as a factor.
        let distortion = |shape: &Self| {
            (3.0 * shape.intermediate_size as f64 / (8.0 * shape.hidden_size as f64)).ln().abs()
        };
        candidates
            .min_by(|a, b| distortion(a).total_cmp(&distortion(b)))
            .unwrap_or_else(|| Self::of(layers, HEAD_DIM))
    }

    /// The shape of a checkpoint.
    pub fn of_config(name: &str, config: &Config) -> Self {
        Self {
            name: name.to_owned(),
            num_hidden_layers: config.num_hidden_layers,
            hidden_size: config.hidden_size,
            num_attention_heads: config.num_heads,
            num_key_value_heads: config.num_kv_heads,
            intermediate_size: config.intermediate_size,
            vocab_size: config.vocab_size,
            layer_sharing: config.decoder.shares_layers(),
            fields: Map::new(),
        }
    }

    /// Number of weights, each counted once.
    pub fn num_parameters(&self) -> u64 {
        if !self.fields.is_empty() {
            return self.config().map_or(0, |config| Parameters::of(&config).total);
        }
        // In 64 bits, because `usize` has only 32 in WebAssembly.
        let [hidden, ffn, vocab, layers] =
            [self.hidden_size, self.intermediate_size, self.vocab_size, self.num_hidden_layers]
                .map(|size| size as u64);
        let head_dim = hidden / self.num_attention_heads.max(1) as u64;
        let attention = 2 * hidden * (hidden + head_dim * self.num_key_value_heads as u64);
        let layer = attention + 3 * hidden * ffn + 2 * hidden;
        layer.saturating_mul(layers).saturating_add((vocab + 1) * hidden)
    }

    /// The `config.json` of a checkpoint of this shape.
    pub fn config_json(&self) -> Map<String, Value> {
        let Value::Object(mut config) = json!(self) else { return Map::new() };
        config.remove("name");
        config.extend([
            ("model_type".to_owned(), json!("mobilellm")),
            ("tie_word_embeddings".to_owned(), json!(true)),
            ("rms_norm_eps".to_owned(), json!(1e-5)),
            ("rope_theta".to_owned(), json!(10_000.0)),
            ("max_position_embeddings".to_owned(), json!(POSITIONS)),
        ]);
        config.remove("fields");
        config.extend(self.fields.clone());
        config
    }

    /// The configuration, read and checked like that of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Request`] for sizes that do not fit together; it names the field.
    pub fn config(&self) -> Result<Config> {
        let json = serde_json::to_vec(&self.config_json()).unwrap_or_default();
        Config::parse(&json).map_err(|error| match error {
            Error::Invalid { field, problem, .. } => Error::Request { field, problem },
            other => other,
        })
    }

    fn from_row((name, layers, hidden, heads, kv_heads, ffn, vocab_size, layer_sharing): Row) -> Self {
        Self {
            name: name.to_owned(),
            num_hidden_layers: layers,
            hidden_size: hidden,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            intermediate_size: ffn,
            vocab_size,
            layer_sharing,
            fields: Map::new(),
        }
    }
}

/// Shapes whose comparison answers a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Study {
    /// Its name in options.
    pub name: &'static str,
    /// The question.
    pub title: &'static str,
    /// The claim of the paper, and how to read the numbers.
    pub about: &'static str,
    /// The shapes to compare, in the order of the result.
    pub shapes: Vec<Shape>,
}

/// The two studies of arXiv 2402.14905 that need no trained weights.
pub fn studies() -> Vec<Study> {
    let dense = Shape::from_row(FAMILY[0]);
    let parameters = dense.num_parameters();
    let twice = Shape { name: "60 layers".to_owned(), num_hidden_layers: 60, ..dense.clone() };
    vec![
        Study {
            name: "layer-sharing",
            title: "What does layer sharing cost?",
            about: "MobileLLM-LS runs each of its 30 blocks twice in a row. So it has twice the depth with the same weights. \
                    It should load as fast as the model with 30 layers. It should compute like a model with 60 layers, \
                    except that every second run can read its weights from a cache.",
            shapes: vec![dense, Shape::from_row(FAMILY[1]), twice],
        },
        Study {
            name: "depth",
            title: "Deep and thin, or wide and shallow?",
            about: "The MobileLLM paper finds that, with the same number of parameters, a deeper and thinner model gives \
                    better answers. This study measures the cost in speed: the bytes stay the same, but more kernels \
                    have to wait for each other.",
            shapes: [6, 12, 20, 30, 45, 60]
                .map(|layers| {
                    if layers == 30 {
                        Shape::from_row(FAMILY[0])
                    } else {
                        Shape::with_parameters(layers, parameters)
                    }
                })
                .into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::{Parameters, Shape, studies};

    #[test]
    fn other_families_have_their_published_sizes() {
        for (name, millions) in [
            ("qwen2.5-0.5b", 494.0),
            ("qwen3-0.6b", 596.0),
            ("gemma-3-270m", 268.1),
            ("mobilellm-r1-140m", 140.2),
            ("mobilellm-r1-360m", 359.4),
            ("lfm2-350m", 354.5),
            ("granite-4.0-350m", 352.4),
        ] {
            let parameters = Shape::parse(name).unwrap().num_parameters() as f64 / 1e6;
            assert!((parameters - millions).abs() < 0.1, "{name}: {parameters} million");
        }
    }

    #[test]
    fn the_family_has_the_published_sizes() {
        let parameters = |name| Shape::parse(name).unwrap().num_parameters();
        // From the model cards of MobileLLM. The card of the 1.5B model counts the same shape in another way.
        assert_eq!(parameters("mobilellm-125m"), 124_635_456);
        assert_eq!(parameters("mobilellm-ls-125m"), 124_635_456);
        assert_eq!(parameters("mobilellm-350m"), 345_355_200);
        assert_eq!(parameters("mobilellm-600m"), 603_188_352);
        assert_eq!(parameters("mobilellm-1b"), 1_005_461_760);
        assert_eq!(parameters("smollm2-135m"), 134_515_008);
    }

    #[test]
    fn parameters_are_those_that_the_configuration_has() {
        for shape in Shape::family().into_iter().chain([Shape::of(3, 100), Shape::of(7, 64)]) {
            let config = shape.config().unwrap();
            assert_eq!(shape.num_parameters(), Parameters::of(&config).total, "{}", shape.name);
        }
    }

    #[test]
    fn a_custom_shape_is_parsed_and_other_texts_are_refused() {
        let shape = Shape::parse("12x768").unwrap();
        assert_eq!((shape.num_hidden_layers, shape.hidden_size), (12, 768));
        assert_eq!(
            (shape.num_attention_heads, shape.num_key_value_heads, shape.intermediate_size),
            (12, 4, 2048)
        );
        for wrong in ["", "12", "12x", "x768", "12x0", "mobilellm-2b"] {
            assert!(Shape::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Shape::parse("0x64").unwrap().config().is_err());
    }

    #[test]
    fn shapes_of_the_depth_study_have_equal_size() {
        let study = studies().into_iter().find(|study| study.name == "depth").unwrap();
        for shape in study.shapes {
            let off = shape.num_parameters() as f64 / 124_635_456.0 - 1.0;
            assert!(off.abs() < 0.01, "{} is {:.1} % off", shape.name, 100.0 * off);
            let ratio = shape.intermediate_size as f64 / shape.hidden_size as f64;
            assert!((1.8..3.6).contains(&ratio), "{}: ffn is {ratio:.2} times as wide", shape.name);
            shape.config().unwrap();
        }
    }
}
