//! A small random checkpoint in memory, which tests quantise, or damage in one place.

use half::bf16;
use mobilellm::checkpoint::source::memory::MemorySource;
use serde_json::{Map, Value, json};

/// A tensor of the checkpoint.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// A configuration and its tensors.
#[derive(Clone)]
pub struct Tiny {
    pub config: Map<String, Value>,
    pub tensors: Vec<Tensor>,
}

impl Tiny {
    /// Two blocks in bf16 with tied embeddings. Rows have 64 or 128 values, which groups of 32 and 64 divide.
    pub fn new() -> Self {
        Self::with_ffn(128)
    }

    /// As [`Tiny::new`], with another width of the feed-forward activation.
    pub fn with_ffn(ffn: usize) -> Self {
        let config = json!({
            "model_type": "llama", "hidden_size": 64, "intermediate_size": ffn, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 51, "rms_norm_eps": 1e-5,
            "tie_word_embeddings": true, "max_position_embeddings": 128,
        });
        let Value::Object(config) = config else { unreachable!() };
        let mut tiny = Self { config, tensors: Vec::new() };
        tiny.add("model.embed_tokens.weight", &[51, 64]);
        for block in 0..2 {
            for (path, shape) in [
                ("input_layernorm", &[64][..]),
                ("mlp.down_proj", &[64, ffn]),
                ("mlp.gate_proj", &[ffn, 64]),
                ("mlp.up_proj", &[ffn, 64]),
                ("post_attention_layernorm", &[64]),
                ("self_attn.k_proj", &[32, 64]),
                ("self_attn.o_proj", &[64, 64]),
                ("self_attn.q_proj", &[64, 64]),
                ("self_attn.v_proj", &[32, 64]),
            ] {
                tiny.add(&format!("model.layers.{block}.{path}.weight"), shape);
            }
        }
        tiny.add("model.norm.weight", &[64]);
        tiny
    }

    /// Appends a tensor of random values.
    pub fn add(&mut self, name: &str, shape: &[usize]) {
        let mut state = self.tensors.len() as u32 + 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bf16::from_f32((state >> 8) as f32 / (1 << 25) as f32 - 0.25)
        };
        let bytes = (0..shape.iter().product()).flat_map(|_| next().to_le_bytes()).collect();
        self.tensors.push(Tensor { name: name.to_owned(), dtype: "BF16", shape: shape.to_vec(), bytes });
    }

    /// A tensor, to change it.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap()
    }

    /// Sets one field of the configuration.
    pub fn with_config(mut self, field: &str, value: Value) -> Self {
        self.config.insert(field.to_owned(), value);
        self
    }

    pub fn config_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.config).unwrap()
    }

    /// The correct entries of the header.
    pub fn header(&self) -> Map<String, Value> {
        header(&self.tensors)
    }

    /// The bytes of all tensors.
    pub fn data(&self) -> Vec<u8> {
        self.tensors.iter().flat_map(|tensor| tensor.bytes.clone()).collect()
    }

    /// The checkpoint with one file of weights.
    pub fn source(&self) -> MemorySource {
        self.source_with(&Value::Object(self.header()).to_string(), &self.data())
    }

    /// The checkpoint with another header and other data.
    pub fn source_with(&self, header: &str, data: &[u8]) -> MemorySource {
        MemorySource::new()
            .with("config.json", self.config_json())
            .with("model.safetensors", file(header, data))
    }

    /// The checkpoint in two files with an index.
    pub fn sharded_source(&self) -> MemorySource {
        let (first, second) = self.tensors.split_at(self.tensors.len() / 2);
        let mut weight_map = Map::new();
        let mut source = MemorySource::new().with("config.json", self.config_json());
        for (name, tensors) in [("model-1.safetensors", first), ("model-2.safetensors", second)] {
            let data: Vec<u8> = tensors.iter().flat_map(|tensor| tensor.bytes.clone()).collect();
            source = source.with(name, file(&Value::Object(header(tensors)).to_string(), &data));
            weight_map.extend(tensors.iter().map(|tensor| (tensor.name.clone(), json!(name))));
        }
        let index = json!({ "metadata": { "total_size": self.data().len() }, "weight_map": weight_map });
        source.with("model.safetensors.index.json", index.to_string())
    }
}

fn header(tensors: &[Tensor]) -> Map<String, Value> {
    let mut end = 0;
    let mut entries = Map::new();
    for tensor in tensors {
        let offsets = [end, end + tensor.bytes.len()];
        end = offsets[1];
        let entry = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets });
        entries.insert(tensor.name.clone(), entry);
    }
    entries
}

/// A safetensors file with this header and data.
pub fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}
