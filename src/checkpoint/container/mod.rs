//! How files of weights are read: the list of their tensors first, then the tensors in order.

pub mod gguf;
pub mod safetensors;
pub mod shard_index;

pub(super) mod floats;
