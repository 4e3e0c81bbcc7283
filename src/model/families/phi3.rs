//! Phi 3 and Phi 4 mini (arXiv 2404.14219): Llama with fused matrices, a window, and longrope.

use super::gguf::{self, Architecture};
use super::layers::{each_attention, sliding_window};
use super::tensors::{LLAMA, TensorNames};
use super::{Family, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{DecoderSpec, Window};
use crate::model::fields::Fields;
use crate::model::rope::RopeRules;

pub(super) const FAMILY: Family = Family {
    name: "Phi 3",
    model_types: &["phi3"],
    epsilon: ("rms_norm_eps", 1e-5),
    rope: RopeRules { partial_and_long: true, ..llama::FAMILY.rope },
    reads: &["sliding_window"],
    harmless: &["embd_pdrop", "resid_pdrop"],
    decoder,
    tensors: TensorNames {
        query_key_value: Some("self_attn.qkv_proj"),
        gate_up: Some("mlp.gate_up_proj"),
        ..LLAMA
    },
    gguf: &[Architecture {
        tensors: TensorNames { query_key_value: Some("attn_qkv"), gate_up: Some("ffn_up"), ..gguf::TENSORS },
        ..Architecture::new("phi3", "phi3")
    }],
    ..llama::FAMILY
};

fn decoder(fields: &Fields, _: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    let window = sliding_window(fields, None)?.unwrap_or(Window::Full);
    each_attention(&mut decoder, |_, attention| attention.window = window);
    Ok(decoder)
}
