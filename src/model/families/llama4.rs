//! Llama 4's text decoder without experts, as MobileLLM-R1 uses it: norms of queries and keys after their rotation, layers
//! without rotation whose queries have a temperature, and attention within chunks.

use super::layers::{FULL, each_attention, kinds, turned};
use super::tensors::{LLAMA, TensorNames};
use super::{Family, MAX_WIDTH, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{DecoderSpec, QueryKeyNorm, RotaryPairs, Temperature, Window};
use crate::model::fields::Fields;

pub(super) const FAMILY: Family = Family {
    name: "MobileLLM-R1 (Llama 4)",
    model_types: &["llama4_text"],
    epsilon: ("rms_norm_eps", 1e-5),
    head_dim: Some(128),
    feed_forward_width: |fields| fields.size_or("intermediate_size_mlp", MAX_WIDTH, 16_384),
    reads: &[
        "attention_chunk_size",
        "attn_scale",
        "attn_temperature_tuning",
        "floor_scale",
        "interleave_moe_layer_step",
        "intermediate_size_mlp",
        "layer_types",
        "moe_layers",
        "no_rope_layer_interval",
        "no_rope_layers",
        "use_qk_norm",
    ],
    // Experts are refused by the list of layers that have them.
    harmless: &[
        "for_llm_compressor",
        "num_experts_per_tok",
        "num_local_experts",
        "output_router_logits",
        "router_aux_loss_coef",
        "router_jitter_noise",
    ],
    decoder,
    tensors: TensorNames {
        gate: "feed_forward.gate_proj",
        up: "feed_forward.up_proj",
        down: "feed_forward.down_proj",
        ..LLAMA
    },
    // llama.cpp reads none without experts.
    gguf: &[],
    ..llama::FAMILY
};

/// A layer whose attention sees the positions of its own chunk, in `layer_types`.
const CHUNKED: &str = "chunked_attention";

fn decoder(fields: &Fields, sizes: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    refuse_experts(fields, sizes)?;
    decoder.rotary_pairs = RotaryPairs::Neighbours;
    let turned = turned(fields, sizes)?;
    let chunk = if fields.is_null("attention_chunk_size") {
        None
    } else {
        Some(fields.size_or("attention_chunk_size", 1 << 24, 8192)?)
    };
    let kinds = kinds(fields, sizes, &[FULL, CHUNKED])?.unwrap_or_else(|| {
        turned.iter().map(|turned| if *turned && chunk.is_some() { CHUNKED } else { FULL }).collect()
    });
    if chunk.is_none() && kinds.contains(&CHUNKED) {
        return Err(fields
            .invalid("attention_chunk_size", "it is missing, and some layer_types are chunked_attention"));
    }
    let norm = fields.flag("use_qk_norm", true)?.then_some(QueryKeyNorm::HeadsAfterRotation);
    let temperature = Temperature {
        floor_scale: fields.positive_or("floor_scale", 8192.0)? as f32,
        attention_scale: fields.number_or("attn_scale", 0.1)? as f32,
    };
    let tempered = fields.flag("attn_temperature_tuning", true)?;
    each_attention(&mut decoder, |index, attention| {
        if kinds.get(index) == Some(&CHUNKED) {
            attention.window = chunk.map_or(Window::Full, Window::Chunked);
        }
        if turned.get(index) == Some(&true) {
            attention.query_key_norm = norm;
        } else {
            attention.rotary = None;
            attention.temperature = tempered.then_some(temperature);
        }
    });
    Ok(decoder)
}

/// Layers of experts are those of `moe_layers`; without the list, each `interleave_moe_layer_step`-th.
fn refuse_experts(fields: &Fields, sizes: Sizes) -> Result<()> {
    let listed = fields.get("moe_layers").and_then(serde_json::Value::as_array);
    let step = fields.number_or("interleave_moe_layer_step", 1.0)?;
    let none = match listed {
        Some(layers) => layers.is_empty(),
        None => step < 1.0 || step > sizes.num_hidden_layers as f64,
    };
    if none {
        return Ok(());
    }
    let what = "layers of experts (moe_layers, interleave_moe_layer_step)";
    Err(fields.unsupported(what, "Use a dense checkpoint, such as MobileLLM-R1, with an empty moe_layers"))
}
