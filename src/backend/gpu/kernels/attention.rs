//! Attention over a cache: `shaders/attention/*.wgsl`, twin [`crate::backend::cpu::attention`].

use super::{with_slots, with_window};
use crate::backend::gpu::call::{Activation, Call, Extent, Grid, Resource, stride};
use crate::backend::gpu::shader::{self, Binding, Shader, Tier};
use crate::backend::gpu::target::{Context, Lowering};
use crate::error::Result;
use crate::model::config::Config;
use crate::model::decoder::Window;
use crate::model::network::Slot;

/// One thread a head; workgroups are small, because there are few heads and a CPU core takes one at a time.
const THREAD_WORKGROUP: usize = 4;

/// Splits of the positions at most: with nine heads, enough workgroups to fill a GPU.
pub(in crate::backend::gpu) const MAX_SPLITS: usize = 16;

/// Positions that a workgroup goes through at once, one a thread. A split has no fewer: more splits would cost those who
/// combine them more than they save here.
const SPLIT_TILE: usize = 256;

/// The widest head whose values a workgroup holds.
const WIDEST: usize = 256;

/// Threads that share a query of a tile, where there are so many positions.
const TILE_LANES: usize = 8;

/// Positions of a tile: more would keep too many scores in registers.
const MAX_TILE_POSITIONS: usize = 32;

/// Words of keys and values that a tile holds at most: half of the workgroup memory that every device has.
const TILE_WORDS: usize = 2048;

/// How the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WorkDivision {
    /// A thread computes a head of a token: on software adapters, and for heads of odd or absurd widths.
    Thread,
    /// A workgroup computes a split of the positions, for a head of a token.
    Split,
    /// A workgroup computes a tile of queries that share keys and values.
    Tiled,
}

impl WorkDivision {
    fn of(context: &Context, lowering: Lowering) -> Self {
        let head_dim = context.network.config.head_dim;
        match (context.target.tier, lowering) {
            (Tier::Software, _) => Self::Thread,
            _ if !head_dim.is_multiple_of(8) || head_dim > WIDEST => Self::Thread,
            (_, Lowering::LastRow | Lowering::Decode) => Self::Split,
            (_, Lowering::Prefill) => Self::Tiled,
        }
    }
}

/// Where the result lies.
pub(in crate::backend::gpu) fn output(context: &Context, lowering: Lowering) -> Activation {
    match WorkDivision::of(context, lowering) {
        WorkDivision::Split => Activation::Splits,
        WorkDivision::Thread | WorkDivision::Tiled => Activation::Slot(Slot::Context),
    }
}

/// What the kernel that makes splits and the piece that combines them have in common.
pub(super) fn with_splits(shader: Shader, config: &Config, window: Window) -> Shader {
    let shader = shader
        .constant("HEAD_DIM", config.head_dim)
        .constant("NUM_HEADS", config.num_heads)
        .constant("SPLITS", splits(window))
        .constant("SPLIT_TILE", SPLIT_TILE)
        .piece(shader::SPLIT);
    with_window(shader, window)
}

/// Splits of what a token sees: a small window does not fill many.
fn splits(window: Window) -> usize {
    window.len().map_or(MAX_SPLITS, |len| len.div_ceil(SPLIT_TILE).clamp(1, MAX_SPLITS))
}

/// Reads [`Slot::Query`], writes [`output`].
pub(in crate::backend::gpu) fn call(
    context: &Context,
    lowering: Lowering,
    cache: usize,
    scale: f32,
) -> Result<Call> {
    let spec = context.cache(cache)?;
    let window = spec.window();
    let config = &context.network.config;
    let max_batch = context.target.max_batch;
    let output = output(context, lowering);
    let mut resources = vec![
        (Binding::Input, Resource::Activation(Activation::Slot(Slot::Query))),
        (Binding::Output, Resource::Activation(output)),
        (Binding::Cache, Resource::Cache(cache)),
    ];
    let heads_per_kv = config.num_heads / config.num_kv_heads;
    let division = WorkDivision::of(context, lowering);
    let (shader, grid) = match division {
        WorkDivision::Thread => (
            with_window(Shader::new(shader::ATTENTION_THREAD, max_batch), window)
                .constant("WORKGROUP", THREAD_WORKGROUP)
                .constant("HEAD_DIM", config.head_dim)
                .constant("NUM_HEADS", config.num_heads),
            Grid { x: Extent::fixed(config.num_heads.div_ceil(THREAD_WORKGROUP)), y: Extent::rows(1) },
        ),
        WorkDivision::Split => {
            resources.push((Binding::Stats, Resource::Activation(Activation::SplitStats)));
            let shader = Shader::new(shader::ATTENTION_SPLIT, max_batch).constant("THREADS", SPLIT_TILE);
            let x = Extent::fixed(config.num_heads * splits(window));
            (with_splits(shader, config, window), Grid { x, y: Extent::rows(1) })
        }
        WorkDivision::Tiled => {
            // Wider heads leave room for fewer queries and positions.
            let rows = match config.head_dim {
                0..=64 => 16,
                65..=128 => 8,
                _ => 4,
            };
            let positions = 1 << (TILE_WORDS / context.target.cache.row_words(config.head_dim)).ilog2();
            let positions = positions.min(MAX_TILE_POSITIONS);
            (
                with_window(Shader::new(shader::ATTENTION_TILED, max_batch), window)
                    .constant("HEAD_DIM", config.head_dim)
                    .constant("ROWS", rows)
                    .constant("LANES", positions.min(TILE_LANES))
                    .constant("TILE", positions),
                Grid {
                    x: Extent::fixed(config.num_kv_heads),
                    y: Extent::Rows { units: heads_per_kv as u32, per: rows as u32 },
                },
            )
        }
    };
    let shader = with_slots(shader, context.target, spec)
        .constant("HEADS_PER_KV", heads_per_kv)
        .constant("KV_WIDTH", config.kv_width())
        .constant("SCALE", scale);
    let stride = stride(context.network, Activation::Slot(Slot::Context));
    let shader = if division == WorkDivision::Thread {
        shader.constant("OUTPUT_PAIRS", stride / 2).piece(context.target.cache.read_piece())
    } else {
        shader.constant("OUTPUT_QUADS", stride / 4).piece(context.target.cache.octets_piece())
    };
    Ok(Call::new(format!("attention {cache}"), shader, resources, grid))
}
