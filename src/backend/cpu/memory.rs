//! One conversation's caches, and the buffers that its passes use again and again.

use super::cache::Cache;
use super::int8::Activations;
use super::rotary::rotary_table;
use crate::model::network::{CacheSpec, Network, Slot};

/// What passes leave behind: keys and values for their successors, buffers for nobody's eyes.
pub(super) struct Memory {
    pub(super) caches: Vec<Cache>,
    /// By [`Slot`].
    slots: [Vec<f32>; Slot::COUNT],
    pub(super) scratch: Scratch,
    /// One a rotation of the network.
    pub(super) rotary_tables: Vec<Vec<[f32; 2]>>,
    /// Positions filled.
    pub(super) len: usize,
}

/// Buffers of one projection.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) normed: Vec<f32>,
    pub(super) rounded: Activations,
    pub(super) products: Vec<f32>,
}

impl Memory {
    /// Nothing yet, and rotations for `max_positions`. Rings have room for `slack` positions beside those that are seen.
    pub(super) fn new(network: &Network, max_positions: usize, slack: usize) -> Self {
        let config = &network.config;
        let cache = |spec: CacheSpec| {
            let capacity = spec.capacity(max_positions, slack);
            Cache::new(spec, capacity, config.kv_width(), config.hidden_size)
        };
        let mut memory = Self {
            caches: network.caches().into_iter().map(cache).collect(),
            slots: Default::default(),
            scratch: Scratch::default(),
            rotary_tables: Vec::new(),
            len: 0,
        };
        memory.choose_rotary(network, max_positions, false);
        memory
    }

    /// Makes the rotations for texts of this kind.
    pub(super) fn choose_rotary(&mut self, network: &Network, max_positions: usize, long: bool) {
        let rotary = &network.config.decoder.rotary;
        self.rotary_tables = rotary.iter().map(|rotary| rotary_table(rotary, long, max_positions)).collect();
    }

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
