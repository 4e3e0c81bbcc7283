//! RMSNorm as a call of its own: `shaders/rms_norm/*.wgsl`, twin [`crate::cpu::rms_norm`].

use super::stride;
use crate::gpu::plan::{Activation, Call, Context, Extent, Grid, Resource};
use crate::gpu::shader::{self, Binding, Shader};
use crate::network::{Slot, VectorId};

/// Workgroups are small, because one token is one thread's work.
const WORKGROUP: usize = 4;

/// Normalises `input` into [`Activation::Normed`]; from the first wanted row on with `wanted_rows`.
pub(in crate::gpu) fn call(context: &Context, norm: VectorId, input: Slot, wanted_rows: bool) -> Call {
    let output = Activation::Normed(input);
    let shader = Shader::new(shader::RMS_NORM_THREAD, context.target.max_batch)
        .constant("WORKGROUP", WORKGROUP)
        .constant("COLS", context.network.width(input))
        .constant("STRIDE_QUADS", stride(context.network, output) / 4)
        .constant("EPSILON", context.network.config.rms_norm_eps)
        .constant("WANTED_ROWS", wanted_rows);
    let resources = vec![
        (Binding::NormWeight, Resource::Vector(norm)),
        (Binding::Input, Resource::Activation(Activation::Slot(input))),
        (Binding::Output, Resource::Activation(output)),
    ];
    let grid = Grid { x: Extent::Rows(WORKGROUP as u32), y: Extent::fixed(1) };
    Call::new(format!("rms_norm {norm:?}"), shader, resources, grid)
}
