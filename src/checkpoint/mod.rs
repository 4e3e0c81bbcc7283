//! Reading a checkpoint as a stream, tensor by tensor, straight to a backend.
//!
//! ```text
//! source -> reader -> header -> names and spec: what is this tensor, does it fit config.json?
//!                            -> assemble: converted band by band, parts joined -> backend
//! ```

#[cfg(not(target_arch = "wasm32"))]
pub mod directory;
pub mod files;
#[cfg(not(target_arch = "wasm32"))]
pub mod http;
pub mod index;
pub mod inspect;
pub mod memory;
pub mod names;
pub mod safetensors;
pub mod source;
#[cfg(not(target_arch = "wasm32"))]
pub mod writer;

mod assemble;
mod floats;
mod fuse;
mod load;
mod reader;
mod rows;
#[cfg(not(target_arch = "wasm32"))]
mod shard_writer;
mod spec;
mod weight_format;

pub use load::{Checkpoint, LoadReport, Progress, WEIGHTS_FILE};
pub use weight_format::WeightFormat;
