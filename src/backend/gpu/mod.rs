//! The network on the GPU, through wgpu: Vulkan, Metal and Direct3D natively, WebGPU in a browser.
//!
//! [`Plan`](plan::Plan) lowers the network's calls to dispatches, as plain data; [`GpuState`] turns them into pipelines and bind
//! groups once and then only records them. Kernels are WGSL under `shaders/`, each with a CPU twin in [`crate::backend::cpu`].
//! This module knows nothing of JavaScript.

mod buffer;
mod cache_format;
mod call;
mod ceiling;
mod counts;
mod device;
mod kernels;
mod layout;
mod loops;
mod open;
mod pipelines;
pub mod plan;
pub mod profile;
mod readback;
mod self_test;
pub mod shader;
mod state;
mod stopwatch;
mod target;
mod tiles;
mod weights;

pub use cache_format::CacheFormat;
pub use device::{AskHost, Gpu, GpuInfo, GpuOptions, Hints};
pub use layout::Layout;
pub use pipelines::{CompileAhead, Compiling};
pub use shader::{Dialect, Tier};
pub use state::GpuState;
pub use weights::GpuWeights;
