//! What a checkpoint's network is: its configuration, the calls that compute it, and its matrices at rest.

pub mod affine;
pub mod config;
pub mod decoder;
pub(crate) mod families;
mod fields;
pub mod matrix;
pub mod network;
pub mod rope;
