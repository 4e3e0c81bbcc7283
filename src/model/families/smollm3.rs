//! `SmolLM3` (huggingface.co/blog/smollm3): Llama without rotation on some layers.

use super::gguf::Architecture;
use super::layers::{FULL, SLIDING, each_attention, kinds, set_windows, sliding_window, turned};
use super::{Family, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{DecoderSpec, RotaryPairs};
use crate::model::fields::Fields;
use crate::model::rope::RopeRules;

pub(super) const FAMILY: Family = Family {
    name: "SmolLM3",
    model_types: &["smollm3"],
    tied: true,
    rope: RopeRules { theta: 2_000_000.0, ..llama::FAMILY.rope },
    reads: &[
        "layer_types",
        "no_rope_layer_interval",
        "no_rope_layers",
        "sliding_window",
        "use_sliding_window",
    ],
    // Where windows are switched on, they are on the layers without rotation.
    harmless: &["max_window_layers"],
    decoder,
    gguf: &[Architecture {
        rotary_pairs: Some(RotaryPairs::Neighbours),
        ..Architecture::new("smollm3", "smollm3")
    }],
    ..llama::FAMILY
};

fn decoder(fields: &Fields, sizes: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    let turned = turned(fields, sizes)?;
    let switched_on = fields.flag("use_sliding_window", false)?;
    let window = if switched_on { sliding_window(fields, None)? } else { None };
    let kinds = kinds(fields, sizes, &[FULL, SLIDING])?.unwrap_or_else(|| {
        turned.iter().map(|turned| if window.is_some() && !turned { SLIDING } else { FULL }).collect()
    });
    set_windows(fields, &mut decoder, &kinds, window)?;
    each_attention(&mut decoder, |index, attention| {
        attention.rotary = attention.rotary.filter(|_| turned.get(index) == Some(&true));
    });
    Ok(decoder)
}
