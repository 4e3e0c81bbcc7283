//! A network lowered to dispatches, once for a model: which shader, which buffers, how many workgroups.
//!
//! A [`Plan`] is plain data, made without a device, so that tests can count dispatches and validate every shader
//! that a checkpoint needs where there is no GPU. Two lowerings exist of every call: for few tokens, each computed as if
//! it were alone (decode, and guesses that are checked), and for many that share what is read (prefill).

use std::collections::{BTreeSet, HashMap};

pub use super::call::{Activation, Call, Extent, Grid, Resource};
use super::kernels::matmul::{self, Matmul, WorkDivision};
use super::kernels::{attention, embed, rms_norm, sample};
use super::layout::Layout;
use super::shader::Shader;
pub use super::target::Target;
use super::target::{Context, Lowering};
use crate::error::{Error, Result};
use crate::model::config::FILE;
use crate::model::decoder::{ActivationFunction, Window};
use crate::model::network::{Epilogue, MatrixId, Network, Op, Rows, Slot};

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
        check(network)?;
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
    let mut calls = Vec::new();
    for op in &network.ops {
        let lowerings: &[_] = match *op {
            Op::Embed { .. } if id == MatrixId::Embedding => &[Lowering::Decode],
            Op::Project { weight, rows: Rows::Wanted, .. } if weight == id => &[Lowering::LastRow],
            Op::Project { weight, .. } if weight == id => &[Lowering::Decode, Lowering::Prefill],
            // What has no weights goes with what is there for certain.
            Op::Attend { cache: 0, .. } if id == MatrixId::Embedding => {
                &[Lowering::Decode, Lowering::Prefill]
            }
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
        Op::Embed { .. } => embed::calls(context, calls),
        Op::Attend { cache, .. } => {
            calls.push(attention::call(context, lowering, cache));
            Ok(())
        }
        Op::Project { norm, weight, bias, input, epilogue, rows } => {
            let wanted_rows = rows == Rows::Wanted;
            // Where every workgroup reads the whole row anyway, it normalises it on the way.
            let fused = WorkDivision::of(context.target.tier, lowering) == WorkDivision::Vector;
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
                output: if slot == Slot::Logits && lowering != Lowering::LastRow {
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
        Op::RotateAndCache { .. } | Op::AddNormed { .. } | Op::Convolve { .. } => Err(not_yet()),
    }
}

/// Refuses what these kernels do not compute.
fn check(network: &Network) -> Result<()> {
    let decoder = &network.config.decoder;
    let plain = |op: &Op| match *op {
        Op::Embed { scale } => scale == 1.0,
        Op::Attend { cache, scale } => {
            let window = network.caches().get(cache).map(|cache| cache.window());
            scale == 1.0 / (network.config.head_dim as f32).sqrt() && window == Some(Window::Full)
        }
        Op::Project { epilogue, .. } => match epilogue {
            Epilogue::Write(_) => true,
            Epilogue::Logits { .. } => false,
            Epilogue::Add { scale, .. } => scale == 1.0,
            Epilogue::Gated { activation, .. } => activation == ActivationFunction::Silu,
            Epilogue::RotateAndCache { rotary, .. } | Epilogue::Rotate { rotary } => rotary == Some(0),
        },
        Op::RotateAndCache { .. } | Op::AddNormed { .. } | Op::Convolve { .. } => false,
    };
    let one_rotation = decoder.rotary.len() == 1 && decoder.max_short_positions().is_none();
    if network.ops.iter().all(plain) && one_rotation { Ok(()) } else { Err(not_yet()) }
}

fn not_yet() -> Error {
    Error::unsupported(FILE, "this family on a GPU", "Use the CPU backend")
}
