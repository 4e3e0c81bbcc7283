//! Projections: `shaders/matmul/*.wgsl` finished by `shaders/epilogue/*.wgsl`, twins [`crate::backend::cpu::matmul`],
//! [`crate::backend::cpu::rotary`] and [`crate::backend::cpu::gated`].

use super::attention::with_splits;
use super::{Widths, row_chunks, weight_resources, with_reduction, with_rotary, with_slots, with_weights};
use crate::backend::gpu::call::{Activation, Call, Extent, Grid, Resource, stride};
use crate::backend::gpu::layout::Layout;
use crate::backend::gpu::shader::{self, Binding, Shader, Tier};
use crate::backend::gpu::target::{Context, Lowering, Target};
use crate::error::Result;
use crate::model::decoder::{ActivationFunction, Window};
use crate::model::matrix::Format;
use crate::model::network::{Epilogue, MatrixId, Slot, VectorId};

/// Threads of a workgroup where every thread works alone.
const THREAD_WORKGROUP: usize = 32;

/// Tokens that such a thread computes of a batch.
const THREAD_TOKENS: usize = 4;

/// Rows and tokens of a workgroup's tile in `matmul/tiled.wgsl`.
const TILE: usize = 32;

/// The same of `lib/large_tile.wgsl`.
const LARGE_TILE: (usize, usize) = (64, 32);

/// Threads of a workgroup of `matmul/vector.wgsl`.
const VECTOR_THREADS: usize = 64;

/// Rows from which on there are more pairs than keep a GPU busy, so that a few of them share what is loaded of the
/// input.
const MANY_ROWS: usize = 2048;
const VERY_MANY_ROWS: usize = 1 << 14;

/// A projection.
pub(in crate::backend::gpu) struct Matmul {
    pub(in crate::backend::gpu) weight: MatrixId,
    pub(in crate::backend::gpu) bias: Option<VectorId>,
    pub(in crate::backend::gpu) input: Activation,
    /// The norm that the kernel applies to its input; only [`WorkDivision::Vector`] can.
    pub(in crate::backend::gpu) norm: Option<VectorId>,
    pub(in crate::backend::gpu) epilogue: Epilogue,
    /// The slot that the epilogue fills.
    pub(in crate::backend::gpu) output: Activation,
    /// Input rows start at the first wanted one.
    pub(in crate::backend::gpu) wanted_rows: bool,
    /// For how many rows.
    pub(in crate::backend::gpu) lowering: Lowering,
    /// What the attention saw whose [`Activation::Splits`] the input may be.
    pub(in crate::backend::gpu) window: Window,
}

/// How the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::gpu) enum WorkDivision {
    /// A thread computes a pair of rows for this many tokens.
    Thread { tokens: usize },
    /// A few threads compute a pair of rows for one token.
    Vector,
    /// A workgroup computes a tile of rows and tokens.
    Tiled,
}

impl WorkDivision {
    pub(in crate::backend::gpu) fn of(tier: Tier, lowering: Lowering) -> Self {
        match (tier, lowering) {
            (Tier::Software, Lowering::LastRow | Lowering::Decode) => Self::Thread { tokens: 1 },
            (Tier::Software, Lowering::Prefill) => Self::Thread { tokens: THREAD_TOKENS },
            (Tier::Portable | Tier::Subgroups | Tier::F16, Lowering::LastRow | Lowering::Decode) => {
                Self::Vector
            }
            (Tier::Portable | Tier::Subgroups | Tier::F16, Lowering::Prefill) => Self::Tiled,
        }
    }
}

impl Matmul {
    /// One call for each part of the matrix.
    pub(in crate::backend::gpu) fn calls(&self, context: &Context, calls: &mut Vec<Call>) -> Result<()> {
        let layout = context.layout(self.weight)?;
        // With only the queries asked for, key and value rows are left out.
        let rows = match self.epilogue {
            Epilogue::Rotate { .. } => context.network.config.query_width(),
            _ => layout.rows,
        };
        for (part, range) in layout.parts.iter().enumerate().filter(|(_, range)| range.start < rows) {
            let mut resources = weight_resources(self.weight, layout, part);
            resources.push((Binding::Input, Resource::Activation(self.input)));
            let (shader, grid) = self.divide(context, layout, range.end.min(rows) - range.start);
            let widths = match WorkDivision::of(context.target.tier, self.lowering) {
                WorkDivision::Thread { .. } | WorkDivision::Tiled => Widths::Any,
                // It unpacks a weight for a single use.
                WorkDivision::Vector => Widths::Own,
            };
            let shader = with_weights(shader, layout, widths)
                .constant("INPUT_QUADS", stride(context.network, self.input) / 4)
                .constant("WANTED_ROWS", self.wanted_rows);
            let shader = self.with_bias(shader, &mut resources);
            let shader = self.with_input(context, shader, &mut resources);
            let shader = self.with_epilogue(context, shader, rows, &mut resources)?;
            calls.push(Call::new(format!("matmul {:?}", self.weight), shader, resources, grid));
        }
        Ok(())
    }

    /// The kernel with its constants, and its workgroups for `rows` rows.
    fn divide(&self, context: &Context, layout: &Layout, rows: usize) -> (Shader, Grid) {
        let max_batch = context.target.max_batch;
        let each_row = if self.lowering == Lowering::LastRow { Extent::fixed(1) } else { Extent::rows(1) };
        match WorkDivision::of(context.target.tier, self.lowering) {
            WorkDivision::Thread { tokens } => (
                Shader::new(shader::MATMUL_THREAD, max_batch)
                    .constant("WORKGROUP", THREAD_WORKGROUP)
                    .constant("TOKENS", tokens),
                Grid {
                    x: Extent::fixed(rows.div_ceil(2 * THREAD_WORKGROUP)),
                    y: if tokens == 1 { each_row } else { Extent::rows(tokens) },
                },
            ),
            WorkDivision::Vector => {
                let chunks = row_chunks(layout, Widths::Own);
                let lanes = chunks.next_power_of_two().clamp(4, context.target.max_lanes());
                let pairs = match rows {
                    0..MANY_ROWS => 1,
                    MANY_ROWS..VERY_MANY_ROWS => 2,
                    _ => 4,
                };
                let shader = Shader::new(shader::MATMUL_VECTOR, max_batch).constant("PAIRS", pairs);
                let groups = VECTOR_THREADS / lanes;
                (
                    with_reduction(shader, context.target, VECTOR_THREADS, lanes),
                    Grid { x: Extent::fixed(rows.div_ceil(2 * pairs * groups)), y: each_row },
                )
            }
            WorkDivision::Tiled => tiled(context.target, layout.format, rows),
        }
    }

    fn with_bias(&self, shader: Shader, resources: &mut Vec<(Binding, Resource)>) -> Shader {
        match self.bias {
            None => shader.piece(shader::BIAS_NONE),
            Some(bias) => {
                resources.push((Binding::Bias, Resource::Vector(bias)));
                shader.piece(shader::BIAS)
            }
        }
    }

    /// Only the vector kernel leaves reading its input to a piece.
    fn with_input(
        &self,
        context: &Context,
        shader: Shader,
        resources: &mut Vec<(Binding, Resource)>,
    ) -> Shader {
        if WorkDivision::of(context.target.tier, self.lowering) != WorkDivision::Vector {
            return shader;
        }
        if let Some(norm) = self.norm {
            resources.push((Binding::NormWeight, Resource::Vector(norm)));
            return shader
                .constant("NORM_COLS", context.network.width(self.input.slot()))
                .constant("EPSILON", context.network.config.rms_norm_eps)
                .piece(shader::INPUT_NORMED);
        }
        if self.input == Activation::Splits {
            resources.push((Binding::Stats, Resource::Activation(Activation::SplitStats)));
            return with_splits(shader, &context.network.config, self.window).piece(shader::INPUT_COMBINED);
        }
        shader.piece(shader::INPUT_PLAIN)
    }

    fn with_epilogue(
        &self,
        context: &Context,
        shader: Shader,
        rows: usize,
        resources: &mut Vec<(Binding, Resource)>,
    ) -> Result<Shader> {
        resources.push((Binding::Output, Resource::Activation(self.output)));
        let config = &context.network.config;
        let shader = shader.constant("OUTPUT_PAIRS", stride(context.network, self.output) / 2);
        Ok(match self.epilogue {
            Epilogue::Write(_) => shader.constant("NUM_ROWS", rows).piece(shader::EPILOGUE_WRITE),
            Epilogue::Logits { scale, softcap } => shader
                .constant("NUM_ROWS", rows)
                .constant("LOGIT_SCALE", scale)
                .constant("IS_CAPPED", softcap.is_some())
                .constant("LOGIT_CAP", softcap.unwrap_or(1.0))
                .piece(shader::EPILOGUE_LOGITS),
            Epilogue::Add { scale, .. } => {
                shader.constant("NUM_ROWS", rows).constant("BRANCH_SCALE", scale).piece(shader::EPILOGUE_ADD)
            }
            Epilogue::Gated { activation, .. } => {
                let activation = match activation {
                    ActivationFunction::Silu => shader::SILU,
                    ActivationFunction::GeluTanh => shader::GELU_TANH,
                };
                shader.piece(activation).piece(shader::EPILOGUE_GATED)
            }
            Epilogue::Rotate { rotary } => with_rotary(context, shader, resources, rotary)
                .constant("NUM_ROWS", rows)
                .piece(shader::EPILOGUE_ROTATE),
            Epilogue::RotateAndCache { cache, rotary } => {
                resources.push((Binding::Cache, Resource::Cache(cache)));
                let shader = with_rotary(context, shader, resources, rotary)
                    .constant("QUERY_WIDTH", config.query_width())
                    .constant("KV_WIDTH", config.kv_width())
                    .piece(context.target.cache.write_piece())
                    .piece(shader::EPILOGUE_ROTATE_AND_CACHE);
                with_slots(shader, context.target, context.cache(cache)?)
            }
        })
    }
}

/// The kernel of [`WorkDivision::Tiled`]: the fastest that the target has for weights of this format.
fn tiled(target: Target, format: Format, rows: usize) -> (Shader, Grid) {
    let grid = |(tile_rows, tile_tokens)| Grid {
        x: Extent::fixed(rows.div_ceil(tile_rows)),
        y: Extent::rows(tile_tokens),
    };
    let kernel = |kernel| Shader::new(kernel, target.max_batch);
    let large = |shader: Shader| (shader.piece(shader::LARGE_TILE), grid(LARGE_TILE));
    match (format, target.tier) {
        (Format::Affine(_), _) if target.int8_tiles => {
            large(kernel(shader::MATMUL_TILED_INT8).piece(shader::INT8_AFFINE))
        }
        (Format::F16 | Format::Bf16 | Format::Affine(_), Tier::F16) => {
            large(kernel(shader::MATMUL_TILED_F16))
        }
        _ => (kernel(shader::MATMUL_TILED), grid((TILE, TILE))),
    }
}

/// The slot that an epilogue fills.
pub(in crate::backend::gpu) fn output_slot(epilogue: Epilogue) -> Slot {
    match epilogue {
        Epilogue::Write(slot) | Epilogue::Add { slot, .. } | Epilogue::Gated { slot, .. } => slot,
        Epilogue::Logits { .. } => Slot::Logits,
        Epilogue::RotateAndCache { .. } | Epilogue::Rotate { .. } => Slot::Query,
    }
}
