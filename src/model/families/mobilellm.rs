//! MobileLLM and MobileLLM-LS (arXiv 2402.14905): Llama with one matrix for input and output, and, in LS, blocks that run
//! twice in a row.

use super::{Family, Sizes, llama};
use crate::error::Result;
use crate::model::decoder::DecoderSpec;
use crate::model::fields::Fields;

/// What it has beside Llama's fields.
pub(super) const FIELDS: &[&str] = &["layer_sharing", "layer_sharing_shared_kv", "share_embedding"];

pub(super) const FAMILY: Family =
    // Its makers publish no files of llama.cpp; converted ones say `llama`.
    Family { name: "MobileLLM", model_types: &["mobilellm"], harmless: &[], gguf: &[], ..llama::FAMILY };

/// Section 3.4 of the paper for layer sharing. Released configurations say `share_embedding` beside
/// `tie_word_embeddings: false`; the first is what holds.
pub(super) fn decoder(fields: &Fields, _: Sizes, mut decoder: DecoderSpec) -> Result<DecoderSpec> {
    let shared_kv = fields.flag("layer_sharing_shared_kv", false)?;
    let layer_sharing = fields.flag("layer_sharing", false)?;
    if shared_kv && !layer_sharing {
        return Err(fields.invalid("layer_sharing_shared_kv", "it means nothing without layer_sharing"));
    }
    // The paper's models share the embedding; its own configurations do not always say so.
    let is_silent = fields.get("tie_word_embeddings").is_none() && fields.get("share_embedding").is_none();
    let shares_silently = is_silent && fields.text("model_type")? == FAMILY.model_types.first().copied();
    decoder.tied_embeddings |= fields.flag("share_embedding", false)? || shares_silently;
    for block in &mut decoder.blocks {
        block.runs = if layer_sharing { 2 } else { 1 };
        block.shared_kv = shared_kv;
    }
    Ok(decoder)
}
