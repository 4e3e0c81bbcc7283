//! Granite 3 (arXiv 2405.04324) and Granite 4.0's dense models: Llama with factors on the embedding, the scores, the residual
//! branches and the logits.

use super::gguf::Architecture;
use super::layers::{FULL, each_attention, kinds_of};
use super::tensors::{LLAMA, TensorNames};
use super::{Family, MAX_WIDTH, Neutral, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{DecoderSpec, RotaryPairs};
use crate::model::fields::Fields;

pub(super) const FAMILY: Family = Family {
    name: "Granite",
    model_types: &["granite"],
    reads: FIELDS,
    harmless: &[],
    decoder,
    gguf: &[Architecture {
        keys: &[
            ("attention.scale", "attention_multiplier"),
            ("embedding_scale", "embedding_multiplier"),
            ("logit_scale", "logits_scaling"),
            ("residual_scale", "residual_multiplier"),
        ],
        rotary_pairs: Some(RotaryPairs::Neighbours),
        ..Architecture::new("granite", "granite")
    }],
    ..llama::FAMILY
};

/// Granite 4.0 under the name of its hybrid models, whose state spaces and experts are refused: what remains is dense.
pub(super) const HYBRID: Family = Family {
    name: "Granite 4.0 (dense)",
    model_types: &["granitemoehybrid"],
    reads: &[
        "attention_multiplier",
        "embedding_multiplier",
        "layer_types",
        "layers_block_type",
        "logits_scaling",
        "position_embedding_type",
        "residual_multiplier",
        "shared_intermediate_size",
    ],
    harmless: &[
        "intermediate_size",
        "mamba_chunk_size",
        "mamba_conv_bias",
        "mamba_d_conv",
        "mamba_d_head",
        "mamba_d_state",
        "mamba_expand",
        "mamba_n_groups",
        "mamba_n_heads",
        "mamba_proj_bias",
        "normalization_function",
        "num_experts_per_tok",
        "output_router_logits",
        "router_aux_loss_coef",
        "time_step_limit",
        "time_step_max",
        "time_step_min",
    ],
    neutral: &[("num_local_experts", Neutral::Zero)],
    feed_forward_width: |fields| fields.size("shared_intermediate_size", MAX_WIDTH),
    decoder: hybrid_decoder,
    tensors: TensorNames {
        gate_up: Some("shared_mlp.input_linear"),
        down: "shared_mlp.output_linear",
        ..LLAMA
    },
    gguf: &[],
    ..FAMILY
};

/// What it has beside Llama's fields.
const FIELDS: &[&str] =
    &["attention_multiplier", "embedding_multiplier", "logits_scaling", "residual_multiplier"];

fn decoder(fields: &Fields, _: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    let factor = |field| fields.positive_or(field, 1.0);
    decoder.embedding_scale = factor("embedding_multiplier")? as f32;
    decoder.logit_scale = (1.0 / factor("logits_scaling")?) as f32;
    let (residual_scale, scale) = (factor("residual_multiplier")?, factor("attention_multiplier")?);
    for block in &mut decoder.blocks {
        block.residual_scale = residual_scale as f32;
    }
    each_attention(&mut decoder, |_, attention| attention.scale = scale as f32);
    Ok(decoder)
}

fn hybrid_decoder(fields: &Fields, sizes: Sizes, decoder: DecoderSpec) -> Result<DecoderSpec> {
    const ATTENTION: &str = "attention";
    let listed = kinds_of(fields, "layer_types", sizes, &[ATTENTION, FULL])?;
    let older = kinds_of(fields, "layers_block_type", sizes, &[ATTENTION, FULL])?;
    if listed.or(older).is_none() {
        return Err(fields.unsupported(
            "layers of mamba, which granitemoehybrid has where layer_types does not say otherwise",
            "Use one of Granite 4.0's dense models, whose layer_types are all attention",
        ));
    }
    if fields.get("num_local_experts").is_none() {
        return Err(fields.unsupported(
            "num_local_experts 8, which granitemoehybrid has where it does not say otherwise",
            "Use one of Granite 4.0's dense models",
        ));
    }
    let mut decoder = self::decoder(fields, sizes, decoder)?;
    match fields.text("position_embedding_type")? {
        Some("rope") => {}
        None | Some("nope") => each_attention(&mut decoder, |_, attention| attention.rotary = None),
        Some(other) => {
            let what = format!("position_embedding_type {other}");
            return Err(fields.unsupported(what, "It must be rope or nope"));
        }
    }
    Ok(decoder)
}
