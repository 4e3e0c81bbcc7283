//! The buffers that a conversation has on the device.

use std::collections::HashMap;

use super::max_logit_rows;
use crate::backend::cpu::rotary::rotary_table;
use crate::backend::cpu::sample::{Adjustment, Sampling};
use crate::backend::gpu::buffer::Buffer;
use crate::backend::gpu::call::{Activation, stride};
use crate::backend::gpu::device::Gpu;
use crate::backend::gpu::kernels::attention::MAX_SPLITS;
use crate::backend::gpu::plan::Plan;
use crate::backend::gpu::target::{RING, Target, max_decode_rows};
use crate::error::Result;
use crate::model::network::{CacheSpec, Network, Slot};

/// Words of a position in a cache.
pub(super) fn row_words(network: &Network, target: Target, cache: CacheSpec) -> usize {
    match cache {
        CacheSpec::KeyValue { .. } => target.cache.row_words(network.config.kv_width()),
        // In f32, because a row is read again and again from it and from the batch, and must be the same.
        CacheSpec::Convolution { .. } => network.config.hidden_size,
    }
}

/// The buffers that belong to a state.
pub(super) struct Buffers {
    pub(super) batch: Buffer,
    /// One a rotation of the network.
    pub(super) rotary: Vec<Buffer>,
    pub(super) caches: Vec<Buffer>,
    pub(super) activations: HashMap<Activation, Buffer>,
    pub(super) sampling: Buffer,
    pub(super) adjustments: Buffer,
    pub(super) bests: Buffer,
    pub(super) chosen: Buffer,
}

impl Buffers {
    pub(super) fn new(
        gpu: &Gpu,
        network: &Network,
        plan: &Plan,
        target: Target,
        max_positions: usize,
    ) -> Result<Self> {
        let config = &network.config;
        let cache = |(index, cache): (usize, CacheSpec)| {
            let bytes = 4 * row_words(network, target, cache) as u64;
            let capacity = target.capacity(cache, max_positions) as u64;
            gpu.storage(&format!("cache {index}"), bytes.saturating_mul(capacity))
        };
        let caches = network.caches().into_iter().enumerate().map(cache).collect::<Result<_>>()?;
        let rotary_bytes = (4 * config.head_dim as u64).saturating_mul(max_positions as u64);
        let rotary = config.decoder.rotary.iter().map(|_| gpu.storage("rotary table", rotary_bytes));
        let rotary = rotary.collect::<Result<Vec<_>>>()?;
        for (rotary, buffer) in config.decoder.rotary.iter().zip(&rotary) {
            gpu.upload(buffer, bytemuck::cast_slice(&rotary_table(rotary, false, max_positions)))?;
        }
        let mut activations = HashMap::new();
        for activation in plan.activations() {
            let few = max_decode_rows(target.tier) * MAX_SPLITS;
            let (rows, width) = match activation {
                // Made when it is asked for.
                Activation::AllLogits => continue,
                Activation::Slot(Slot::Logits) => (1, stride(network, activation)),
                Activation::Splits => (few, stride(network, activation)),
                Activation::SplitStats => (few, 2 * config.num_heads),
                Activation::Slot(_) | Activation::Normed(_) => {
                    (target.max_batch, stride(network, activation))
                }
            };
            let bytes = 4 * (rows * width) as u64;
            activations.insert(activation, gpu.storage(&format!("{activation:?}"), bytes)?);
        }
        let batch = gpu.uniform("batch", 4 * (4 + target.max_batch) as u64)?;
        let sampling = gpu.uniform("sampling", size_of::<Sampling>() as u64)?;
        let vocab_size = config.vocab_size as u64;
        let adjustments = gpu.storage("adjustments", vocab_size * size_of::<Adjustment>() as u64)?;
        let bests = gpu.storage("bests", (8 * max_logit_rows(network, target) * plan.slices) as u64)?;
        let chosen = gpu.storage("chosen tokens", 4 * RING as u64)?;
        Ok(Self { batch, rotary, caches, activations, sampling, adjustments, bests, chosen })
    }
}
