//! A network lowered to dispatches, once for a model: which shader, which buffers, how many workgroups.
//!
//! A [`Plan`] is plain data, made without a device, so that tests can count dispatches and validate every shader
//! that a checkpoint needs where there is no GPU. Two lowerings exist of every call: for few tokens, each computed as if
//! it were alone (decode, and guesses that are checked), and for many that share what is read (prefill).

use std::collections::{BTreeSet, HashMap};

pub use super::call::{Activation, Call, Extent, Grid, Resource};
use super::kernels::matmul::{self, Matmul, WorkDivision};
use super::kernels::rotate_and_cache::RotateAndCache;
use super::kernels::{add_normed, attention, convolve, embed, rms_norm, sample};
use super::layout::Layout;
use super::shader::Shader;
pub use super::target::Target;
use super::target::{Context, Lowering};
use crate::error::Result;
use crate::model::decoder::Window;
use crate::model::network::{Epilogue, MatrixId, Network, Op, Rows, Slot, VectorId};

/// The dispatches of a network.
#[derive(Debug, Clone)]
pub struct Plan {
    /// All but the head, for few tokens.
    pub decode: Vec<Call>,
    /// All but the head, for many.
    pub prefill: Vec<Call>,
    /// The head for one row of either.
    pub head_last: Vec<Call>,
    /// The head for every row of few.
    pub head_decode: Vec<Call>,
    /// The head for every row of many.
    pub head_prefill: Vec<Call>,
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
    /// [`crate::Error::Missing`] for a matrix without a layout.
    pub fn new(network: &Network, layouts: &HashMap<MatrixId, Layout>, target: Target) -> Result<Self> {
        let context = Context { network, layouts, target };
        let is_head = |op: &&Op| matches!(op, Op::Project { rows: Rows::Wanted, .. });
        let body = |lowering| lower_all(&context, network.ops.iter().filter(|op| !is_head(op)), lowering);
        let head = |lowering| lower_all(&context, network.ops.iter().filter(is_head), lowering);
        Ok(Self {
            decode: body(Lowering::Decode)?,
            prefill: body(Lowering::Prefill)?,
            head_last: head(Lowering::LastRow)?,
            head_decode: head(Lowering::Decode)?,
            head_prefill: head(Lowering::Prefill)?,
            sample_one: sample::calls(&context, false).into(),
            sample_all: sample::calls(&context, true).into(),
            slices: sample::slices(&context),
        })
    }

    /// All calls.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        let heads = self.head_last.iter().chain(&self.head_decode).chain(&self.head_prefill);
        let samples = self.sample_one.iter().chain(&self.sample_all);
        self.decode.iter().chain(&self.prefill).chain(heads).chain(samples)
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
/// [`crate::Error::Missing`] where `layouts` lacks the matrix.
pub(super) fn shaders_of(
    network: &Network,
    layouts: &HashMap<MatrixId, Layout>,
    target: Target,
    id: MatrixId,
) -> Result<Vec<Shader>> {
    let context = Context { network, layouts, target };
    let mut lowered = Lowered::new(&context);
    for op in &network.ops {
        let lowerings: &[_] = match *op {
            Op::Embed { .. } if id == MatrixId::Embedding => &[Lowering::Decode],
            Op::Project { weight, rows: Rows::Wanted, .. } if weight == id => &[Lowering::LastRow],
            Op::Project { weight, .. } if weight == id => &[Lowering::Decode, Lowering::Prefill],
            // What has no weights goes with what is there for certain.
            Op::Attend { .. } | Op::RotateAndCache { .. } | Op::AddNormed { .. } | Op::Convolve { .. }
                if id == MatrixId::Embedding =>
            {
                &[Lowering::Decode, Lowering::Prefill]
            }
            _ => &[],
        };
        lowered.follow(op)?;
        for lowering in lowerings {
            lowered.push(op, *lowering)?;
        }
    }
    let mut calls = lowered.calls;
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
    let mut lowered = Lowered::new(context);
    for op in ops {
        lowered.follow(op)?;
        lowered.push(op, lowering)?;
    }
    Ok(lowered.calls)
}

/// The calls of operations, one after the other.
struct Lowered<'a> {
    context: &'a Context<'a>,
    calls: Vec<Call>,
    /// What the latest attention saw: whoever reads its splits must know how many there are.
    window: Window,
}

impl<'a> Lowered<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, calls: Vec::new(), window: Window::Full }
    }

    /// Takes notice of an operation, whether it is lowered or not.
    fn follow(&mut self, op: &Op) -> Result<()> {
        if let Op::Attend { cache, .. } = *op {
            self.window = self.context.cache(cache)?.window();
        }
        Ok(())
    }

    fn push(&mut self, op: &Op, lowering: Lowering) -> Result<()> {
        let context = self.context;
        let call = match *op {
            Op::Embed { scale } => return embed::calls(context, scale, &mut self.calls),
            Op::Project { norm, weight, bias, input, epilogue, rows } => {
                let projection = Projection { norm, weight, bias, input, epilogue, rows };
                return self.project(&projection, lowering);
            }
            Op::RotateAndCache { block, cache, rotary, norm, temperature } => {
                RotateAndCache { block, cache, rotary, norm, temperature }.call(context)?
            }
            Op::Attend { cache, scale } => attention::call(context, lowering, cache, scale)?,
            Op::AddNormed { norm, input, scale } => add_normed::call(context, norm, input, scale),
            Op::Convolve { block, cache } => convolve::call(context, block, cache)?,
        };
        self.calls.push(call);
        Ok(())
    }

    fn project(&mut self, op: &Projection, lowering: Lowering) -> Result<()> {
        let Projection { norm, weight, bias, input, epilogue, rows } = *op;
        let context = self.context;
        let wanted_rows = rows == Rows::Wanted;
        // Where every workgroup reads the whole row anyway, it normalises it on the way.
        let fused = WorkDivision::of(context.target.tier, lowering) == WorkDivision::Vector;
        let separate = norm.filter(|_| !fused);
        if let Some(norm) = separate {
            self.calls.push(rms_norm::call(context, norm, input, wanted_rows));
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
            output: if slot == Slot::Logits && lowering != Lowering::LastRow {
                Activation::AllLogits
            } else {
                Activation::Slot(slot)
            },
            // A separate norm has already picked the wanted rows.
            wanted_rows: wanted_rows && separate.is_none(),
            lowering,
            window: self.window,
        };
        projection.calls(context, &mut self.calls)
    }
}

/// What [`Op::Project`] says.
struct Projection {
    norm: Option<VectorId>,
    weight: MatrixId,
    bias: Option<VectorId>,
    input: Slot,
    epilogue: Epilogue,
    rows: Rows,
}
