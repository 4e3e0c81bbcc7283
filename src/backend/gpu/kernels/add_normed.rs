//! A branch that is normalised before it is added to the residual stream: `shaders/add_normed/*.wgsl`, twin
//! [`crate::backend::cpu::add_normed`].

use super::rms_norm::with_rows;
use crate::backend::gpu::call::{Activation, Call, Resource, stride};
use crate::backend::gpu::shader::{self, Binding};
use crate::backend::gpu::target::Context;
use crate::model::network::{Slot, VectorId};

/// Adds `input`, normalised and multiplied with `scale`, to [`Slot::Hidden`].
pub(in crate::backend::gpu) fn call(context: &Context, norm: VectorId, input: Slot, scale: f32) -> Call {
    let input = Activation::Slot(input);
    let kernels = (shader::ADD_NORMED_THREAD, shader::ADD_NORMED_WORKGROUP);
    let (shader, grid) = with_rows(context, kernels);
    let shader = shader
        .constant("COLS", context.network.width(input.slot()))
        .constant("STRIDE_QUADS", stride(context.network, input) / 4)
        .constant("EPSILON", context.network.config.rms_norm_eps)
        .constant("BRANCH_SCALE", scale);
    let resources = vec![
        (Binding::NormWeight, Resource::Vector(norm)),
        (Binding::Input, Resource::Activation(input)),
        (Binding::Output, Resource::Activation(Activation::Slot(Slot::Hidden))),
    ];
    Call::new(format!("add_normed {norm:?}"), shader, resources, grid)
}
