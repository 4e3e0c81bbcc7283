//! Mistral (arXiv 2310.06825): Llama with a window on all layers, where there is one.

use super::layers::{each_attention, sliding_window};
use super::{Family, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::{DecoderSpec, Window};
use crate::model::fields::Fields;

pub(super) const FAMILY: Family = Family {
    name: "Mistral",
    model_types: &["mistral"],
    reads: &["sliding_window"],
    harmless: &[],
    decoder,
    // Its files say `llama`.
    gguf: &[],
    ..llama::FAMILY
};

fn decoder(fields: &Fields, _: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    let window = sliding_window(fields, Some(4096))?.unwrap_or(Window::Full);
    each_attention(&mut decoder, |_, attention| attention.window = window);
    Ok(decoder)
}
