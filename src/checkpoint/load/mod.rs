//! From the tensors of a container to the matrices of the network: which tensor is what, whether it fits the configuration,
//! and its conversion, band by band, on the way to a backend.

mod assemble;
mod biases;
mod checkpoint;
mod fuse;
mod gguf;
pub mod inspect;
pub mod names;
mod rows;
mod spec;
mod weight_format;

/// Bytes of a tensor that are converted at once.
pub(crate) const BAND: u64 = 1 << 20;

pub use checkpoint::{Checkpoint, LoadReport, Progress, WEIGHTS_FILE};
pub use weight_format::WeightFormat;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use gguf::{GgufFiles, Place, float, place, reopen};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use spec::Spec;
