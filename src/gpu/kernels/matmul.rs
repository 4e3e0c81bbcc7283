//! Projections: `shaders/matmul/*.wgsl` finished by `shaders/epilogue/*.wgsl`, twins [`crate::cpu::matmul`],
//! [`crate::cpu::rotary`] and [`crate::cpu::swiglu`].

use super::{stride, weight_resources, with_weights};
use crate::gpu::plan::{Activation, Call, Context, Extent, Grid, Resource};
use crate::gpu::shader::{self, Binding, Shader};
use crate::network::{Epilogue, MatrixId, Slot, VectorId};

const WORKGROUP: usize = 32;

/// A projection without its norm, which has been taken care of.
pub(in crate::gpu) struct Matmul {
    pub(in crate::gpu) weight: MatrixId,
    pub(in crate::gpu) bias: Option<VectorId>,
    pub(in crate::gpu) input: Activation,
    pub(in crate::gpu) epilogue: Epilogue,
    /// The slot that the epilogue fills.
    pub(in crate::gpu) output: Activation,
    /// Input rows start at the first wanted one.
    pub(in crate::gpu) wanted_rows: bool,
    /// Only one row is computed.
    pub(in crate::gpu) one_row: bool,
}

impl Matmul {
    /// One call for each part of the matrix.
    pub(in crate::gpu) fn calls(&self, context: &Context, calls: &mut Vec<Call>) -> crate::Result<()> {
        let layout = context.layout(self.weight)?;
        // With only the queries asked for, key and value rows are left out.
        let rows = match self.epilogue {
            Epilogue::Rotate => context.network.config.query_width(),
            _ => layout.rows,
        };
        for (part, range) in layout.parts.iter().enumerate().filter(|(_, range)| range.start < rows) {
            let tokens = if self.one_row { 1 } else { 4 };
            let shader = with_weights(Shader::new(shader::MATMUL_THREAD, context.target.max_batch), layout)
                .constant("WORKGROUP", WORKGROUP)
                .constant("TOKENS", tokens)
                .constant("INPUT_QUADS", stride(context.network, self.input) / 4)
                .constant("WANTED_ROWS", self.wanted_rows)
                .piece(if self.bias.is_some() { shader::BIAS } else { shader::BIAS_NONE });
            let mut resources = weight_resources(self.weight, layout, part);
            resources.push((Binding::Input, Resource::Activation(self.input)));
            if let Some(bias) = self.bias {
                resources.push((Binding::Bias, Resource::Vector(bias)));
            }
            let shader = self.with_epilogue(context, shader, rows, &mut resources);
            let pairs = (range.end.min(rows) - range.start).div_ceil(2);
            let grid = Grid {
                x: Extent::fixed(pairs.div_ceil(WORKGROUP)),
                y: if self.one_row { Extent::fixed(1) } else { Extent::Rows(tokens as u32) },
            };
            calls.push(Call::new(format!("matmul {:?}", self.weight), shader, resources, grid));
        }
        Ok(())
    }

    fn with_epilogue(
        &self,
        context: &Context,
        shader: Shader,
        rows: usize,
        resources: &mut Vec<(Binding, Resource)>,
    ) -> Shader {
        resources.push((Binding::Output, Resource::Activation(self.output)));
        let config = &context.network.config;
        let shader = shader.constant("OUTPUT_PAIRS", stride(context.network, self.output) / 2);
        match self.epilogue {
            Epilogue::Write(_) => shader.constant("NUM_ROWS", rows).piece(shader::EPILOGUE_WRITE),
            Epilogue::Add(_) => shader.constant("NUM_ROWS", rows).piece(shader::EPILOGUE_ADD),
            Epilogue::SwiGlu(_) => shader.piece(shader::EPILOGUE_SWIGLU),
            Epilogue::Rotate => {
                resources.push((Binding::Rotary, Resource::Rotary));
                shader
                    .constant("NUM_ROWS", rows)
                    .constant("HEAD_DIM", config.head_dim)
                    .piece(shader::ROTARY)
                    .piece(shader::EPILOGUE_ROTATE)
            }
            Epilogue::RotateAndCache { cache } => {
                resources.push((Binding::Rotary, Resource::Rotary));
                resources.push((Binding::Cache, Resource::Cache(cache)));
                shader
                    .constant("HEAD_DIM", config.head_dim)
                    .constant("QUERY_WIDTH", config.query_width())
                    .constant("KV_WIDTH", config.kv_width())
                    .piece(shader::ROTARY)
                    .piece(context.target.cache.write_piece())
                    .piece(shader::EPILOGUE_ROTATE_AND_CACHE)
            }
        }
    }
}

/// The slot that an epilogue fills.
pub(in crate::gpu) fn output_slot(epilogue: Epilogue) -> Slot {
    match epilogue {
        Epilogue::Write(slot) | Epilogue::Add(slot) | Epilogue::SwiGlu(slot) => slot,
        Epilogue::RotateAndCache { .. } | Epilogue::Rotate => Slot::Query,
    }
}
