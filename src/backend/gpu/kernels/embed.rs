//! Token embedding: `shaders/embed/thread.wgsl`, twin [`crate::backend::cpu::embed`].

use super::{Widths, weight_resources, with_weights};
use crate::backend::gpu::call::{Activation, Call, Extent, Grid, Resource, stride};
use crate::backend::gpu::shader::{self, Binding, Shader};
use crate::backend::gpu::target::Context;
use crate::error::Result;
use crate::model::network::{MatrixId, Slot};

const WORKGROUP: usize = 32;

/// One call for each part of the embedding, whose rows are multiplied with `scale`.
pub(in crate::backend::gpu) fn calls(context: &Context, scale: f32, calls: &mut Vec<Call>) -> Result<()> {
    let id = MatrixId::Embedding;
    let layout = context.layout(id)?;
    let output = Activation::Slot(Slot::Hidden);
    let quads = layout.cols.div_ceil(4);
    for part in 0..layout.parts.len() {
        let shader =
            with_weights(Shader::new(shader::EMBED_THREAD, context.target.max_batch), layout, Widths::Own)
                .constant("WORKGROUP", WORKGROUP)
                .constant("COLS_QUADS", quads)
                .constant("EMBED_SCALE", scale)
                .constant("OUTPUT_QUADS", stride(context.network, output) / 4);
        let mut resources = weight_resources(id, layout, part);
        resources.push((Binding::Output, Resource::Activation(output)));
        let grid = Grid { x: Extent::fixed(quads.div_ceil(WORKGROUP)), y: Extent::rows(1) };
        calls.push(Call::new("embed".to_owned(), shader, resources, grid));
    }
    Ok(())
}
