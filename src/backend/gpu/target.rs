//! What calls are made for: a device, a network, and a number of rows.

use std::collections::HashMap;

use super::cache_format::CacheFormat;
use super::device::GpuInfo;
use super::kernels::sample::RING;
use super::layout::Layout;
use super::shader::{MIN_SUBGROUP, Tier};
use crate::backend::Products;
use crate::error::{Error, Result};
use crate::model::decoder::Window;
use crate::model::network::{CacheSpec, MatrixId, Network};

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Which kernels may be used.
    pub tier: Tier,
    /// Tokens of a batch at most; a multiple of 4.
    pub max_batch: usize,
    /// How keys and values are stored.
    pub cache: CacheFormat,
    /// Threads of the device's smallest subgroup; tiers from [`Tier::Subgroups`] on look at it.
    pub subgroup_size: usize,
    /// Prompts meet affine weights in 8-bit integers.
    pub int8_tiles: bool,
}

impl Target {
    /// What the engine makes of a tier: with batches as long as it gives them.
    pub fn new(tier: Tier, cache: CacheFormat, subgroup_size: usize, int8_tiles: bool) -> Self {
        Self { tier, max_batch: max_batch(tier), cache, subgroup_size, int8_tiles }
    }

    /// For a device.
    pub(super) fn of(info: &GpuInfo, cache: CacheFormat) -> Self {
        Self::new(info.tier, cache, info.subgroup_size as usize, info.int8_tiles)
    }

    /// The same device with other products.
    pub(super) fn with(self, products: Products) -> Self {
        match (products, self.tier) {
            (Products::Fast, _) => self,
            // Half precision is for tiles alone: without those the tiers are the same.
            (Products::Exact, Tier::F16) => Self { tier: Tier::Subgroups, int8_tiles: false, ..self },
            (Products::Exact, _) => Self { int8_tiles: false, ..self },
        }
    }

    /// The same with batches that suit a network: its windows hold a batch or two beside what is seen, so that large batches cost
    /// memory.
    pub(super) fn for_network(self, network: &Network) -> Self {
        let has_window = network.caches().iter().any(|cache| cache.window() != Window::Full);
        let most = if has_window { MAX_WINDOWED_BATCH } else { usize::MAX };
        Self { max_batch: self.max_batch.min(most), ..self }
    }

    /// Positions that a cache holds in a state of `max_positions`. Two pieces of a prompt may be in flight, or as many tokens as fit
    /// into the readbacks, and be discarded: what they overwrite must not be missed.
    pub(super) fn capacity(self, cache: CacheSpec, max_positions: usize) -> usize {
        cache.capacity(max_positions, (2 * self.max_batch).max(RING))
    }

    /// Threads that may share a sum: those of a subgroup, where they are needed to.
    pub(super) fn max_lanes(self) -> usize {
        match self.tier {
            Tier::Subgroups | Tier::F16 => self.subgroup_size.clamp(MIN_SUBGROUP, MAX_LANES),
            Tier::Software | Tier::Portable => MAX_LANES,
        }
    }
}

/// Tokens a batch at most: enough to fill the largest GPU. Whoever runs a prompt asks for fewer where they take long.
fn max_batch(tier: Tier) -> usize {
    match tier {
        Tier::Software => 16,
        Tier::Portable | Tier::Subgroups | Tier::F16 => 512,
    }
}

/// Tokens of a batch at most where caches have windows.
const MAX_WINDOWED_BATCH: usize = 256;

/// Threads that share a sum at most: more would have too little to do each.
const MAX_LANES: usize = 32;

/// Everything that lowering a call looks at.
pub(super) struct Context<'a> {
    pub(super) network: &'a Network,
    pub(super) layouts: &'a HashMap<MatrixId, Layout>,
    pub(super) target: Target,
}

impl Context<'_> {
    pub(super) fn cache(&self, index: usize) -> Result<CacheSpec> {
        let spec = self.network.caches().get(index).copied();
        spec.ok_or_else(|| Error::internal(format!("the network has no cache {index}")))
    }

    pub(super) fn layout(&self, id: MatrixId) -> Result<&Layout> {
        self.layouts.get(&id).ok_or_else(|| missing(id))
    }
}

/// A weight that the network uses was never loaded.
pub(super) fn missing(id: impl std::fmt::Debug) -> Error {
    Error::missing(format!("{id:?}"), "The checkpoint was not loaded to the end")
}

/// What a lowering is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lowering {
    /// One row of a batch: the head, where only one row's logits are wanted.
    LastRow,
    /// Up to [`max_decode_rows`] rows, each computed by itself, so that it has the same bits in every such batch.
    Decode,
    /// Any number of rows.
    Prefill,
}

/// Rows up to which a batch is [`Lowering::Decode`].
pub(super) fn max_decode_rows(tier: Tier) -> usize {
    match tier {
        // Its kernels give a row the same bits in every batch, and there is nothing to be gained by waiting less.
        Tier::Software => 1,
        // A matrix is read once for all rows, from the cache if not at once: on a GPU that waits for launches the
        // rows are nearly free.
        Tier::Portable | Tier::Subgroups | Tier::F16 => 16,
    }
}
