//! The fields of `config.json` that mean the same for every family.

use serde_json::Value;

use super::Neutral;
use crate::error::Result;
use crate::model::fields::Fields;

/// Those that `Config::parse` reads, and those of every decoder.
pub(super) const READ: &[&str] = &[
    "attention_bias",
    "bos_token_id",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "quantization",
    // Another method than MLX's is refused before.
    "quantization_config",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "tie_word_embeddings",
    "vocab_size",
];

/// Those that concern training, the Python that made the file, or generating (which `generation_config.json` says).
pub(super) const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "attn_implementation",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "eos_token",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "is_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "mlp_dropout",
    "model_max_length",
    "name_or_path",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    // It says in how many slices the makers computed the same products.
    "pretraining_tp",
    "problem_type",
    "pruned_heads",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
];

/// Those that other architectures have, with the values that ask for nothing.
pub(super) const NEUTRAL: &[(&str, Neutral)] = &[
    ("attention_chunk_size", Neutral::Zero),
    ("attn_logit_softcapping", Neutral::Zero),
    ("clip_qkv", Neutral::Zero),
    ("cross_attention_layers", Neutral::Zero),
    ("embedding_multiplier", Neutral::One),
    ("final_logit_softcapping", Neutral::Zero),
    ("kv_lora_rank", Neutral::Zero),
    ("layer_types", Neutral::Each("full_attention")),
    ("logit_scale", Neutral::One),
    ("logits_scaling", Neutral::One),
    ("no_rope_layers", Neutral::Zero),
    ("num_experts", Neutral::Zero),
    ("num_local_experts", Neutral::Zero),
    ("residual_multiplier", Neutral::One),
    ("scale_emb", Neutral::One),
    ("sliding_window", Neutral::Zero),
];

/// Those that describe attention windows, and nothing else.
pub(super) const OF_WINDOWS: &[&str] = &["max_window_layers", "sliding_window", "use_sliding_window"];

/// Whether no layer has an attention window, whatever its size is said to be.
pub(super) fn windows_are_off(fields: &Fields) -> Result<bool> {
    let switched_off = !fields.flag("use_sliding_window", true)?;
    let kinds = fields.get("layer_types");
    Ok(switched_off || kinds.is_some_and(|kinds| Neutral::Each("full_attention").is(kinds)))
}

/// Weights that other software quantised are another container.
pub(super) fn refuse_foreign_quantization(fields: &Fields) -> Result<()> {
    let config = fields.object("quantization_config")?;
    let Some(method) = config.and_then(|config| config.get("quant_method")) else { return Ok(()) };
    let remedy = "Use the original float checkpoint or an MLX-quantised one";
    let what = format!("quantization_config.quant_method {}", plain(method));
    Err(fields.unsupported(what, remedy))
}

/// A refused value as a person would write it; of a list of kinds of layers only the one that is refused.
pub(super) fn shown(field: &str, value: &Value) -> String {
    let offender = match (field, value) {
        ("layer_types", Value::Array(kinds)) => {
            kinds.iter().find(|kind| kind.as_str() != Some("full_attention"))
        }
        _ => None,
    };
    plain(offender.unwrap_or(value))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
