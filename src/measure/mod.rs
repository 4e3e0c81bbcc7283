//! How fast a network runs here, and how faithful it stays.

pub mod bench;
pub mod fidelity;
