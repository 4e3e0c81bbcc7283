//! Choosing tokens: `shaders/sample/*.wgsl`, twin [`crate::backend::cpu::sample`].

use crate::backend::cpu::sample as rule;
use crate::backend::gpu::call::{Activation, Call, Extent, Grid, Resource, stride};
use crate::backend::gpu::shader::{self, Binding, Constant, Shader, Tier};
use crate::backend::gpu::target::{Context, RING};
use crate::model::network::Slot;

/// Tokens that a workgroup looks at: enough to keep it busy, few enough that many share a vocabulary.
const SLICE: usize = 1024;

/// Where a thread works alone, it has a core for itself.
const THREAD_SLICE: usize = 4096;

/// Threads of a workgroup. Alone, a thread meets no barrier, which a software adapter would make it pay for.
fn threads(tier: Tier) -> usize {
    match tier {
        Tier::Software => 1,
        Tier::Portable | Tier::Subgroups | Tier::F16 => 256,
    }
}

/// Bits of a distance that are looked at together. SwiftShader unrolls the clearing of workgroup memory: with the
/// 256 bins of a workgroup that shares the work it compiles this one kernel for a second.
fn digit_bits(tier: Tier) -> usize {
    if tier == Tier::Software { 6 } else { 8 }
}

/// Tokens that are put aside at most; for the same reason.
fn few(tier: Tier) -> usize {
    if tier == Tier::Software { 64 } else { 1024 }
}

/// Slices of a row.
pub(in crate::backend::gpu) fn slices(context: &Context) -> usize {
    context.network.config.vocab_size.div_ceil(slice(context))
}

fn slice(context: &Context) -> usize {
    if context.target.tier == Tier::Software { THREAD_SLICE } else { SLICE }
}

/// The numbers that a score and its noise are made with, from the twin.
fn with_score(shader: Shader) -> Shader {
    shader
        .constant("NEVER", rule::NEVER)
        .constant("LAST_STEP", Constant::U32(rule::LAST_STEP))
        .constant("IN_PROMPT", Constant::U32(rule::IN_PROMPT))
        .constant("MAX_NOISE", rule::MAX_NOISE)
        .constant("ONE", rule::ONE)
        .constant("SERIES_BELOW", rule::SERIES_BELOW)
        .piece(shader::SCORE)
}

/// The numbers that a cut is searched with, from the twin.
fn with_cut(shader: Shader) -> Shader {
    shader
        .constant("STEPS", rule::STEPS)
        .constant("STEP_BITS", rule::STEP_BITS)
        .constant("TOP_P_SLACK", rule::TOP_P_SLACK)
}

/// Two calls that choose from one row of logits and make the token the next batch, or, with `every_row`, that choose from
/// each row of a batch.
pub(in crate::backend::gpu) fn calls(context: &Context, every_row: bool) -> [Call; 2] {
    let logits = if every_row { Activation::AllLogits } else { Activation::Slot(Slot::Logits) };
    let complete = |shader: Shader| {
        with_score(shader)
            .constant("THREADS", threads(context.target.tier))
            .constant("SLICES", slices(context))
            .constant("VOCAB_SIZE", context.network.config.vocab_size)
            .constant("LOGITS_STRIDE", stride(context.network, logits))
    };
    let rows = if every_row { Extent::rows(1) } else { Extent::fixed(1) };
    let common = [
        (Binding::Input, Resource::Activation(logits)),
        (Binding::Sampling, Resource::Sampling),
        (Binding::Adjustments, Resource::Adjustments),
    ];
    let max_batch = context.target.max_batch;
    let slices_shader =
        complete(Shader::new(shader::SAMPLE_SLICES, max_batch)).constant("SLICE", slice(context));
    let choose_shader = with_cut(complete(Shader::advancing(shader::SAMPLE_CHOOSE, max_batch)))
        .constant("DIGIT_BITS", digit_bits(context.target.tier))
        .constant("FEW", few(context.target.tier))
        .constant("RING", RING)
        .constant("ADVANCES", !every_row);
    [
        Call::new(
            "sample slices".to_owned(),
            slices_shader,
            [&common[..], &[(Binding::Output, Resource::Bests)]].concat(),
            Grid { x: Extent::fixed(slices(context)), y: rows },
        ),
        Call::new(
            "sample choose".to_owned(),
            choose_shader,
            [&common[..], &[(Binding::Bests, Resource::Bests), (Binding::Output, Resource::Chosen)]].concat(),
            Grid { x: Extent::fixed(1), y: rows },
        ),
    ]
}
