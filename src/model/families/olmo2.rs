//! `Olmo2` (arXiv 2501.00656): norms after attention and feed-forward in the place of those before, and norms of whole rows of
//! queries and keys.

use super::gguf::{self, Architecture};
use super::layers::each_attention;
use super::tensors::{LLAMA_WITH_QUERY_KEY_NORMS, TensorNames};
use super::{Family, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{DecoderSpec, Norms, QueryKeyNorm};
use crate::model::fields::Fields;

pub(super) const FAMILY: Family = Family {
    name: "OLMo 2",
    model_types: &["olmo2"],
    epsilon: ("rms_norm_eps", 1e-5),
    reads: &[],
    harmless: &[],
    decoder,
    tensors: TensorNames {
        attention_norm: None,
        attention_post_norm: Some("post_attention_layernorm"),
        feed_forward_norm: None,
        feed_forward_post_norm: Some("post_feedforward_layernorm"),
        ..LLAMA_WITH_QUERY_KEY_NORMS
    },
    gguf: &[Architecture {
        tensors: TensorNames {
            attention_norm: None,
            attention_post_norm: Some("post_attention_norm"),
            feed_forward_norm: None,
            feed_forward_post_norm: Some("post_ffw_norm"),
            ..gguf::WITH_QUERY_KEY_NORMS
        },
        ..Architecture::new("olmo2", "olmo2")
    }],
    ..llama::FAMILY
};

#[expect(clippy::unnecessary_wraps, reason = "other families' configurations may be wrong")]
fn decoder(_: &Fields, _: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    for block in &mut decoder.blocks {
        block.norms = Norms::After;
    }
    each_attention(&mut decoder, |_, attention| attention.query_key_norm = Some(QueryKeyNorm::Rows));
    Ok(decoder)
}
