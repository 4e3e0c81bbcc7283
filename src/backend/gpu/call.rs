//! A dispatch as plain data: which shader, which buffers, how many workgroups.

use super::shader::{Binding, Shader};
use crate::model::network::{MatrixId, Network, Slot, VectorId};

/// Values that every row of an activation is padded to a multiple of, so that it can be read in the chunks
/// of eight that f16 weights come in.
pub(super) const STRIDE_ALIGN: usize = 8;

/// A buffer of one row a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Activation {
    /// A slot of the network; [`Slot::Logits`] has a single row.
    Slot(Slot),
    /// The slot's values after RMSNorm.
    Normed(Slot),
    /// The logits of a batch, where those of every row are wanted.
    AllLogits,
    /// [`Slot::Context`] in parts: what each split of the positions contributes, not yet divided by its weight.
    Splits,
    /// Largest score and weight of each split and head.
    SplitStats,
}

impl Activation {
    /// The slot whose width it has.
    pub fn slot(self) -> Slot {
        match self {
            Self::Slot(slot) | Self::Normed(slot) => slot,
            Self::AllLogits => Slot::Logits,
            Self::Splits | Self::SplitStats => Slot::Context,
        }
    }
}

/// What a dispatch binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Which rows a part of a matrix has.
    Part(MatrixId, usize),
    /// The packed words of a part.
    Words(MatrixId, usize),
    /// The scales and biases of a part.
    Scales(MatrixId, usize),
    /// A weight vector.
    Vector(VectorId),
    /// Activations.
    Activation(Activation),
    /// A cache.
    Cache(usize),
    /// Cosines and sines of all positions, of one of the rotations.
    Rotary(usize),
    /// How tokens are chosen.
    Sampling,
    /// What changes the scores of single tokens.
    Adjustments,
    /// The best token of each slice of the vocabulary.
    Bests,
    /// The tokens chosen.
    Chosen,
}

/// How far a grid of workgroups reaches in one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Always this many workgroups.
    Fixed(u32),
    /// One workgroup for each `per` of what the batch's tokens bring, `units` each.
    Rows {
        /// What a token brings.
        units: u32,
        /// What a workgroup takes.
        per: u32,
    },
}

impl Extent {
    /// [`Extent::Fixed`].
    pub(super) fn fixed(workgroups: usize) -> Self {
        Self::Fixed(workgroups as u32)
    }

    /// A workgroup for each `per` tokens.
    pub(super) fn rows(per: usize) -> Self {
        Self::Rows { units: 1, per: per as u32 }
    }

    /// Workgroups for a batch of `rows` tokens.
    pub fn workgroups(self, rows: usize) -> u32 {
        match self {
            Self::Fixed(workgroups) => workgroups,
            Self::Rows { units, per } => (rows as u32 * units).div_ceil(per),
        }
    }
}

/// The grid of workgroups of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// First dimension.
    pub x: Extent,
    /// Second dimension.
    pub y: Extent,
}

/// One dispatch.
#[derive(Debug, Clone)]
pub struct Call {
    /// What profilers and error messages call it.
    pub label: String,
    /// The kernel.
    pub shader: Shader,
    /// What it binds, besides the batch.
    pub resources: Vec<(Binding, Resource)>,
    /// How many workgroups run.
    pub grid: Grid,
}

impl Call {
    pub(super) fn new(
        label: String,
        shader: Shader,
        resources: Vec<(Binding, Resource)>,
        grid: Grid,
    ) -> Self {
        Self { label, shader, resources, grid }
    }
}

/// Values from one row of an activation to the next.
pub(super) fn stride(network: &Network, activation: Activation) -> usize {
    network.width(activation.slot()).next_multiple_of(STRIDE_ALIGN)
}
