//! What configurations say of each layer.

use super::{MAX_WIDTH, Sizes};
use crate::error::Result;
use crate::model::decoder::{AttentionSpec, DecoderSpec, Mixer, Window};
use crate::model::fields::Fields;

/// A layer whose attention sees all positions, in `layer_types`.
pub(super) const FULL: &str = "full_attention";

/// A layer whose attention has a sliding window.
pub(super) const SLIDING: &str = "sliding_attention";

/// Calls `change` with each block's attention and its number.
pub(super) fn each_attention(decoder: &mut DecoderSpec, mut change: impl FnMut(usize, &mut AttentionSpec)) {
    for (index, block) in decoder.blocks.iter_mut().enumerate() {
        if let Mixer::Attention(attention) = &mut block.mixer {
            change(index, attention);
        }
    }
}

/// `layer_types`: for each layer, which of the `known` kinds it is; `None` where the field is absent.
pub(super) fn kinds(
    fields: &Fields,
    sizes: Sizes,
    known: &[&'static str],
) -> Result<Option<Vec<&'static str>>> {
    kinds_of(fields, "layer_types", sizes, known)
}

/// The same from a field of another name.
pub(super) fn kinds_of(
    fields: &Fields,
    field: &str,
    sizes: Sizes,
    known: &[&'static str],
) -> Result<Option<Vec<&'static str>>> {
    let Some(list) = fields.each_layer(field, sizes.num_hidden_layers)? else { return Ok(None) };
    let kind = |value: &serde_json::Value| {
        let found = known.iter().find(|kind| value.as_str() == Some(kind));
        found.copied().ok_or_else(|| {
            let what = format!("{field} {value}");
            fields.unsupported(what, format!("Layers of this family are {}", known.join(" or ")))
        })
    };
    list.iter().map(kind).collect::<Result<Vec<_>>>().map(Some)
}

/// The window of the layers that `sliding_window` is about; `None` where there is none.
pub(super) fn sliding_window(fields: &Fields, default: Option<usize>) -> Result<Option<Window>> {
    const FIELD: &str = "sliding_window";
    if fields.is_null(FIELD) {
        return Ok(None);
    }
    let size = fields.optional_size(FIELD, 1 << 24)?.or(default);
    Ok(size.map(Window::Sliding))
}

/// Gives each layer of the kind [`SLIDING`] the window, and says so where there is none.
pub(super) fn set_windows(
    fields: &Fields,
    decoder: &mut DecoderSpec,
    kinds: &[&str],
    window: Option<Window>,
) -> Result<()> {
    let missing = window.is_none() && kinds.contains(&SLIDING);
    if missing {
        return Err(
            fields.invalid("sliding_window", "it is missing, and some layer_types are sliding_attention")
        );
    }
    each_attention(decoder, |index, attention| {
        if kinds.get(index) == Some(&SLIDING) {
            attention.window = window.unwrap_or(Window::Full);
        }
    });
    Ok(())
}

/// `no_rope_layers`: which layers are turned. Where the field is absent or empty, all are but each `no_rope_layer_interval`-th.
pub(super) fn turned(fields: &Fields, sizes: Sizes) -> Result<Vec<bool>> {
    const FIELD: &str = "no_rope_layers";
    let interval = fields.size_or("no_rope_layer_interval", MAX_WIDTH, 4)?;
    match fields.each_layer(FIELD, sizes.num_hidden_layers)? {
        None => Ok((1..=sizes.num_hidden_layers).map(|number| !number.is_multiple_of(interval)).collect()),
        Some(list) => {
            list.iter()
                .map(|value| match value.as_u64().or(value.as_bool().map(u64::from)) {
                    Some(0) => Ok(false),
                    Some(1) => Ok(true),
                    _ => Err(fields
                        .invalid(FIELD, format!("{value} is neither 1 (with rotation) nor 0 (without)"))),
                })
                .collect()
        }
    }
}
