//! Reading a checkpoint as a stream, tensor by tensor, straight to a backend.

pub mod source;
