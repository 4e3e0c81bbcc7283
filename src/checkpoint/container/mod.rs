//! How files of weights are read: the list of their tensors first, then the tensors in order.

pub mod gguf;
pub mod index;
pub mod safetensors;

pub(super) mod floats;
