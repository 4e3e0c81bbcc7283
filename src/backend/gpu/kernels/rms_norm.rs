//! RMSNorm as a call of its own: `shaders/rms_norm/*.wgsl`, twin [`crate::backend::cpu::rms_norm`].

use super::with_reduction;
use crate::backend::gpu::call::{Activation, Call, Extent, Grid, Resource, stride};
use crate::backend::gpu::shader::{self, Binding, Piece, Shader, Tier};
use crate::backend::gpu::target::Context;
use crate::model::network::{Slot, VectorId};

/// One thread a token; workgroups are small, because a CPU core takes one at a time.
const THREAD_WORKGROUP: usize = 4;

/// Threads that share a token.
const THREADS: usize = 64;

/// Normalises `input` into [`Activation::Normed`]; from the first wanted row on with `wanted_rows`.
pub(in crate::backend::gpu) fn call(
    context: &Context,
    norm: VectorId,
    input: Slot,
    wanted_rows: bool,
) -> Call {
    let output = Activation::Normed(input);
    let (shader, grid) = with_rows(context, (shader::RMS_NORM_THREAD, shader::RMS_NORM_WORKGROUP));
    let shader = shader
        .constant("COLS", context.network.width(input))
        .constant("STRIDE_QUADS", stride(context.network, output) / 4)
        .constant("EPSILON", context.network.config.rms_norm_eps)
        .constant("WANTED_ROWS", wanted_rows);
    let resources = vec![
        (Binding::NormWeight, Resource::Vector(norm)),
        (Binding::Input, Resource::Activation(Activation::Slot(input))),
        (Binding::Output, Resource::Activation(output)),
    ];
    Call::new(format!("rms_norm {norm:?}"), shader, resources, grid)
}

/// A kernel that sums the squares of rows: the first of two, where a thread takes a whole row, or the second, where a workgroup
/// does.
pub(super) fn with_rows(context: &Context, (thread, workgroup): (Piece, Piece)) -> (Shader, Grid) {
    let max_batch = context.target.max_batch;
    let (shader, rows) = match context.target.tier {
        Tier::Software => {
            (Shader::new(thread, max_batch).constant("WORKGROUP", THREAD_WORKGROUP), THREAD_WORKGROUP)
        }
        Tier::Portable | Tier::Subgroups | Tier::F16 => {
            let lanes = context.target.max_lanes();
            (with_reduction(Shader::new(workgroup, max_batch), context.target, THREADS, lanes), 1)
        }
    };
    (shader, Grid { x: Extent::rows(rows), y: Extent::fixed(1) })
}
