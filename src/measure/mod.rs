//! How fast a network runs on this device, and how accurate its predictions are.

pub mod bench;
pub mod fidelity;
