//! Attention over a cache: `shaders/attention/*.wgsl`, twin [`crate::cpu::attention`].

use super::stride;
use crate::config::Config;
use crate::gpu::plan::{Activation, Call, Context, Extent, Grid, Lowering, Resource};
use crate::gpu::shader::{self, Binding, Shader, Tier};
use crate::network::Slot;

/// One thread a head; workgroups are small, because there are few heads and a CPU core takes one at a time.
const THREAD_WORKGROUP: usize = 4;

/// Splits of the positions at most: with nine heads, enough workgroups to fill a GPU.
pub(in crate::gpu) const SPLITS: usize = 16;

/// Positions that a workgroup goes through at once, one a thread. A split has no fewer: more splits would cost those who
/// combine them more than they save here.
const SPLIT_TILE: usize = 256;

/// The widest head whose values a workgroup holds.
const WIDEST: usize = 256;

/// Threads of a tile's workgroup.
const TILE_THREADS: usize = 64;

/// How the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Division {
    /// A thread computes a head of a token: on software adapters, and for heads of odd or absurd widths.
    Thread,
    /// A workgroup computes a split of the positions, for a head of a token.
    Split,
    /// A workgroup computes a tile of queries that share keys and values: `rows` queries, `lanes` threads each.
    Tiled { rows: usize, lanes: usize },
}

impl Division {
    fn of(context: &Context, lowering: Lowering) -> Self {
        let head_dim = context.network.config.head_dim;
        match (context.target.tier, lowering) {
            (Tier::Software, _) => Self::Thread,
            (Tier::Portable | Tier::Subgroups | Tier::F16, Lowering::One | Lowering::Few) => {
                if head_dim.is_multiple_of(8) && head_dim <= WIDEST { Self::Split } else { Self::Thread }
            }
            (Tier::Portable | Tier::Subgroups | Tier::F16, Lowering::Many) => {
                // Wider heads leave room for fewer queries.
                let rows = [(64, 16), (128, 8), (256, 4)].into_iter().find(|(widest, _)| head_dim <= *widest);
                rows.map_or(Self::Thread, |(_, rows)| Self::Tiled { rows, lanes: TILE_THREADS / rows })
            }
        }
    }
}

/// Where the result lies.
pub(in crate::gpu) fn output(context: &Context, lowering: Lowering) -> Activation {
    match Division::of(context, lowering) {
        Division::Split => Activation::Splits,
        Division::Thread | Division::Tiled { .. } => Activation::Slot(Slot::Context),
    }
}

/// What the kernel that makes splits and the piece that combines them have in common.
pub(super) fn with_splits(shader: Shader, config: &Config) -> Shader {
    shader
        .constant("HEAD_DIM", config.head_dim)
        .constant("NUM_HEADS", config.num_heads)
        .constant("SPLITS", SPLITS)
        .constant("SPLIT_TILE", SPLIT_TILE)
        .piece(shader::SPLIT)
}

/// Reads [`Slot::Query`], writes [`output`].
pub(in crate::gpu) fn call(context: &Context, lowering: Lowering, cache: usize) -> Call {
    let config = &context.network.config;
    let max_batch = context.target.max_batch;
    let output = output(context, lowering);
    let mut resources = vec![
        (Binding::Input, Resource::Activation(Activation::Slot(Slot::Query))),
        (Binding::Output, Resource::Activation(output)),
        (Binding::Cache, Resource::Cache(cache)),
    ];
    let heads_per_kv = config.num_heads / config.num_kv_heads;
    let division = Division::of(context, lowering);
    let (shader, grid) = match division {
        Division::Thread => (
            Shader::new(shader::ATTENTION_THREAD, max_batch)
                .constant("WORKGROUP", THREAD_WORKGROUP)
                .constant("HEAD_DIM", config.head_dim)
                .constant("NUM_HEADS", config.num_heads),
            Grid { x: Extent::fixed(config.num_heads.div_ceil(THREAD_WORKGROUP)), y: Extent::rows(1) },
        ),
        Division::Split => {
            resources.push((Binding::Stats, Resource::Activation(Activation::SplitStats)));
            let shader = Shader::new(shader::ATTENTION_SPLIT, max_batch).constant("THREADS", SPLIT_TILE);
            let x = Extent::fixed(config.num_heads * SPLITS);
            (with_splits(shader, config), Grid { x, y: Extent::rows(1) })
        }
        Division::Tiled { rows, lanes } => (
            Shader::new(shader::ATTENTION_TILED, max_batch)
                .constant("HEAD_DIM", config.head_dim)
                .constant("ROWS", rows)
                .constant("LANES", lanes),
            Grid {
                x: Extent::fixed(config.num_kv_heads),
                y: Extent::Rows { units: heads_per_kv as u32, per: rows as u32 },
            },
        ),
    };
    let shader = shader
        .constant("HEADS_PER_KV", heads_per_kv)
        .constant("KV_WIDTH", config.kv_width())
        .constant("SCALE", 1.0 / (config.head_dim as f32).sqrt());
    let stride = stride(context.network, Activation::Slot(Slot::Context));
    let shader = if division == Division::Split {
        shader.constant("OUTPUT_QUADS", stride / 4).piece(context.target.cache.octets_piece())
    } else {
        shader.constant("OUTPUT_PAIRS", stride / 2).piece(context.target.cache.read_piece())
    };
    Call::new(format!("attention {cache}"), shader, resources, grid)
}
