//! What Llama-like configurations ask for and the network does not compute: refused by name, never ignored.

use serde_json::Value;

use super::FILE;
use super::fields::Fields;
use crate::error::{Error, Result};

const SUPPORTED: &str =
    "Supported are llama and mobilellm checkpoints (MobileLLM, MobileLLM-LS, SmolLM2, Llama 2 and 3)";

/// Fields that change the computation unless they are absent, null, false, 0 or empty.
const SWITCHES: [&str; 13] = [
    "attention_chunk_size",
    "attn_logit_softcapping",
    "clip_qkv",
    "cross_attention_layers",
    "final_logit_softcapping",
    "kv_lora_rank",
    "no_rope_layers",
    "num_experts",
    "num_local_experts",
    "parallel_residual",
    "qk_norm",
    "use_parallel_residual",
    "use_qk_norm",
];

/// Factors that change the computation unless they are absent, null or 1.
const FACTORS: [&str; 5] =
    ["embedding_multiplier", "logit_scale", "logits_scaling", "residual_multiplier", "scale_emb"];

/// Fields that change the computation whenever they are there.
const STRANGERS: [&str; 4] =
    ["attention_multiplier", "dim_model_base", "query_pre_attn_scalar", "scale_depth"];

/// Says no by name to what the network does not compute.
pub(super) fn refuse(fields: &Fields) -> Result<()> {
    let unsupported = |what: String| Err(Error::unsupported(FILE, what, SUPPORTED));
    let model_type = fields.text("model_type")?.unwrap_or("llama");
    if !matches!(model_type, "llama" | "mobilellm") {
        return unsupported(format!("model_type {model_type}"));
    }
    let activation = fields.text("hidden_act")?.unwrap_or("silu");
    if !matches!(activation, "silu" | "swish") {
        let remedy = "The gated activation must be silu";
        return Err(Error::unsupported(FILE, format!("hidden_act {activation}"), remedy));
    }
    if let Some(method) =
        fields.object("quantization_config")?.and_then(|foreign| foreign.get("quant_method"))
    {
        let remedy = "Use the original float checkpoint or an MLX-quantised one";
        let what = format!("quantization_config.quant_method {}", plain(method));
        return Err(Error::unsupported(FILE, what, remedy));
    }
    let asked = |field: &&str, neutral: fn(&Value) -> bool| fields.get(field).is_some_and(|v| !neutral(v));
    let switch = SWITCHES.into_iter().find(|field| asked(field, is_off));
    let factor = FACTORS.into_iter().find(|field| asked(field, |value| value.as_f64() == Some(1.0)));
    let stranger = STRANGERS.into_iter().find(|field| asked(field, |_| false));
    if let Some(field) = switch.or(factor).or(stranger) {
        let value = fields.get(field).map(plain).unwrap_or_default();
        return unsupported(format!("{field} {value}"));
    }
    refuse_sliding_windows(fields)
}

/// A window that a switch turns off, or that no layer has, is none.
fn refuse_sliding_windows(fields: &Fields) -> Result<()> {
    let kinds = fields.get("layer_types").and_then(Value::as_array);
    let foreign = kinds.into_iter().flatten().find(|kind| kind.as_str() != Some("full_attention"));
    if let Some(kind) = foreign {
        return Err(Error::unsupported(FILE, format!("layer_types {}", plain(kind)), SUPPORTED));
    }
    let window = fields.get("sliding_window").filter(|window| !is_off(window));
    match window {
        Some(window) if kinds.is_none() && fields.flag("use_sliding_window", true)? => {
            Err(Error::unsupported(FILE, format!("sliding_window {}", plain(window)), SUPPORTED))
        }
        _ => Ok(()),
    }
}

/// Null, false, zero or empty.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(list) => list.is_empty(),
        Value::Object(_) | Value::String(_) => false,
    }
}

/// A value as a person would write it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
