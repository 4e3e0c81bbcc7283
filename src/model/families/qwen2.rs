//! Qwen2 and Qwen2.5 (arXiv 2407.10671): Llama with biases on queries, keys and values, and, where it is switched on, a window
//! on the upper layers.

use super::gguf::Architecture;
use super::layers::{FULL, SLIDING, kinds, set_windows, sliding_window};
use super::{Family, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{Biases, DecoderSpec};
use crate::model::fields::Fields;

pub(super) const FAMILY: Family = Family {
    name: "Qwen2",
    model_types: &["qwen2"],
    reads: FIELDS,
    harmless: &["use_mrope"],
    decoder,
    gguf: &[Architecture::new("qwen2", "qwen2")],
    ..llama::FAMILY
};

/// What it has beside Llama's fields.
pub(super) const FIELDS: &[&str] =
    &["layer_types", "max_window_layers", "sliding_window", "use_sliding_window"];

fn decoder(fields: &Fields, sizes: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    // No field says so.
    for block in &mut decoder.blocks {
        block.biases = Biases { qkv: [true; 3], ..Biases::default() };
    }
    windows(fields, sizes, &mut decoder)?;
    Ok(decoder)
}

/// A size of a window says nothing unless windows are switched on.
pub(super) fn windows(fields: &Fields, sizes: Sizes, decoder: &mut DecoderSpec) -> Result<()> {
    let switched_on = fields.flag("use_sliding_window", false)?;
    let window = if switched_on { sliding_window(fields, Some(4096))? } else { None };
    let first = match fields.get("max_window_layers").and_then(serde_json::Value::as_u64) {
        Some(0) => 0,
        _ => fields.size_or("max_window_layers", 1 << 10, 28)?,
    };
    let kinds = kinds(fields, sizes, &[FULL, SLIDING])?.unwrap_or_else(|| {
        let kind = |index| if window.is_some() && index >= first { SLIDING } else { FULL };
        (0..sizes.num_hidden_layers).map(kind).collect()
    });
    set_windows(fields, decoder, &kinds, window)
}
