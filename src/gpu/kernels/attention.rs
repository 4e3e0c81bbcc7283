//! Attention over a cache: `shaders/attention/*.wgsl`, twin [`crate::cpu::attention`].

use super::stride;
use crate::gpu::plan::{Activation, Call, Context, Extent, Grid, Resource};
use crate::gpu::shader::{self, Binding, Shader, Tier};
use crate::network::Slot;

/// One thread a head; workgroups are small, because there are few heads and a CPU core takes one at a time.
const THREAD_WORKGROUP: usize = 4;

/// Reads [`Slot::Query`], writes [`Slot::Context`].
pub(in crate::gpu) fn call(context: &Context, cache: usize) -> Call {
    let config = &context.network.config;
    let output = Activation::Slot(Slot::Context);
    let max_batch = context.target.max_batch;
    let (shader, workgroups) = match threads(context) {
        None => (
            Shader::new(shader::ATTENTION_THREAD, max_batch)
                .constant("WORKGROUP", THREAD_WORKGROUP)
                .constant("NUM_HEADS", config.num_heads),
            config.num_heads.div_ceil(THREAD_WORKGROUP),
        ),
        Some(threads) => (
            Shader::new(shader::ATTENTION_WORKGROUP, max_batch).constant("THREADS", threads),
            config.num_heads,
        ),
    };
    let shader = shader
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
    let grid = Grid { x: Extent::fixed(workgroups), y: Extent::Rows(1) };
    Call::new(format!("attention {cache}"), shader, resources, grid)
}

/// Threads of the workgroup that shares a head: at least one a pair of its columns. `None` where a single
/// thread does it, on software adapters and for absurdly wide heads.
fn threads(context: &Context) -> Option<usize> {
    let pairs = context.network.config.head_dim / 2;
    match context.target.tier {
        Tier::Software => None,
        Tier::Portable | Tier::Subgroups => [64, 128, 256].into_iter().find(|threads| *threads >= pairs),
    }
}
