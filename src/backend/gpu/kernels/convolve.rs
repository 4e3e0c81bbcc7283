//! A gated short convolution: `shaders/convolve/thread.wgsl`, twin [`crate::backend::cpu::convolve`].

use super::with_slots;
use crate::backend::gpu::call::{Activation, Call, Extent, Grid, Resource, stride};
use crate::backend::gpu::shader::{self, Binding, Shader};
use crate::backend::gpu::target::Context;
use crate::error::{Error, Result};
use crate::model::network::{CacheSpec, Slot, VectorId};

const WORKGROUP: usize = 32;

/// Reads [`Slot::ConvolutionInput`], writes [`Slot::Convolved`].
pub(in crate::backend::gpu) fn call(context: &Context, block: usize, cache: usize) -> Result<Call> {
    let spec = context.cache(cache)?;
    let CacheSpec::Convolution { kernel_size } = spec else {
        return Err(Error::internal(format!("cache {cache} is none of a convolution")));
    };
    let network = context.network;
    let (input, output) = (Activation::Slot(Slot::ConvolutionInput), Activation::Slot(Slot::Convolved));
    let channels = network.config.hidden_size;
    let shader = Shader::new(shader::CONVOLVE_THREAD, context.target.max_batch)
        .constant("WORKGROUP", WORKGROUP)
        .constant("HIDDEN_SIZE", channels)
        .constant("KERNEL_SIZE", kernel_size)
        .constant("INPUT_STRIDE", stride(network, input))
        .constant("OUTPUT_STRIDE", stride(network, output));
    let resources = vec![
        (Binding::Input, Resource::Activation(input)),
        (Binding::Output, Resource::Activation(output)),
        (Binding::Cache, Resource::Cache(cache)),
        (Binding::Taps, Resource::Vector(VectorId::Convolution(block))),
    ];
    let grid = Grid { x: Extent::fixed(channels.div_ceil(WORKGROUP)), y: Extent::rows(1) };
    Ok(Call::new(format!("convolve {block}"), with_slots(shader, context.target, spec), resources, grid))
}
