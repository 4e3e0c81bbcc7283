//! What a measurement found, as data: the JSON that every way of running it gives.

use serde::Serialize;

use super::shape::Shape;
use crate::backend::gpu::profile::{Ceiling, Counts, KernelTime};
use crate::backend::gpu::{self};

/// All that was found out about one shape.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of this engine.
    pub version: &'static str,
    /// Where it ran.
    pub machine: Machine,
    /// What ran.
    pub shape: Shape,
    /// Where its weights came from.
    pub source: String,
    /// Weights, each counted once.
    pub parameters: u64,
    /// How weights were asked to be held: `q4`, `q8`, `f16`, `f32` or `auto`.
    pub weights: &'static str,
    /// Bytes that they take.
    pub weight_bytes: u64,
    /// `cpu` or `gpu`.
    pub backend: &'static str,
    /// The GPU, where it computed.
    pub adapter: Option<gpu::GpuInfo>,
    /// Why the CPU computed although nobody asked for it.
    pub fallback_reason: Option<String>,
    /// From nothing to the first token.
    pub load: Load,
    /// Reading prompts, by their length.
    pub prefill: Vec<Prefill>,
    /// Writing tokens, by how long the context is.
    pub decode: Vec<Decode>,
    /// Where the GPU's time goes.
    pub kernels: Vec<KernelTable>,
    /// What the GPU can do at best.
    pub ceiling: Option<Ceiling>,
    /// What was not measured, and why.
    pub left_out: Vec<String>,
}

/// The machine, as far as it is known.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// The processor, or the browser.
    pub name: String,
    /// Operating system and architecture.
    pub system: String,
    /// Threads that it runs at once.
    pub threads: usize,
}

/// Milliseconds from nothing to the first token, in order; they add up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// Opening the device and testing it.
    pub init_ms: f64,
    /// Reading the weights into its memory.
    pub load_ms: f64,
    /// Making caches, and compiling what is not compiled while loading.
    pub prepare_ms: f64,
    /// From a prompt of 16 tokens to the first token, the very first time.
    pub first_token_ms: f64,
}

/// Reading a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prefill {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Milliseconds until the first token after it was chosen; the median of the runs.
    pub ms: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// How often it was run.
    pub runs: usize,
}

/// Writing tokens one by one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Decode {
    /// Tokens before the first that was written.
    pub context: usize,
    /// Tokens written a run.
    pub tokens: usize,
    /// Milliseconds a token; the median of the runs.
    pub ms_per_token: f64,
    /// Tokens a second.
    pub tokens_per_s: f64,
    /// How often it was run.
    pub runs: usize,
    /// Bytes of weights that a token needs.
    pub weight_bytes: u64,
    /// Bytes of keys and values that a token needs halfway.
    pub cache_bytes: u64,
    /// What the GPU was asked for.
    pub per_token: Option<PerToken>,
    /// How fast it could be.
    pub bound: Option<Bound>,
}

/// What the device was asked for, a token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PerToken {
    /// Kernels launched.
    pub dispatches: f64,
    /// Command buffers submitted.
    pub submits: f64,
    /// Buffers mapped for reading.
    pub readbacks: f64,
    /// Bytes read from them.
    pub bytes_read: f64,
    /// Small writes to buffers.
    pub writes: f64,
    /// Bytes written by them.
    pub bytes_written: f64,
}

impl PerToken {
    /// The share of one of `tokens` tokens.
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

/// What no implementation with so many dependent dispatches, or so many bytes a token, can beat on this device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    /// Milliseconds that a token's dispatches would take if they did nothing.
    pub launch_ms: f64,
    /// Milliseconds in which the device copies as many bytes as a token reads.
    pub memory_ms: f64,
    /// The larger of the two over the time measured: 1 is as fast as possible.
    pub reached: f64,
}

/// What each kind of kernel takes in one pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTable {
    /// Tokens of the pass: 1 is decode.
    pub rows: usize,
    /// Tokens before them.
    pub context: usize,
    /// Microseconds of all kernels.
    pub us: f64,
    /// In the order in which they first run.
    pub kernels: Vec<KernelTime>,
}
