//! The network on the CPU: plain functions, one for each shader and of the same name.
//!
//! They are the reference that the shaders are tested against, and what runs where there is no WebGPU.
//! Each kernel is a pure function of slices; [`CpuState`] only decides which slices. A row's results are the same to the bit in
//! whatever batch it runs, on one thread or many.

#![allow(clippy::inline_always, reason = "what is not inlined is not compiled for the instruction set")]

pub mod add_normed;
pub mod attention;
pub mod cache;
pub mod convolve;
pub mod embed;
mod exp;
pub mod gated;
pub mod int8;
pub mod logits;
pub mod matmul;
mod memory;
mod parallel;
mod pass;
pub mod rms_norm;
pub mod rotary;
pub mod rotate_and_cache;
pub mod sample;
mod simd;
mod state;
mod weights;
mod wide;

pub use state::CpuState;
pub use weights::{CpuWeights, Weight};
