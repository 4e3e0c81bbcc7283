//! GGUF, the files of llama.cpp: one file holds metadata, a tokenizer and tensors.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

pub(crate) mod blocks;
pub mod header;
pub mod metadata;
pub mod types;
mod values;

pub use header::{Header, TensorInfo};
pub use metadata::{List, Metadata, Numbers, Value};
pub use types::TensorType;
