//! The network on the GPU, through wgpu: Vulkan, Metal and Direct3D natively, WebGPU in a browser.
//!
//! [`Plan`](plan::Plan) lowers the network's calls to dispatches, as plain data; [`State`] turns them into pipelines and bind
//! groups once and then only records them. Kernels are WGSL under `shaders/`, each with a CPU twin in [`crate::cpu`].
//! This module knows nothing of JavaScript.

mod buffer;
mod device;
mod kernels;
mod loops;
mod open;
mod pipelines;
pub mod plan;
pub mod profile;
mod readback;
mod self_test;
pub mod shader;
mod state;
mod tiles;
mod weights;

pub use device::{Gpu, Info, Options};
pub use kernels::CacheFormat;
pub use pipelines::CompileAhead;
pub use shader::{Dialect, Tier};
pub use state::State;
pub use weights::{Layout, Weights};
