//! What a file of llama.cpp says in place of `config.json`: which architecture is which family, and which key is which field.
//!
//! Keys become fields of `config.json`, so that one reading, one list of allowed fields and one set of checks serve both. A key
//! that is on no list becomes a field of its own name, which a family refuses as it refuses any field that it does not know.

use serde_json::{Map, Value, json};

use super::layers::FULL;
use super::tensors::LLAMA;
use super::{ALL, TensorNames};
use crate::error::{Error, Result};
use crate::model::decoder::RotaryPairs;
use crate::model::fields::Fields;

/// How a file of llama.cpp names a family, and what it leaves out.
#[derive(Debug)]
pub(crate) struct Architecture {
    /// `general.architecture`.
    pub(crate) name: &'static str,
    /// The `model_type` that `config.json` would have.
    pub(super) model_type: &'static str,
    /// Keys without the architecture before them, and their fields, beside those that all architectures have.
    pub(super) keys: &'static [(&'static str, &'static str)],
    /// Fields that are not in the file because llama.cpp knows their values, which stand here in JSON.
    pub(super) constants: &'static [(&'static str, &'static str)],
    /// Which values of a head are a pair, where the converter reordered them.
    pub(crate) rotary_pairs: Option<RotaryPairs>,
    /// What is added to the weights of norms, where that is not what the family says.
    pub(crate) norm_offset: Option<f32>,
    /// The kind of a layer, in `layer_types`, that has no heads of keys and values.
    pub(super) without_heads: Option<&'static str>,
    /// What its tensors are called.
    pub(crate) tensors: TensorNames,
}

/// Keys of all architectures, without the architecture before them, and their fields.
const KEYS: &[(&str, &str)] = &[
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.sliding_window", "sliding_window"),
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("expert_count", "num_local_experts"),
    ("expert_used_count", "num_experts"),
    ("feed_forward_length", "intermediate_size"),
    ("rope.freq_base", "rope_theta"),
    ("rope.scaling.original_context_length", "original_max_position_embeddings"),
];

/// Keys that change nothing, or that are read in another way.
const OTHER_KEYS: &[&str] = &[
    "attention.value_length",
    "rope.dimension_count",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.type",
    "tensor_data_layout",
    "vocab_size",
];

/// The tensors of a Llama-shaped file.
pub(super) const TENSORS: TensorNames = TensorNames {
    embedding: "token_embd",
    head: "output",
    final_norm: "output_norm",
    block: "blk.",
    attention_norm: Some("attn_norm"),
    feed_forward_norm: Some("ffn_norm"),
    query: "attn_q",
    key: "attn_k",
    value: "attn_v",
    output: "attn_output",
    gate: "ffn_gate",
    up: "ffn_up",
    down: "ffn_down",
    ..LLAMA
};

/// The same with norms of queries and keys.
pub(super) const WITH_QUERY_KEY_NORMS: TensorNames =
    TensorNames { query_norm: Some("attn_q_norm"), key_norm: Some("attn_k_norm"), ..TENSORS };

impl Architecture {
    /// An architecture that needs no more than the keys and tensors that all have.
    pub(super) const fn new(name: &'static str, model_type: &'static str) -> Self {
        Self {
            name,
            model_type,
            keys: &[],
            constants: &[],
            rotary_pairs: None,
            norm_offset: None,
            without_heads: None,
            tensors: TENSORS,
        }
    }

    fn of(name: &str, file: &str) -> Result<&'static Self> {
        let mut all = ALL.iter().flat_map(|family| family.gguf);
        all.find(|architecture| architecture.name == name).ok_or_else(|| {
            let names: Vec<_> = ALL.iter().flat_map(|f| f.gguf).map(|known| known.name).collect();
            Error::unsupported(
                file,
                format!("general.architecture {name}"),
                format!("Supported are {}", names.join(", ")),
            )
        })
    }
}

/// What of a file stands for its `config.json`.
pub(crate) struct GgufModel<'a> {
    /// For error messages.
    pub(crate) file: &'a str,
    /// The keys that describe the network and its special tokens.
    pub(crate) keys: &'a Map<String, Value>,
    /// Rows of the embedding.
    pub(crate) vocab_size: Option<u64>,
    /// Whether it has a tensor.
    pub(crate) has_tensor: &'a dyn Fn(&str) -> bool,
}

impl GgufModel<'_> {
    /// The fields of `config.json` that it stands for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown architecture, [`Error::Invalid`] where keys contradict each other.
    pub(crate) fn fields(&self) -> Result<(&'static Architecture, Fields)> {
        let name = self.keys.get("general.architecture").and_then(Value::as_str);
        let Some(name) = name else {
            return Err(self.invalid("general.architecture", "it is missing"));
        };
        let architecture = Architecture::of(name, self.file)?;
        let mut found = Found::default();
        found.put("model_type", "general.architecture", json!(architecture.model_type));
        for (field, value) in architecture.constants {
            found.put(field, field, serde_json::from_str(value).unwrap_or_default());
        }
        let prefix = format!("{name}.");
        for (key, value) in self.keys {
            let Some(rest) = key.strip_prefix(&prefix) else { continue };
            let mut known = false;
            for (_, field) in KEYS.iter().chain(architecture.keys).filter(|(known, _)| *known == rest) {
                found.put(field, key, value.clone());
                known = true;
            }
            if !known && !OTHER_KEYS.contains(&rest) {
                found.put(key, key, value.clone());
            }
        }
        found.drop_zero("sliding_window");
        layers(architecture, &mut found);
        if let Some(vocab_size) = self.vocab_size {
            found.put("vocab_size", "token_embd.weight", json!(vocab_size));
        }
        self.heads(&prefix, &mut found)?;
        self.rope_scaling(&prefix, &mut found);
        self.special_tokens(&mut found);
        let has = |tensor: &str| (self.has_tensor)(tensor);
        found.put("tie_word_embeddings", "output.weight", json!(!has("output.weight")));
        found.put("attention_bias", "blk.0.attn_q.bias", json!(has("blk.0.attn_q.bias")));
        found.put("mlp_bias", "blk.0.ffn_up.bias", json!(has("blk.0.ffn_up.bias")));
        Ok((architecture, Fields::of(self.file, found.fields, found.names)))
    }

    fn invalid(&self, key: &str, problem: impl std::fmt::Display) -> Error {
        Error::invalid(self.file, key, problem, "The file is damaged: download it again")
    }

    /// Values are as wide as keys; a part of a head may be turned.
    fn heads(&self, prefix: &str, found: &mut Found) -> Result<()> {
        let number = |key: &str| self.keys.get(&format!("{prefix}{key}")).and_then(Value::as_u64);
        let head_dim = number("attention.key_length").or_else(|| {
            let heads = number("attention.head_count").filter(|heads| *heads > 0)?;
            number("embedding_length").map(|width| width / heads)
        });
        let Some(head_dim) = head_dim else { return Ok(()) };
        if let Some(values) = number("attention.value_length").filter(|values| *values != head_dim) {
            let key = format!("{prefix}attention.value_length");
            return Err(
                self.invalid(&key, format!("values of {values} beside keys of {head_dim} are not computed"))
            );
        }
        if let Some(turned) = number("rope.dimension_count").filter(|turned| *turned != head_dim) {
            let key = format!("{prefix}rope.dimension_count");
            found.put("partial_rotary_factor", &key, json!(turned as f64 / head_dim as f64));
        }
        Ok(())
    }

    fn rope_scaling(&self, prefix: &str, found: &mut Found) {
        let get = |key: &str| {
            let key = format!("{prefix}{key}");
            self.keys.get(&key).map(|value| (key, value.clone()))
        };
        let kind = get("rope.scaling.type");
        let factor = get("rope.scaling.factor").or_else(|| get("rope.scale_linear"));
        let mut object = Map::new();
        match (kind, factor) {
            (Some((_, kind)), _) if kind.as_str() == Some("none") => return,
            (Some((key, kind)), factor) => {
                found.name("rope_scaling", &key);
                found.name("rope_scaling.rope_type", &key);
                object.insert("rope_type".to_owned(), kind);
                if let Some((key, factor)) = factor {
                    found.name("rope_scaling.factor", &key);
                    object.insert("factor".to_owned(), factor);
                }
            }
            // Older files say the factor alone; one changes nothing.
            (None, Some((key, factor))) if factor.as_f64() != Some(1.0) => {
                found.name("rope_scaling.factor", &key);
                object.insert("rope_type".to_owned(), json!("linear"));
                object.insert("factor".to_owned(), factor);
            }
            (None, _) => return,
        }
        found.fields.insert("rope_scaling".to_owned(), Value::Object(object));
    }

    /// Ids beyond the vocabulary stand for none.
    fn special_tokens(&self, found: &mut Found) {
        let id = |key: &str| {
            let id = self.keys.get(key).and_then(Value::as_u64);
            id.filter(|id| self.vocab_size.is_none_or(|size| *id < size))
        };
        if let Some(bos) = id("tokenizer.ggml.bos_token_id") {
            found.put("bos_token_id", "tokenizer.ggml.bos_token_id", json!(bos));
        }
        let ends: Vec<_> = ["eos", "eot", "eom"]
            .iter()
            .filter_map(|end| id(&format!("tokenizer.ggml.{end}_token_id")))
            .collect();
        found.put("eos_token_id", "tokenizer.ggml.eos_token_id", json!(ends));
    }
}

/// A list with the key/value heads of each layer: layers with none are of a kind of their own.
fn layers(architecture: &Architecture, found: &mut Found) {
    const FIELD: &str = "num_key_value_heads";
    let Some(Value::Array(heads)) = found.fields.get(FIELD).cloned() else { return };
    let mut counts: Vec<&Value> = heads.iter().filter(|heads| heads.as_u64() != Some(0)).collect();
    counts.dedup();
    // Counts that differ stay a list, which is refused as such.
    let [count] = counts.as_slice() else { return };
    found.fields.insert(FIELD.to_owned(), (*count).clone());
    if let Some(kind) = architecture.without_heads {
        let kinds = heads.iter().map(|heads| if heads.as_u64() == Some(0) { kind } else { FULL });
        let name = found.names.iter().find(|(field, _)| field == FIELD).map(|(_, name)| name.clone());
        found.put("layer_types", &name.unwrap_or_default(), kinds.collect());
    }
}

/// Fields as they are found, with what the file calls them.
#[derive(Default)]
struct Found {
    fields: Map<String, Value>,
    names: Vec<(String, String)>,
}

impl Found {
    fn put(&mut self, field: &str, name: &str, value: Value) {
        self.fields.insert(field.to_owned(), value);
        self.name(field, name);
    }

    /// Takes a field out that is 0, which is how files of llama.cpp write that there is none.
    fn drop_zero(&mut self, field: &str) {
        if self.fields.get(field).and_then(Value::as_u64) == Some(0) {
            self.fields.insert(field.to_owned(), Value::Null);
        }
    }

    fn name(&mut self, field: &str, name: &str) {
        self.names.push((field.to_owned(), name.to_owned()));
    }
}
