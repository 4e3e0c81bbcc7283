//! Reads and writes parts of a state: for tests of single kernels, and to find wrong numbers.

use super::buffers::row_words;
use super::{GpuState, without_padding};
use crate::backend::gpu::buffer::Buffer;
use crate::backend::gpu::cache_format::CacheFormat;
use crate::backend::gpu::call::{Activation, stride};
use crate::backend::gpu::readback;
use crate::error::{Error, Result};
use crate::model::network::{CacheSpec, Slot};

impl GpuState {
    /// Reads the first `rows` rows of a slot, with the values of the last batch: for tests and inspection.
    ///
    /// # Errors
    /// [`Error::Request`] for a slot that the network does not use, or for more rows than the slot has;
    /// [`Error::Device`] if the GPU fails.
    pub async fn read_slot(&self, slot: Slot, rows: usize) -> Result<Vec<f32>> {
        let stride = stride(&self.network, Activation::Slot(slot));
        let buffer = self.slot(slot)?;
        let values = self.read_buffer(buffer, rows * stride).await?;
        Ok(without_padding(values, stride, self.network.width(slot)))
    }

    /// Overwrites the first rows of a slot: for tests of single kernels.
    ///
    /// # Errors
    /// [`Error::Request`] for a slot that the network does not use, or for more rows than the slot has.
    pub fn write_slot(&self, slot: Slot, values: &[f32]) -> Result<()> {
        let stride = stride(&self.network, Activation::Slot(slot));
        let buffer = self.slot(slot)?;
        for (row, values) in values.chunks(self.network.width(slot)).enumerate() {
            let offset = 4 * (row * stride) as u64;
            fits_bytes(offset + 4 * values.len() as u64, buffer)?;
            self.gpu().queue().write_buffer(buffer, offset, bytemuck::cast_slice(values));
        }
        Ok(())
    }

    /// Reads the first `positions` rows of a cache as f32: for each position the keys, then the values; of a convolution, its
    /// inputs.
    ///
    /// # Errors
    /// [`Error::Request`] for a cache or positions that do not exist; [`Error::Device`] if the GPU fails.
    pub async fn read_cache(&self, cache: usize, positions: usize) -> Result<Vec<f32>> {
        let (buffer, spec) = self.cache(cache)?;
        let words = positions * row_words(&self.network, self.target, spec);
        let values = self.read_buffer(buffer, words).await?;
        Ok(match self.format_of(spec) {
            CacheFormat::F32 => values,
            CacheFormat::F16 => values
                .iter()
                .map(|word| word.to_bits())
                .flat_map(|word| [word as u16, (word >> 16) as u16])
                .map(|bits| half::f16::from_bits(bits).to_f32())
                .collect(),
        })
    }

    /// Overwrites the first positions of a cache with rows in the form of [`GpuState::read_cache`].
    ///
    /// # Errors
    /// [`Error::Request`] for a cache or positions that do not exist.
    pub fn write_cache(&self, cache: usize, values: &[f32]) -> Result<()> {
        let (buffer, spec) = self.cache(cache)?;
        let words: Vec<u32> = match self.format_of(spec) {
            CacheFormat::F32 => values.iter().map(|value| value.to_bits()).collect(),
            CacheFormat::F16 => values
                .chunks(2)
                .map(|pair| {
                    let half = |index| {
                        let value: f32 = pair.get(index).copied().unwrap_or_default();
                        u32::from(half::f16::from_f32(value).to_bits())
                    };
                    half(0) | half(1) << 16
                })
                .collect(),
        };
        fits_bytes(4 * words.len() as u64, buffer)?;
        self.gpu().upload(buffer, bytemuck::cast_slice(&words))
    }

    /// Positions that a cache has rows for.
    ///
    /// # Errors
    /// [`Error::Request`] for a cache that does not exist.
    pub fn cache_capacity(&self, cache: usize) -> Result<usize> {
        Ok(self.target.capacity(self.cache(cache)?.1, self.max_positions))
    }

    fn cache(&self, cache: usize) -> Result<(&Buffer, CacheSpec)> {
        let spec = self.network.caches().get(cache).copied();
        let buffer = self.buffers.caches.get(cache);
        buffer.zip(spec).ok_or_else(|| Error::request("cache", format!("there is no cache {cache}")))
    }

    fn format_of(&self, cache: CacheSpec) -> CacheFormat {
        match cache {
            CacheSpec::KeyValue { .. } => self.target.cache,
            CacheSpec::Convolution { .. } => CacheFormat::F32,
        }
    }

    fn slot(&self, slot: Slot) -> Result<&Buffer> {
        self.buffers
            .activations
            .get(&Activation::Slot(slot))
            .ok_or_else(|| Error::request("slot", format!("the network does not use {slot:?}")))
    }

    async fn read_buffer(&self, buffer: &Buffer, values: usize) -> Result<Vec<f32>> {
        let bytes = 4 * values as u64;
        fits_bytes(bytes, buffer)?;
        let gpu = self.gpu();
        let staging = gpu.staging("for reading", bytes)?;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes);
        gpu.queue().submit([encoder.finish()]);
        readback::read(gpu, &staging, values).await
    }
}

fn fits_bytes(bytes: u64, buffer: &Buffer) -> Result<()> {
    if bytes > buffer.size() {
        return Err(Error::request(
            "rows",
            format!("they need {bytes} bytes, but the buffer has {}", buffer.size()),
        ));
    }
    Ok(())
}
