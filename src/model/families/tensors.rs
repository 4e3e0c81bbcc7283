//! What the tensors of a family are called in a checkpoint.

/// The paths of a decoder's modules; those of a block follow its prefix and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TensorNames {
    pub(crate) embedding: &'static str,
    pub(crate) head: &'static str,
    pub(crate) final_norm: &'static str,
    /// Before a block's number, with its dot.
    pub(crate) block: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) feed_forward_norm: &'static str,
    pub(crate) query: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    pub(crate) output: &'static str,
    pub(crate) gate: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
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
    attention_norm: "input_layernorm",
    feed_forward_norm: "post_attention_layernorm",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    output: "self_attn.o_proj",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
};
