//! One conversation's caches, and the buffers that its passes use again and again.

use std::rc::Rc;

use super::int8::Activations;
use super::parallel::on_pool;
use super::pass::Pass;
use super::rotary::rotary_table;
use super::weights::Weights;
use crate::backend::{Wanted, check_batch};
use crate::error::Result;
use crate::network::{Network, Slot};

/// Tokens a call: enough to read each weight rarely, few enough to look at a cancel flag often.
const MAX_BATCH: usize = if cfg!(target_arch = "wasm32") { 32 } else { 64 };

/// One conversation on the CPU. Caches grow with it.
pub struct State {
    network: Rc<Network>,
    weights: Rc<Weights>,
    memory: Memory,
    max_positions: usize,
}

/// What passes leave behind: keys and values for their successors, buffers for nobody's eyes.
pub(super) struct Memory {
    pub(super) caches: Vec<Cache>,
    /// By [`Slot`].
    slots: [Vec<f32>; 5],
    pub(super) scratch: Scratch,
    pub(super) rotary_table: Vec<[f32; 2]>,
    /// Positions filled.
    pub(super) len: usize,
}

/// Keys and values of every position so far, `[positions, kv_width]` each.
#[derive(Default, Clone)]
pub(super) struct Cache {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

/// Buffers of one projection.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) normed: Vec<f32>,
    pub(super) rounded: Activations,
    pub(super) products: Vec<f32>,
}

impl State {
    /// An empty state with room for `max_positions` tokens.
    ///
    /// # Errors
    /// None today; the GPU's twin can run out of memory.
    pub fn new(network: Rc<Network>, weights: Rc<Weights>, max_positions: usize) -> Result<Self> {
        let memory = Memory {
            caches: vec![Cache::default(); network.num_caches()],
            slots: Default::default(),
            scratch: Scratch::default(),
            rotary_table: rotary_table(&network.config.rotary_frequencies(), max_positions),
            len: 0,
        };
        Ok(Self { network, weights, memory, max_positions })
    }

    /// Positions filled.
    #[expect(clippy::len_without_is_empty, reason = "backend::State has it")]
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

    /// Tokens that one call of [`State::forward`] takes at most.
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
        let mut pass =
            Pass { network: &self.network, weights: &self.weights, memory: &mut self.memory, wanted };
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

impl Memory {
    /// The rows of a slot.
    pub(super) fn slot(&mut self, slot: Slot) -> &mut Vec<f32> {
        &mut self.slots[slot as usize]
    }

    /// Takes a slot's rows, to be put back: two slots are borrowed at once in most calls.
    pub(super) fn take(&mut self, slot: Slot) -> Vec<f32> {
        std::mem::take(self.slot(slot))
    }

    /// Puts rows into a slot.
    pub(super) fn put(&mut self, slot: Slot, rows: Vec<f32>) {
        *self.slot(slot) = rows;
    }
}
