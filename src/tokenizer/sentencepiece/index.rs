//! Finds pieces by their text without a second copy of it: a hash map of a vocabulary of 262,144 pieces takes 25 MB, this 2 MB.

use std::hash::{BuildHasher, RandomState};

const EMPTY: u32 = u32::MAX;

/// A table of ids, each at the first free place from that of its text's hash on.
#[derive(Debug, Clone)]
pub(super) struct PieceIndex {
    slots: Vec<u32>,
    hasher: RandomState,
}

impl PieceIndex {
    /// An index of pieces, by id.
    ///
    /// # Errors
    /// The id of a piece whose text an earlier one has.
    pub(super) fn new<'a>(pieces: impl Iterator<Item = &'a str>) -> Result<Self, u32> {
        // At most half of the places are taken, so that few steps lead to the right one.
        let texts: Vec<&str> = pieces.collect();
        let len = (2 * texts.len() + 1).next_power_of_two();
        let mut index = Self { slots: vec![EMPTY; len], hasher: RandomState::new() };
        for (id, text) in (0u32..).zip(&texts) {
            let slot = index.slot(text, |id| texts.get(id as usize).copied());
            if index.slots[slot] != EMPTY {
                return Err(id);
            }
            index.slots[slot] = id;
        }
        Ok(index)
    }

    /// The id of the piece with that text; `piece` gives the text of an id.
    pub(super) fn find<'a>(&self, text: &str, piece: impl Fn(u32) -> Option<&'a str>) -> Option<u32> {
        let id = self.slots[self.slot(text, piece)];
        (id != EMPTY).then_some(id)
    }

    /// Where the text's id stands, or would stand.
    fn slot<'a>(&self, text: &str, piece: impl Fn(u32) -> Option<&'a str>) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(text) as usize & mask;
        while self.slots[slot] != EMPTY && piece(self.slots[slot]) != Some(text) {
            slot = (slot + 1) & mask;
        }
        slot
    }
}
