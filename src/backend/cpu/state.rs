//! One conversation, and the passes that extend it.

use std::rc::Rc;

use super::cache::Cache;
use super::memory::Memory;
use super::parallel::on_pool;
use super::pass::Pass;
use super::weights::CpuWeights;
use crate::backend::{Products, Wanted, check_batch, check_length};
use crate::error::Result;
use crate::model::decoder::DecoderSpec;
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
    /// Positions that the caches were written up to; rings have lost what lies before.
    written: usize,
    /// Positions that the text was said to have.
    expected: usize,
    /// The rotations are those of long texts.
    long: bool,
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
        let memory = Memory::new(&network, max_positions, MAX_BATCH);
        Ok(Self { network, weights, memory, max_positions, products, written: 0, expected: 0, long: false })
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

    /// What the network computes.
    pub fn decoder(&self) -> &DecoderSpec {
        &self.network.config.decoder
    }

    /// Values of a row of logits.
    pub fn vocab_size(&self) -> usize {
        self.network.config.vocab_size
    }

    /// Tokens that one call of [`CpuState::forward`] takes at most.
    pub fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    /// Forgets all positions from `len` on; see [`crate::backend::State::truncate`].
    pub fn truncate(&mut self, len: usize) -> usize {
        let len = self.memory.len.min(len);
        let holds = |cache: &Cache| cache.spec.holds(len, self.written, cache.capacity);
        self.memory.len = if self.memory.caches.iter().all(holds) { len } else { 0 };
        if self.memory.len == 0 {
            self.written = 0;
        }
        self.memory.len
    }

    /// Makes ready for a text of `len` positions; see [`crate::backend::State::expect`].
    pub fn expect(&mut self, len: usize) -> usize {
        self.expected = len;
        if self.network.config.decoder.is_long(len) != self.long {
            self.truncate(0);
            self.choose_rotary();
        }
        self.len()
    }

    /// Chooses the rotations by the length that the text is known to have.
    fn choose_rotary(&mut self) {
        let long = self.network.config.decoder.is_long(self.expected);
        if long != self.long {
            self.memory.choose_rotary(&self.network, self.max_positions, long);
            self.long = long;
        }
    }

    /// Runs the network; see [`crate::backend::State::forward`].
    ///
    /// # Errors
    /// [`crate::Error::Request`] for a batch that cannot run.
    pub fn forward(&mut self, tokens: &[u32], wanted: Wanted) -> Result<Vec<f32>> {
        let room = self.max_positions - self.len();
        check_batch(tokens, self.network.config.vocab_size, MAX_BATCH, room)?;
        let end = self.len() + tokens.len();
        check_length(&self.network.config.decoder, self.len(), end.max(self.expected), self.long)?;
        if self.len() == 0 {
            self.expected = self.expected.max(end);
            self.choose_rotary();
        }
        let mut pass = Pass {
            network: &self.network,
            weights: &self.weights,
            memory: &mut self.memory,
            products: self.products,
            wanted,
        };
        let run = on_pool(|| pass.run(tokens));
        self.written = self.written.max(end);
        if run.is_ok() {
            self.memory.len = end;
        } else {
            // What a batch that failed half-way left in the rings may be in the place of what is still seen.
            self.truncate(self.len());
        }
        run.map(|()| {
            if wanted == Wanted::None { Vec::new() } else { std::mem::take(self.memory.slot(Slot::Logits)) }
        })
    }
}
