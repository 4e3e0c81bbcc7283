//! Llama (arXiv 2302.13971), versions 2 and 3, and what has its shape under its name: `SmolLM`, SmolLM2, and MobileLLM as its
//! makers publish it.

use super::gguf::Architecture;
use super::tensors::LLAMA;
use super::{Family, intermediate_size, mobilellm};
use crate::model::decoder::{ActivationFunction, RotaryPairs};
use crate::model::rope::RopeRules;

pub(super) const FAMILY: Family = Family {
    name: "Llama",
    model_types: &["llama"],
    activation: ("hidden_act", ActivationFunction::Silu),
    tied: false,
    epsilon: ("rms_norm_eps", 1e-6),
    head_dim: None,
    rope: RopeRules { theta: 10_000.0, partial_and_long: false, kind: None },
    feed_forward_width: intermediate_size,
    // MobileLLM's own configurations call themselves llama.
    reads: mobilellm::FIELDS,
    harmless: &["is_llama_config", "rope_interleaved"],
    neutral: &[],
    decoder: mobilellm::decoder,
    tensors: LLAMA,
    gguf: &[Architecture {
        // llama.cpp turns neighbours, and its converter reorders the rows of queries and keys for that.
        rotary_pairs: Some(RotaryPairs::Neighbours),
        ..Architecture::new("llama", "llama")
    }],
};
