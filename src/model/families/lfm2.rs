//! LFM2 (arXiv 2511.23404): short convolutions in the place of attention on most layers.

use super::gguf::{self, Architecture};
use super::layers::{FULL, each_attention, kinds};
use super::tensors::{LLAMA, TensorNames};
use super::{Family, MAX_WIDTH, Neutral, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{DecoderSpec, Mixer, QueryKeyNorm};
use crate::model::fields::Fields;
use crate::model::rope::RopeRules;

pub(super) const FAMILY: Family = Family {
    name: "LFM2",
    model_types: &["lfm2"],
    tied: true,
    epsilon: ("norm_eps", 1e-5),
    rope: RopeRules { theta: 1_000_000.0, ..llama::FAMILY.rope },
    feed_forward_width,
    reads: &[
        "block_auto_adjust_ff_dim",
        "block_ff_dim",
        "block_ffn_dim_multiplier",
        "block_multiple_of",
        "conv_L_cache",
        "full_attn_idxs",
        "layer_types",
        "norm_eps",
        "tie_embedding",
    ],
    // Names that an earlier configuration had for sizes that others give, too.
    harmless: &[
        "block_dim",
        "block_mlp_init_scale",
        "block_norm_eps",
        "block_out_init_scale",
        "block_use_swiglu",
        "block_use_xavier_init",
        "conv_dim",
        "conv_dim_out",
        "conv_use_xavier_init",
        "num_heads",
        "theta",
        "use_pos_enc",
    ],
    neutral: &[("conv_bias", Neutral::Zero)],
    decoder,
    tensors: TensorNames {
        final_norm: "model.embedding_norm",
        attention_norm: Some("operator_norm"),
        feed_forward_norm: Some("ffn_norm"),
        query_norm: Some("self_attn.q_layernorm"),
        key_norm: Some("self_attn.k_layernorm"),
        output: "self_attn.out_proj",
        gate: "feed_forward.w1",
        up: "feed_forward.w3",
        down: "feed_forward.w2",
        convolution_in: Some("conv.in_proj"),
        convolution: Some("conv.conv"),
        convolution_out: Some("conv.out_proj"),
        ..LLAMA
    },
    gguf: &[Architecture {
        keys: &[("attention.layer_norm_rms_epsilon", "norm_eps"), ("shortconv.l_cache", "conv_L_cache")],
        // The width is what it became.
        constants: &[("block_auto_adjust_ff_dim", "false")],
        without_heads: Some(CONVOLUTION),
        tensors: TensorNames {
            final_norm: "token_embd_norm",
            convolution_in: Some("shortconv.in_proj"),
            convolution: Some("shortconv.conv"),
            convolution_out: Some("shortconv.out_proj"),
            ..gguf::WITH_QUERY_KEY_NORMS
        },
        ..Architecture::new("lfm2", "lfm2")
    }],
    ..llama::FAMILY
};

/// A layer with a short convolution, in `layer_types`.
const CONVOLUTION: &str = "conv";

/// Two thirds of the width that is given, times a factor, up to a multiple of some number; unless that is switched off.
fn feed_forward_width(fields: &Fields) -> Result<usize> {
    let given = match fields.optional_size("block_ff_dim", MAX_WIDTH)? {
        Some(width) => width,
        None => fields.size("intermediate_size", MAX_WIDTH)?,
    };
    if !fields.flag("block_auto_adjust_ff_dim", true)? {
        return Ok(given);
    }
    let factor = fields.positive_or("block_ffn_dim_multiplier", 1.0)?;
    let width = ((2 * given / 3) as f64 * factor) as usize;
    let multiple = fields.size_or("block_multiple_of", MAX_WIDTH, 256)?;
    match width.next_multiple_of(multiple) {
        width @ 1..=MAX_WIDTH => Ok(width),
        width => Err(fields.invalid("block_ff_dim", format!("the feed-forward part would be {width} wide"))),
    }
}

fn decoder(fields: &Fields, sizes: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    decoder.tied_embeddings = fields.flag("tie_embedding", decoder.tied_embeddings)?;
    each_attention(&mut decoder, |_, attention| attention.query_key_norm = Some(QueryKeyNorm::Heads));
    let kinds = match kinds(fields, sizes, &[FULL, CONVOLUTION])? {
        Some(kinds) => kinds,
        None => older_kinds(fields, sizes)?,
    };
    let kernel_size = fields.size_or("conv_L_cache", 1 << 6, 3)?;
    for (block, kind) in decoder.blocks.iter_mut().zip(kinds) {
        if kind == CONVOLUTION {
            block.mixer = Mixer::ShortConvolution { kernel_size };
        }
    }
    Ok(decoder)
}

/// `full_attn_idxs` lists the layers with attention; without it, all have it.
fn older_kinds(fields: &Fields, sizes: Sizes) -> Result<Vec<&'static str>> {
    const FIELD: &str = "full_attn_idxs";
    let Some(list) = fields.get(FIELD) else { return Ok(vec![FULL; sizes.num_hidden_layers]) };
    let mut kinds = vec![CONVOLUTION; sizes.num_hidden_layers];
    let invalid = || fields.invalid(FIELD, "it must be a list of numbers of layers, the first 0");
    for index in list.as_array().ok_or_else(invalid)? {
        let index = index.as_u64().and_then(|index| usize::try_from(index).ok()).ok_or_else(invalid)?;
        *kinds.get_mut(index).ok_or_else(invalid)? = FULL;
    }
    Ok(kinds)
}
