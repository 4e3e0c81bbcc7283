//! Qwen2 and Qwen2.5 (arXiv 2407.10671): Llama with biases of queries, keys and values.

use super::tensors::LLAMA;
use super::{Family, gguf, plain_decoder};
use crate::error::Result;
use crate::model::decoder::{BlockSpec, DecoderSpec};
use crate::model::fields::Fields;

pub(super) const FAMILY: Family = Family {
    name: "Qwen2",
    model_types: &["qwen2"],
    activations: &["silu", "swish"],
    reads: &[],
    harmless: &[],
    neutral: &[],
    decoder,
    tensors: LLAMA,
    gguf: &[gguf::Architecture::new("qwen2", "qwen2")],
};

/// No field says that there are biases.
fn decoder(fields: &Fields) -> Result<DecoderSpec> {
    let plain = plain_decoder(fields)?;
    Ok(DecoderSpec { block: BlockSpec { qkv_bias: true, output_bias: false, ..plain.block }, ..plain })
}
