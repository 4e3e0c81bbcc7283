//! Qwen3 (arXiv 2505.09388): Llama with norms of each head's queries and keys.

use super::gguf::{self, Architecture};
use super::layers::each_attention;
use super::tensors::LLAMA_WITH_QUERY_KEY_NORMS;
use super::{Family, Sizes, llama, qwen2};
use crate::error::Result;
use crate::model::decoder::{DecoderSpec, QueryKeyNorm};
use crate::model::fields::Fields;

pub(super) const FAMILY: Family = Family {
    name: "Qwen3",
    model_types: &["qwen3"],
    head_dim: Some(128),
    reads: qwen2::FIELDS,
    harmless: &[],
    decoder,
    tensors: LLAMA_WITH_QUERY_KEY_NORMS,
    gguf: &[Architecture { tensors: gguf::WITH_QUERY_KEY_NORMS, ..Architecture::new("qwen3", "qwen3") }],
    ..llama::FAMILY
};

fn decoder(fields: &Fields, sizes: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    each_attention(&mut decoder, |_, attention| attention.query_key_norm = Some(QueryKeyNorm::Heads));
    qwen2::windows(fields, sizes, &mut decoder)?;
    Ok(decoder)
}
