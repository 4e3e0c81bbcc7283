//! One conversation, and the passes that extend it.

use std::rc::Rc;

use super::memory::Memory;
use super::parallel::on_pool;
use super::pass::Pass;
use super::weights::CpuWeights;
use crate::backend::{Products, Wanted, check_batch};
use crate::error::Result;
use crate::model::network::{Network, Slot};

/// Tokens a call: enough to read each weight rarely, few enough to look at a cancel flag often.
const MAX_BATCH: usize = if cfg!(target_arch = "wasm32") { 32 } else { 64 };

/// One conversation on the CPU. Caches grow with it.
pub struct CpuState {
    network: Rc<Network>,
    weights: Rc<CpuWeights>,
    memory: Memory,
    max_positions: usize,
    products: Products,
}

impl CpuState {
    /// An empty state with room for `max_positions` tokens.
    ///
    /// # Errors
    /// None today; the GPU's twin can run out of memory.
    pub fn new(
        network: Rc<Network>,
        weights: Rc<CpuWeights>,
        max_positions: usize,
        products: Products,
    ) -> Result<Self> {
        let memory = Memory::new(&network, max_positions);
        Ok(Self { network, weights, memory, max_positions, products })
    }

    /// Positions filled.
    #[expect(clippy::len_without_is_empty, reason = "model::State has it")]
    pub fn len(&self) -> usize {
        self.memory.len
    }

    /// Positions that there is room for.
    pub fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Values of a row of logits.
    pub fn vocab_size(&self) -> usize {
        self.network.config.vocab_size
    }

    /// Tokens that one call of [`CpuState::forward`] takes at most.
    pub fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.memory.len = self.memory.len.min(len);
        let kept = self.memory.len * self.network.config.kv_width();
        for cache in &mut self.memory.caches {
            cache.keys.truncate(kept);
            cache.values.truncate(kept);
        }
    }

    /// Runs the network; see [`crate::backend::State::forward`].
    ///
    /// # Errors
    /// [`crate::Error::Request`] for a batch that cannot run.
    pub fn forward(&mut self, tokens: &[u32], wanted: Wanted) -> Result<Vec<f32>> {
        let room = self.max_positions - self.len();
        check_batch(tokens, self.network.config.vocab_size, MAX_BATCH, room)?;
        let mut pass = Pass {
            network: &self.network,
            weights: &self.weights,
            memory: &mut self.memory,
            products: self.products,
            wanted,
        };
        let run = on_pool(|| pass.run(tokens));
        match run {
            Ok(()) => self.memory.len += tokens.len(),
            // A batch that failed half-way must not leave keys behind.
            Err(_) => self.truncate(self.len()),
        }
        run.map(|()| {
            if wanted == Wanted::None { Vec::new() } else { std::mem::take(self.memory.slot(Slot::Logits)) }
        })
    }
}
