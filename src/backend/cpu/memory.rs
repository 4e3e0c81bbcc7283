//! One conversation's caches, and the buffers that its passes use again and again.

use super::int8::Activations;
use super::rotary::rotary_table;
use crate::model::network::{Network, Slot};

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

impl Memory {
    /// Nothing yet, and rotations for `max_positions`.
    pub(super) fn new(network: &Network, max_positions: usize) -> Self {
        Self {
            caches: vec![Cache::default(); network.num_caches()],
            slots: Default::default(),
            scratch: Scratch::default(),
            rotary_table: rotary_table(&network.config.rotary_frequencies(), max_positions),
            len: 0,
        }
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
