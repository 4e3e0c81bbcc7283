//! Attention over a cache: `shaders/attention/*.wgsl`, twin [`crate::cpu::attention`].

use super::stride;
use crate::gpu::plan::{Activation, Call, Context, Extent, Grid, Resource};
use crate::gpu::shader::{self, Binding, Shader};
use crate::network::Slot;

/// Workgroups are small: there are few heads, and a CPU core takes one workgroup at a time.
const WORKGROUP: usize = 4;

/// Reads [`Slot::Query`], writes [`Slot::Context`].
pub(in crate::gpu) fn call(context: &Context, cache: usize) -> Call {
    let config = &context.network.config;
    let output = Activation::Slot(Slot::Context);
    let shader = Shader::new(shader::ATTENTION_THREAD, context.target.max_batch)
        .constant("WORKGROUP", WORKGROUP)
        .constant("NUM_HEADS", config.num_heads)
        .constant("HEADS_PER_KV", config.num_heads / config.num_kv_heads)
        .constant("HEAD_DIM", config.head_dim)
        .constant("KV_WIDTH", config.kv_width())
        .constant("OUTPUT_PAIRS", stride(context.network, output) / 2)
        .constant("SCALE", 1.0 / (config.head_dim as f32).sqrt())
        .piece(context.target.cache.read_piece());
    let resources = vec![
        (Binding::Input, Resource::Activation(Activation::Slot(Slot::Query))),
        (Binding::Output, Resource::Activation(output)),
        (Binding::Cache, Resource::Cache(cache)),
    ];
    let grid = Grid { x: Extent::fixed(config.num_heads.div_ceil(WORKGROUP)), y: Extent::Rows(1) };
    Call::new(format!("attention {cache}"), shader, resources, grid)
}
