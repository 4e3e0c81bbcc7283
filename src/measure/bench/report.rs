//! The result of a measurement as data. Every way to run it gives this JSON.

use serde::Serialize;

use super::shape::Shape;
use crate::backend::gpu::profile::{Ceiling, Counts, KernelTime};
use crate::backend::gpu::{self};

/// The results for one shape.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of this engine.
    pub version: &'static str,
    /// The machine that ran the measurement.
    pub machine: Machine,
    /// The measured shape.
    pub shape: Shape,
    /// Where its weights came from.
    pub source: String,
    /// Number of weights, each counted once.
    pub parameters: u64,
    /// The requested weight format: `q4`, `q8`, `f16`, `f32` or `auto`.
    pub weights: &'static str,
    /// Bytes of the weights in memory.
    pub weight_bytes: u64,
    /// `cpu` or `gpu`.
    pub backend: &'static str,
    /// The GPU, if the backend was a GPU.
    pub adapter: Option<gpu::GpuInfo>,
    /// Why the CPU computed, if the caller did not choose it.
    pub fallback_reason: Option<String>,
    /// Times from the start to the first token.
    pub load: Load,
    /// Prefill, one entry per prompt length.
    pub prefill: Vec<Prefill>,
    /// Decode, one entry per context length.
    pub decode: Vec<Decode>,
    /// The GPU time of each kernel.
    pub kernels: Vec<KernelTable>,
    /// The limits of the GPU.
    pub ceiling: Option<Ceiling>,
    /// What was not measured, and why.
    pub left_out: Vec<String>,
}

/// What is known about the machine.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// The processor, or the browser.
    pub name: String,
    /// Operating system and architecture.
    pub system: String,
    /// Hardware threads.
    pub threads: usize,
}

/// Milliseconds of the steps up to the first token, in order. Their sum is the whole time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// Opening the device and testing it.
    pub init_ms: f64,
    /// Reading the weights into the memory of the device.
    pub load_ms: f64,
    /// Making the caches, and compiling the kernels that were not compiled during the load.
    pub prepare_ms: f64,
    /// From a prompt of 16 tokens to the first token, in the first run.
    pub first_token_ms: f64,
}

/// Prefill of one prompt length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prefill {
    /// Tokens in the prompt.
    pub tokens: usize,
    /// Milliseconds until the first token after the prompt was chosen; the median of the runs.
    pub ms: f64,
    /// Prompt tokens per second.
    pub tokens_per_s: f64,
    /// Number of runs.
    pub runs: usize,
}

/// Decode, one token after the other, at one context length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Decode {
    /// Tokens before the first decoded token.
    pub context: usize,
    /// Tokens decoded in each run.
    pub tokens: usize,
    /// Milliseconds per token; the median of the runs.
    pub ms_per_token: f64,
    /// Tokens per second.
    pub tokens_per_s: f64,
    /// Number of runs.
    pub runs: usize,
    /// Bytes of weights that each token reads.
    pub weight_bytes: u64,
    /// Bytes of keys and values that a token in the middle of the run reads.
    pub cache_bytes: u64,
    /// GPU work per token.
    pub per_token: Option<PerToken>,
    /// Limits of the speed on this device.
    pub bound: Option<Bound>,
}

/// GPU work per token: the mean of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PerToken {
    /// Kernels launched.
    pub dispatches: f64,
    /// Command buffers submitted.
    pub submits: f64,
    /// Buffers mapped for reading.
    pub readbacks: f64,
    /// Bytes read from those buffers.
    pub bytes_read: f64,
    /// Small writes to buffers.
    pub writes: f64,
    /// Bytes of those writes.
    pub bytes_written: f64,
}

impl PerToken {
    /// `counts` divided by `tokens`.
    pub(super) fn of(counts: Counts, tokens: usize) -> Self {
        let share = |count: u64| count as f64 / tokens.max(1) as f64;
        Self {
            dispatches: share(counts.dispatches),
            submits: share(counts.submits),
            readbacks: share(counts.readbacks),
            bytes_read: share(counts.bytes_read),
            writes: share(counts.writes),
            bytes_written: share(counts.bytes_written),
        }
    }
}

/// Limits that no implementation can beat on this device, if a token needs so many dependent dispatches or so many
/// bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    /// Milliseconds that a token's dispatches would take if they did nothing.
    pub launch_ms: f64,
    /// Milliseconds that the device takes to copy as many bytes as a token reads.
    pub memory_ms: f64,
    /// The larger of the two limits, divided by the measured time: 1 is as fast as possible.
    pub reached: f64,
}

/// The time that each kind of kernel takes in one pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTable {
    /// Tokens in the pass: 1 means decode.
    pub rows: usize,
    /// Tokens before those of the pass.
    pub context: usize,
    /// Microseconds of all kernels.
    pub us: f64,
    /// The kinds of kernels, in the order in which they first run.
    pub kernels: Vec<KernelTime>,
}
