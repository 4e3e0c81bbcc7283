//! Norms and rotation of queries and keys as a call of its own: `shaders/rotate_and_cache/*.wgsl`, twin
//! [`crate::backend::cpu::rotate_and_cache`].

use super::{with_reduction, with_rotary, with_slots};
use crate::backend::gpu::call::{Activation, Call, Extent, Grid, Resource, stride};
use crate::backend::gpu::shader::{self, Binding, Shader, Tier};
use crate::backend::gpu::target::Context;
use crate::error::Result;
use crate::model::decoder::{QueryKeyNorm, Temperature};
use crate::model::network::{Slot, VectorId};

/// One thread a head; workgroups are small, because there are few heads and a CPU core takes one at a time.
const THREAD_WORKGROUP: usize = 4;

/// Threads that share a head.
const THREADS: usize = 64;

/// What is done to queries and keys.
pub(in crate::backend::gpu) struct RotateAndCache {
    /// Whose norms.
    pub(in crate::backend::gpu) block: usize,
    pub(in crate::backend::gpu) cache: usize,
    pub(in crate::backend::gpu) rotary: Option<usize>,
    pub(in crate::backend::gpu) norm: Option<QueryKeyNorm>,
    pub(in crate::backend::gpu) temperature: Option<Temperature>,
}

impl RotateAndCache {
    /// Reads [`Slot::Qkv`], writes [`Slot::Query`] and the cache.
    pub(in crate::backend::gpu) fn call(&self, context: &Context) -> Result<Call> {
        let config = &context.network.config;
        let (qkv, query) = (Activation::Slot(Slot::Qkv), Activation::Slot(Slot::Query));
        let mut resources = vec![
            (Binding::Input, Resource::Activation(qkv)),
            (Binding::Output, Resource::Activation(query)),
            (Binding::Cache, Resource::Cache(self.cache)),
        ];
        let heads = config.num_heads + 2 * config.num_kv_heads;
        let max_batch = context.target.max_batch;
        let (shader, x) = match context.target.tier {
            Tier::Software => (
                Shader::new(shader::ROTATE_AND_CACHE_THREAD, max_batch)
                    .constant("WORKGROUP", THREAD_WORKGROUP),
                heads.div_ceil(THREAD_WORKGROUP),
            ),
            Tier::Portable | Tier::Subgroups | Tier::F16 => {
                let shader = Shader::new(shader::ROTATE_AND_CACHE_WORKGROUP, max_batch);
                let lanes = context.target.max_lanes();
                (with_reduction(shader, context.target, THREADS, lanes), heads)
            }
        };
        let shader = shader
            .constant("NUM_HEADS", config.num_heads)
            .constant("NUM_KV_HEADS", config.num_kv_heads)
            .constant("KV_WIDTH", config.kv_width())
            .constant("QKV_PAIRS", stride(context.network, qkv) / 2)
            .constant("QUERY_STRIDE_PAIRS", stride(context.network, query) / 2)
            .piece(context.target.cache.write_piece())
            .piece(shader::HEADS);
        let shader = with_rotary(context, shader, &mut resources, self.rotary);
        let shader = with_slots(shader, context.target, context.cache(self.cache)?);
        let shader = self.with_temperature(self.with_norm(shader, &mut resources, config.rms_norm_eps));
        let grid = Grid { x: Extent::fixed(x), y: Extent::rows(1) };
        Ok(Call::new(format!("rotate_and_cache {}", self.cache), shader, resources, grid))
    }

    fn with_norm(&self, shader: Shader, resources: &mut Vec<(Binding, Resource)>, epsilon: f32) -> Shader {
        let shader = shader
            .constant("IS_NORMED", self.norm.is_some())
            .constant("BY_ROWS", self.norm == Some(QueryKeyNorm::Rows))
            .constant("ROTATED_FIRST", self.norm == Some(QueryKeyNorm::HeadsAfterRotation))
            .constant("EPSILON", epsilon);
        match self.norm {
            None | Some(QueryKeyNorm::HeadsAfterRotation) => shader.piece(shader::HEAD_WEIGHT_NONE),
            Some(QueryKeyNorm::Heads | QueryKeyNorm::Rows) => {
                resources.push((Binding::NormWeight, Resource::Vector(VectorId::QueryNorm(self.block))));
                resources.push((Binding::KeyNorm, Resource::Vector(VectorId::KeyNorm(self.block))));
                shader.piece(shader::HEAD_WEIGHT)
            }
        }
    }

    fn with_temperature(&self, shader: Shader) -> Shader {
        match self.temperature {
            None => shader.piece(shader::TEMPERATURE_NONE),
            Some(Temperature { floor_scale, attention_scale }) => shader
                .constant("FLOOR_SCALE", floor_scale)
                .constant("TEMPERATURE_SCALE", attention_scale)
                .piece(shader::TEMPERATURE),
        }
    }
}
