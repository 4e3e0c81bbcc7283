//! A checkpoint's files, read as a stream, tensor by tensor, straight to a backend.
//!
//! ```text
//! source (bytes) -> container (tensors) -> load (matrices of the network) -> backend
//!                                       -> quantize (a smaller copy)
//! ```

pub mod container;
pub mod load;
#[cfg(not(target_arch = "wasm32"))]
pub mod quantize;
pub mod source;
