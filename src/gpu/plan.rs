//! A network lowered to dispatches, once for a model: which shader, which buffers, how many workgroups.
//!
//! A [`Plan`] is plain data, made without a device, so that tests can count dispatches and validate every shader
//! that a checkpoint needs where there is no GPU. Two lowerings exist of every call: for few tokens, each computed as if
//! it were alone (decode, and guesses that are checked), and for many that share what is read (prefill).

use std::collections::{BTreeSet, HashMap};

use super::device::Info;
use super::kernels::matmul::{self, Division, Matmul};
use super::kernels::{CacheFormat, attention, embed, rms_norm, sample};
use super::shader::{Binding, MIN_SUBGROUP, Shader, Tier};
use super::weights::Layout;
use crate::error::{Error, Result};
use crate::network::{MatrixId, Network, Op, Rows, Slot, VectorId};

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
    /// A key/value cache.
    Cache(usize),
    /// Cosines and sines of all positions.
    Rotary,
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
    /// For a device.
    pub(super) fn of(info: &Info, cache: CacheFormat) -> Self {
        Self {
            tier: info.tier,
            max_batch: max_batch(info.tier),
            cache,
            subgroup_size: info.subgroup_size as usize,
            int8_tiles: info.int8_tiles,
        }
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

/// Threads that share a sum at most: more would have too little to do each.
const MAX_LANES: usize = 32;

/// Everything that lowering a call looks at.
pub(super) struct Context<'a> {
    pub(super) network: &'a Network,
    pub(super) layouts: &'a HashMap<MatrixId, Layout>,
    pub(super) target: Target,
}

impl Context<'_> {
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
    One,
    /// Up to [`few_rows`] rows, each computed by itself, so that it has the same bits in every such batch.
    Few,
    /// Any number of rows.
    Many,
}

/// Rows up to which a batch is [`Lowering::Few`].
pub(super) fn few_rows(tier: Tier) -> usize {
    match tier {
        // Its kernels give a row the same bits in every batch, and there is nothing to be gained by waiting less.
        Tier::Software => 1,
        // A matrix is read once for all rows, from the cache if not at once: on a GPU that waits for launches the
        // rows are nearly free.
        Tier::Portable | Tier::Subgroups | Tier::F16 => 16,
    }
}

/// The dispatches of a network.
#[derive(Debug, Clone)]
pub struct Plan {
    /// All but the head, for few tokens.
    pub few: Vec<Call>,
    /// All but the head, for many.
    pub many: Vec<Call>,
    /// The head for one row of either.
    pub head_one: Vec<Call>,
    /// The head for every row of few.
    pub head_few: Vec<Call>,
    /// The head for every row of many.
    pub head_many: Vec<Call>,
    /// Chooses from the logits of one row, and makes the token the next batch.
    pub sample_one: Vec<Call>,
    /// Chooses from the logits of every row of a batch.
    pub sample_all: Vec<Call>,
    /// Slices of the vocabulary whose best tokens are found apart.
    pub slices: usize,
}

impl Plan {
    /// Lowers a network whose matrices lie as `layouts` says.
    ///
    /// # Errors
    /// [`Error::Missing`] for a matrix without a layout.
    pub fn new(network: &Network, layouts: &HashMap<MatrixId, Layout>, target: Target) -> Result<Self> {
        let context = Context { network, layouts, target };
        let is_head = |op: &&Op| matches!(op, Op::Project { rows: Rows::Wanted, .. });
        let body = |lowering| lower_all(&context, network.ops.iter().filter(|op| !is_head(op)), lowering);
        let head = |lowering| lower_all(&context, network.ops.iter().filter(is_head), lowering);
        Ok(Self {
            few: body(Lowering::Few)?,
            many: body(Lowering::Many)?,
            head_one: head(Lowering::One)?,
            head_few: head(Lowering::Few)?,
            head_many: head(Lowering::Many)?,
            sample_one: sample::calls(&context, false).into(),
            sample_all: sample::calls(&context, true).into(),
            slices: sample::slices(&context),
        })
    }

    /// All calls.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        let heads = self.head_one.iter().chain(&self.head_few).chain(&self.head_many);
        let samples = self.sample_one.iter().chain(&self.sample_all);
        self.few.iter().chain(&self.many).chain(heads).chain(samples)
    }

    /// The activations that the calls use.
    pub(super) fn activations(&self) -> BTreeSet<Activation> {
        let resources = self.calls().flat_map(|call| &call.resources);
        resources
            .filter_map(|(_, resource)| match resource {
                Resource::Activation(activation) => Some(*activation),
                _ => None,
            })
            .collect()
    }
}

/// The shaders that can be known once a matrix is, except those for what is seldom asked for.
///
/// # Errors
/// [`Error::Missing`] where `layouts` lacks the matrix.
pub(super) fn shaders_of(
    network: &Network,
    layouts: &HashMap<MatrixId, Layout>,
    target: Target,
    id: MatrixId,
) -> Result<Vec<Shader>> {
    let context = Context { network, layouts, target };
    let mut calls = Vec::new();
    for op in &network.ops {
        let lowerings: &[_] = match *op {
            Op::Embed if id == MatrixId::Embedding => &[Lowering::Few],
            Op::Project { weight, rows: Rows::Wanted, .. } if weight == id => &[Lowering::One],
            Op::Project { weight, .. } if weight == id => &[Lowering::Few, Lowering::Many],
            // What has no weights goes with what is there for certain.
            Op::Attend { cache: 0 } if id == MatrixId::Embedding => &[Lowering::Few, Lowering::Many],
            _ => &[],
        };
        for lowering in lowerings {
            lower(&context, op, *lowering, &mut calls)?;
        }
    }
    if id == MatrixId::Embedding {
        calls.extend(sample::calls(&context, false));
    }
    Ok(calls.into_iter().map(|call| call.shader).collect())
}

fn lower_all<'a>(
    context: &Context,
    ops: impl Iterator<Item = &'a Op>,
    lowering: Lowering,
) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    for op in ops {
        lower(context, op, lowering, &mut calls)?;
    }
    Ok(calls)
}

fn lower(context: &Context, op: &Op, lowering: Lowering, calls: &mut Vec<Call>) -> Result<()> {
    match *op {
        Op::Embed => embed::calls(context, calls),
        Op::Attend { cache } => {
            calls.push(attention::call(context, lowering, cache));
            Ok(())
        }
        Op::Project { norm, weight, bias, input, epilogue, rows } => {
            let wanted_rows = rows == Rows::Wanted;
            // Where every workgroup reads the whole row anyway, it normalises it on the way.
            let fused = Division::of(context.target.tier, lowering) == Division::Vector;
            let separate = norm.filter(|_| !fused);
            if let Some(norm) = separate {
                calls.push(rms_norm::call(context, norm, input, wanted_rows));
            }
            let slot = matmul::output_slot(epilogue);
            let projection = Matmul {
                weight,
                bias,
                input: match separate {
                    Some(_) => Activation::Normed(input),
                    None if input == Slot::Context => attention::output(context, lowering),
                    None => Activation::Slot(input),
                },
                norm: norm.filter(|_| fused),
                epilogue,
                output: if slot == Slot::Logits && lowering != Lowering::One {
                    Activation::AllLogits
                } else {
                    Activation::Slot(slot)
                },
                // A separate norm has already picked the wanted rows.
                wanted_rows: wanted_rows && separate.is_none(),
                lowering,
            };
            projection.calls(context, calls)
        }
    }
}
