//! Llama (arXiv 2302.13971), versions 2 and 3, and what has its shape under its name: `SmolLM`, SmolLM2, and MobileLLM as its
//! makers publish it.

use super::tensors::LLAMA;
use super::{Family, gguf, mobilellm};
use crate::model::decoder::RotaryPairs;

pub(super) const FAMILY: Family = Family {
    name: "Llama",
    model_types: &["llama"],
    activations: &["silu", "swish"],
    // MobileLLM's own configurations call themselves llama.
    reads: mobilellm::FIELDS,
    harmless: &["is_llama_config", "rope_interleaved"],
    neutral: &[],
    decoder: mobilellm::decoder,
    tensors: LLAMA,
    gguf: &[gguf::Architecture {
        // llama.cpp turns neighbours, and its converter reorders the rows of queries and keys for that.
        rotary_pairs: Some(RotaryPairs::Neighbours),
        ..gguf::Architecture::new("llama", "llama")
    }],
};
