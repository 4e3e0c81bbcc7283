//! Turns calls into dispatches that can be recorded many times.

use super::buffers::Buffers;
use crate::backend::gpu::buffer::Buffer;
use crate::backend::gpu::call::{Activation, Call, Grid, Resource};
use crate::backend::gpu::device::Gpu;
use crate::backend::gpu::shader::{Binding, Shader};
use crate::backend::gpu::weights::GpuWeights;
use crate::error::{Error, Result};

/// A call with its pipeline and bind group, ready to be recorded.
pub(in crate::backend::gpu) struct Dispatch {
    /// [`Call::label`].
    pub(in crate::backend::gpu) label: String,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: Grid,
}

impl Dispatch {
    /// Records the dispatch for a batch of `rows` tokens.
    pub(in crate::backend::gpu) fn record(&self, pass: &mut wgpu::ComputePass, rows: usize) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.grid.x.workgroups(rows), self.grid.y.workgroups(rows), 1);
    }
}

/// Turns calls into dispatches.
pub(super) struct Recorder<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) weights: &'a GpuWeights,
    pub(super) buffers: &'a Buffers,
    pub(super) all_logits: Option<&'a Buffer>,
}

impl Recorder<'_> {
    pub(super) fn dispatches(&self, calls: &[Call]) -> Result<Vec<Dispatch>> {
        calls.iter().map(|call| self.dispatch(call)).collect()
    }

    fn dispatch(&self, call: &Call) -> Result<Dispatch> {
        let pipeline = self.gpu.pipeline(&call.shader);
        let group = pipeline.bind(self.gpu.device(), &call.label, self.bind(call)?);
        Ok(Dispatch { label: call.label.clone(), pipeline: pipeline.pipeline, group, grid: call.grid })
    }

    fn bind(&self, call: &Call) -> Result<Vec<(Binding, &Buffer)>> {
        let mut bound = vec![(Binding::Batch, &self.buffers.batch)];
        for (binding, resource) in &call.resources {
            bound.push((*binding, self.resource(*resource)?));
        }
        check_bindings(&call.shader, &bound)?;
        Ok(bound)
    }

    fn resource(&self, resource: Resource) -> Result<&Buffer> {
        let absent = || Error::internal(format!("no buffer is bound to {resource:?}"));
        Ok(match resource {
            Resource::Part(id, part) => &self.weights.part(id, part)?.uniform,
            Resource::Words(id, part) => &self.weights.part(id, part)?.words,
            Resource::Scales(id, part) => self.weights.part(id, part)?.scales.as_ref().ok_or_else(absent)?,
            Resource::Vector(id) => self.weights.vector(id)?,
            Resource::Activation(Activation::AllLogits) => self.all_logits.ok_or_else(absent)?,
            Resource::Activation(activation) => {
                self.buffers.activations.get(&activation).ok_or_else(absent)?
            }
            Resource::Cache(cache) => self.buffers.caches.get(cache).ok_or_else(absent)?,
            Resource::Rotary(index) => self.buffers.rotary.get(index).ok_or_else(absent)?,
            Resource::Sampling => &self.buffers.sampling,
            Resource::Adjustments => &self.buffers.adjustments,
            Resource::Bests => &self.buffers.bests,
            Resource::Chosen => &self.buffers.chosen,
        })
    }
}

/// Checks that a call binds exactly what its shader declares. Otherwise the driver would report an error that is hard
/// to understand.
fn check_bindings(shader: &Shader, bound: &[(Binding, &Buffer)]) -> Result<()> {
    let mut declared: Vec<_> = shader.bindings().into_iter().map(|(binding, _)| binding).collect();
    let mut bound: Vec<_> = bound.iter().map(|(binding, _)| *binding).collect();
    declared.sort_unstable();
    bound.sort_unstable();
    if declared == bound {
        return Ok(());
    }
    let name = shader.name();
    Err(Error::internal(format!("{name} declares {declared:?}, but {bound:?} are bound")))
}
