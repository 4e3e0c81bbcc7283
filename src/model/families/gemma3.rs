//! Gemma 3's text models (arXiv 2503.19786): norms before and after each part, with weights of 1 + w; windows with a rotation
//! of their own on most layers; an embedding scaled by the root of its width.

use super::gguf::{self, Architecture};
use super::layers::{FULL, SLIDING, each_attention, kinds, set_windows, sliding_window};
use super::tensors::{LLAMA_WITH_QUERY_KEY_NORMS, TensorNames};
use super::{Family, MAX_WIDTH, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{ActivationFunction, DecoderSpec, Norms, QueryKeyNorm};
use crate::model::fields::Fields;
use crate::model::rope::{Rope, RopeRules};

pub(super) const FAMILY: Family = Family {
    name: "Gemma 3",
    model_types: &["gemma3_text"],
    activation: ("hidden_activation", ActivationFunction::GeluTanh),
    tied: true,
    head_dim: Some(256),
    rope: RopeRules { theta: 1_000_000.0, kind: Some(FULL), ..llama::FAMILY.rope },
    reads: &[
        "_sliding_window_pattern",
        "final_logit_softcapping",
        "hidden_activation",
        "layer_types",
        "query_pre_attn_scalar",
        "rope_local_base_freq",
        "sliding_window",
        "sliding_window_pattern",
    ],
    harmless: &["cache_implementation"],
    decoder,
    tensors: TensorNames {
        attention_post_norm: Some("post_attention_layernorm"),
        feed_forward_norm: Some("pre_feedforward_layernorm"),
        feed_forward_post_norm: Some("post_feedforward_layernorm"),
        ..LLAMA_WITH_QUERY_KEY_NORMS
    },
    gguf: &[Architecture {
        keys: &[
            ("attention.key_length", "query_pre_attn_scalar"),
            ("attention.sliding_window_pattern", "sliding_window_pattern"),
            ("final_logit_softcapping", "final_logit_softcapping"),
            ("rope.freq_base_swa", "rope_local_base_freq"),
        ],
        // Its converter adds the 1.
        norm_offset: Some(0.0),
        tensors: TensorNames {
            attention_post_norm: Some("post_attention_norm"),
            feed_forward_post_norm: Some("post_ffw_norm"),
            ..gguf::WITH_QUERY_KEY_NORMS
        },
        ..Architecture::new("gemma3", "gemma3_text")
    }],
    ..llama::FAMILY
};

/// The base of the layers with windows, where the configuration does not say.
const LOCAL_THETA: f64 = 10_000.0;

/// Every so many layers one sees all positions, where the configuration does not say.
const PERIOD: usize = 6;

fn decoder(fields: &Fields, sizes: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    let rules = RopeRules { theta: LOCAL_THETA, ..FAMILY.rope };
    let local = Rope::of_kind(fields, SLIDING, "rope_local_base_freq", false, rules)?;
    local.check(fields, sizes.head_dim)?;
    decoder.rotary.push(local.rotary(sizes.head_dim));
    let period = fields.size_or("sliding_window_pattern", MAX_WIDTH, PERIOD)?;
    let period = fields.size_or("_sliding_window_pattern", MAX_WIDTH, period)?;
    let kinds = kinds(fields, sizes, &[FULL, SLIDING])?.unwrap_or_else(|| {
        let kind = |number: usize| if number.is_multiple_of(period) { FULL } else { SLIDING };
        (1..=sizes.num_hidden_layers).map(kind).collect()
    });
    set_windows(fields, &mut decoder, &kinds, sliding_window(fields, Some(4096))?)?;
    let scale = (1.0 / fields.positive_or("query_pre_attn_scalar", 256.0)?.sqrt()) as f32;
    each_attention(&mut decoder, |index, attention| {
        attention.query_key_norm = Some(QueryKeyNorm::Heads);
        attention.scale = scale;
        if kinds.get(index) == Some(&SLIDING) {
            attention.rotary = Some(1);
        }
    });
    for block in &mut decoder.blocks {
        block.norms = Norms::Both;
    }
    if fields.get("final_logit_softcapping").is_some() {
        decoder.logit_softcap = Some(fields.positive_or("final_logit_softcapping", 1.0)? as f32);
    }
    decoder.norm_offset = 1.0;
    decoder.embedding_scale = (sizes.hidden_size as f32).sqrt();
    Ok(decoder)
}
