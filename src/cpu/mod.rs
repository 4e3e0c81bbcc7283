//! The network on the CPU: plain functions, one for each shader and of the same name.
//!
//! They are the reference that the shaders are tested against, and what runs where there is no WebGPU.
//! Each kernel is a pure function of slices; [`State`] only decides which slices.

pub mod attention;
pub mod embed;
pub mod int8;
pub mod matmul;
mod parallel;
pub mod rms_norm;
pub mod rotary;
mod state;
pub mod swiglu;
mod weights;
mod wide;

pub use state::State;
pub use weights::Weights;
