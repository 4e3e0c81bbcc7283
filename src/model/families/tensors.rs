//! What the tensors of a family are called in a checkpoint.

/// The paths of a decoder's modules; those of a block follow its prefix and its number. What a family does not have is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TensorNames {
    pub(crate) embedding: &'static str,
    pub(crate) head: &'static str,
    pub(crate) final_norm: &'static str,
    /// Before a block's number, with its dot.
    pub(crate) block: &'static str,
    /// Before attention, or what stands in its place.
    pub(crate) attention_norm: Option<&'static str>,
    /// After it.
    pub(crate) attention_post_norm: Option<&'static str>,
    pub(crate) feed_forward_norm: Option<&'static str>,
    pub(crate) feed_forward_post_norm: Option<&'static str>,
    pub(crate) query_norm: Option<&'static str>,
    pub(crate) key_norm: Option<&'static str>,
    /// Query, key and value rows in one matrix, where a family stores them so.
    pub(crate) query_key_value: Option<&'static str>,
    pub(crate) query: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    pub(crate) output: &'static str,
    /// Gate rows and then up rows in one matrix, where a family stores them so.
    pub(crate) gate_up: Option<&'static str>,
    pub(crate) gate: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) convolution_in: Option<&'static str>,
    pub(crate) convolution: Option<&'static str>,
    pub(crate) convolution_out: Option<&'static str>,
}

impl TensorNames {
    /// What the names of blocks and of the embedding begin with, such as `model.`.
    pub(crate) fn root(&self) -> &'static str {
        let path = self.block.trim_end_matches('.');
        path.rfind('.').map_or("", |dot| &self.block[..=dot])
    }
}

/// As Hugging Face's `LlamaForCausalLM` has them.
pub(super) const LLAMA: TensorNames = TensorNames {
    embedding: "model.embed_tokens",
    head: "lm_head",
    final_norm: "model.norm",
    block: "model.layers.",
    attention_norm: Some("input_layernorm"),
    attention_post_norm: None,
    feed_forward_norm: Some("post_attention_layernorm"),
    feed_forward_post_norm: None,
    query_norm: None,
    key_norm: None,
    query_key_value: None,
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    output: "self_attn.o_proj",
    gate_up: None,
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    convolution_in: None,
    convolution: None,
    convolution_out: None,
};

/// The same with norms of queries and keys.
pub(super) const LLAMA_WITH_QUERY_KEY_NORMS: TensorNames =
    TensorNames { query_norm: Some("self_attn.q_norm"), key_norm: Some("self_attn.k_norm"), ..LLAMA };
