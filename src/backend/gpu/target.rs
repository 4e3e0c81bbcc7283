//! What determines the kernel calls: the device, the network, and the number of rows.

use std::collections::HashMap;

use super::cache_format::CacheFormat;
use super::device::GpuInfo;
use super::layout::Layout;
use super::shader::{MIN_SUBGROUP, Tier};
use crate::backend::Products;
use crate::error::{Error, Result};
use crate::model::decoder::Window;
use crate::model::network::{CacheSpec, MatrixId, Network};

/// Tokens of the ring that holds what a device chose, until it is read.
pub(super) const RING: usize = 64;

/// The properties of a device that a plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Tier of the kernels.
    pub tier: Tier,
    /// Maximum tokens in a batch; a multiple of 4.
    pub max_batch: usize,
    /// How keys and values are stored.
    pub cache: CacheFormat,
    /// Threads in the smallest subgroup of the device. Tiers from [`Tier::Subgroups`] on use it.
    pub subgroup_size: usize,
    /// Whether prefill multiplies affine weights in 8-bit integers.
    pub int8_tiles: bool,
}

impl Target {
    /// A target with the batch size that the engine uses for the tier.
    pub fn new(tier: Tier, cache: CacheFormat, subgroup_size: usize, int8_tiles: bool) -> Self {
        Self { tier, max_batch: max_batch(tier), cache, subgroup_size, int8_tiles }
    }

    /// The target for a device.
    pub(super) fn of(info: &GpuInfo, cache: CacheFormat) -> Self {
        Self::new(info.tier, cache, info.subgroup_size as usize, info.int8_tiles)
    }

    /// The same target with other products.
    pub(super) fn with(self, products: Products) -> Self {
        match (products, self.tier) {
            (Products::Fast, _) => self,
            // Only tiles use half precision; everything else is the same in both tiers.
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

    /// Maximum number of threads that share a sum. In tiers that use subgroups, they are one subgroup.
    pub(super) fn max_lanes(self) -> usize {
        match self.tier {
            Tier::Subgroups | Tier::F16 => self.subgroup_size.clamp(MIN_SUBGROUP, MAX_LANES),
            Tier::Software | Tier::Portable => MAX_LANES,
        }
    }
}

/// Maximum tokens in a batch: enough to fill the largest GPU. On slow devices `PrefillPace` uses smaller batches.
fn max_batch(tier: Tier) -> usize {
    match tier {
        Tier::Software => 16,
        Tier::Portable | Tier::Subgroups | Tier::F16 => 512,
    }
}

/// Tokens of a batch at most where caches have windows.
const MAX_WINDOWED_BATCH: usize = 256;

/// Maximum number of threads that share a sum: with more, each thread would have too little to do.
const MAX_LANES: usize = 32;

/// Everything that the lowering of a call depends on.
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

/// The error for a weight that the network uses but that was not loaded.
pub(super) fn missing(id: impl std::fmt::Debug) -> Error {
    Error::missing(format!("{id:?}"), "The load did not finish; load the checkpoint again")
}

/// Which rows a lowering computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lowering {
    /// Only the last row of a batch: the head, if only the logits of that row are wanted.
    LastRow,
    /// Up to [`max_decode_rows`] rows. Each is computed separately, so that it has the same bits in every such batch.
    Decode,
    /// Any number of rows.
    Prefill,
}

/// Maximum number of rows in a batch for [`Lowering::Decode`].
pub(super) fn max_decode_rows(tier: Tier) -> usize {
    match tier {
        // The kernels of this tier give a row the same bits in every batch, and a larger number would not be faster.
        Tier::Software => 1,
        // All rows share the read of a matrix, directly or through the cache. The GPU mostly waits for launches, so
        // additional rows cost almost nothing.
        Tier::Portable | Tier::Subgroups | Tier::F16 => 16,
    }
}
