//! Weights on the device.

use std::collections::HashMap;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::buffer::Buffer;
use super::cache_format::CacheFormat;
use super::call::STRIDE_ALIGN;
use super::device::Gpu;
use super::layout::Layout;
use super::plan::shaders_of;
use super::target::{Target, missing};
use crate::backend::WeightSink;
use crate::error::Result;
use crate::model::matrix::{Affine, Format, Matrix};
use crate::model::network::{MatrixId, Network, VectorId};

/// The uniform that `lib/part.wgsl` describes, padded to the 16 bytes that uniforms come in.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct PartUniform {
    first_row: u32,
    num_rows: u32,
    bits: u32,
    unused: u32,
}

impl PartUniform {
    /// Of some rows of a matrix.
    pub(super) fn new(rows: &Range<usize>, format: Format) -> Self {
        let bits = match format {
            Format::Affine(Affine { bits, .. }) => bits,
            Format::F32 | Format::F16 | Format::Bf16 => 0,
        };
        Self { first_row: rows.start as u32, num_rows: rows.len() as u32, bits, unused: 0 }
    }
}

/// The buffers of one part of a matrix.
pub(super) struct Part {
    pub(super) uniform: Buffer,
    pub(super) words: Buffer,
    /// Only for quantised formats.
    pub(super) scales: Option<Buffer>,
}

/// A checkpoint's weights on a device.
pub struct GpuWeights {
    gpu: Gpu,
    /// What will be computed, so that kernels can be compiled while weights arrive.
    network: Box<Network>,
    layouts: HashMap<MatrixId, Layout>,
    parts: HashMap<MatrixId, Vec<Part>>,
    vectors: HashMap<VectorId, Buffer>,
    bytes: u64,
}

impl GpuWeights {
    /// An empty set of weights on `gpu`, for the matrices that `network` names.
    pub fn new(gpu: &Gpu, network: &Network) -> Self {
        let matrices = network.matrices().len();
        Self {
            gpu: gpu.clone(),
            network: Box::new(network.clone()),
            layouts: HashMap::with_capacity(matrices),
            parts: HashMap::with_capacity(matrices),
            vectors: HashMap::new(),
            bytes: 0,
        }
    }

    /// The device that they lie on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Bytes of all weights.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How each matrix lies.
    pub fn layouts(&self) -> &HashMap<MatrixId, Layout> {
        &self.layouts
    }

    /// What a plan for all of them is made for.
    pub(super) fn target(&self) -> Target {
        let formats = self.layouts.values().map(|layout| layout.format);
        self.target_for(CacheFormat::for_weights(formats))
    }

    fn target_for(&self, cache: CacheFormat) -> Target {
        Target::of(self.gpu.info(), cache).for_network(&self.network)
    }

    pub(super) fn part(&self, id: MatrixId, index: usize) -> Result<&Part> {
        self.parts.get(&id).and_then(|parts| parts.get(index)).ok_or_else(|| missing(id))
    }

    pub(super) fn vector(&self, id: VectorId) -> Result<&Buffer> {
        self.vectors.get(&id).ok_or_else(|| missing(id))
    }

    fn upload(&mut self, label: &str, words: &[u32]) -> Result<Buffer> {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        let buffer = self.gpu.storage(label, bytes.len() as u64)?;
        self.gpu.upload(&buffer, bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(buffer)
    }
}

impl WeightSink for GpuWeights {
    fn put_matrix(&mut self, id: MatrixId, matrix: Matrix) -> Result<()> {
        let layout = Layout::new(matrix.rows, matrix.cols, matrix.format, self.gpu.max_part_bytes())?;
        let row_words = matrix.format.row_words(matrix.cols);
        let row_scales = matrix.format.row_scale_words(matrix.cols);
        let mut parts = Vec::with_capacity(layout.parts.len());
        for rows in &layout.parts {
            let label = format!("{id:?} rows {rows:?}");
            let uniform = PartUniform::new(rows, layout.format);
            let words = self.upload(&label, &matrix.words[rows.start * row_words..rows.end * row_words])?;
            let scales = &matrix.scales[rows.start * row_scales..rows.end * row_scales];
            let scales = if scales.is_empty() { None } else { Some(self.upload(&label, scales)?) };
            let uniform = self.gpu.uniform_with(&label, bytemuck::bytes_of(&uniform))?;
            parts.push(Part { uniform, words, scales });
        }
        let target = self.target_for(CacheFormat::for_weights([layout.format]));
        self.layouts.insert(id, layout);
        self.parts.insert(id, parts);
        for shader in shaders_of(&self.network, &self.layouts, target, id)? {
            self.gpu.compile_ahead(&shader);
        }
        Ok(())
    }

    fn put_vector(&mut self, id: VectorId, mut values: Vec<f32>) -> Result<()> {
        // Padded like the activations that it meets.
        values.resize(values.len().next_multiple_of(STRIDE_ALIGN), 0.0);
        let buffer = self.upload(&format!("{id:?}"), bytemuck::cast_slice(&values))?;
        self.vectors.insert(id, buffer);
        Ok(())
    }

    fn remove_matrix(&mut self, id: MatrixId) {
        self.layouts.remove(&id);
        for part in self.parts.remove(&id).into_iter().flatten() {
            self.bytes -= part.words.size() + part.scales.map_or(0, |scales| scales.size());
        }
    }
}
