//! Helpers for several test programs: fixtures, and engines on every backend that this machine has.

#![allow(clippy::unwrap_used, reason = "an error in a test should make it fail")]
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};

use mobilellm::Result;

use mobilellm::backend::gpu::{self, Gpu, Tier};
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::engine::{BackendChoice, Engine, LoadOptions};

/// The folder with fixtures that independent software made.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures")
}

/// A backend, and for the GPU the tier of its kernels.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Backend {
    Cpu,
    Gpu(Tier),
    /// The GPU with tiles of 8-bit integers.
    GpuInt8(Tier),
}

/// Opens the GPU of a backend; `None` for the CPU.
pub(crate) fn device(backend: Backend) -> Result<Option<Gpu>> {
    let (tier, int8_tiles) = match backend {
        Backend::Cpu => return Ok(None),
        Backend::Gpu(tier) => (tier, false),
        Backend::GpuInt8(tier) => (tier, true),
    };
    // These tests compare every tier as a whole, so a self-test of the device would only take time.
    pollster::block_on(Gpu::open(gpu::GpuOptions {
        tier: Some(tier),
        int8_tiles: Some(int8_tiles),
        skip_self_test: true,
        ..gpu::GpuOptions::default()
    }))
    .map(Some)
}

/// The backends of this machine: always the CPU, and each tier of the GPU (which may be emulated) that can be opened.
pub(crate) fn backends() -> Vec<Backend> {
    let mut backends = vec![Backend::Cpu];
    for tier in Tier::ALL.iter().copied() {
        match device(Backend::Gpu(tier)) {
            Ok(_) => backends.push(Backend::Gpu(tier)),
            Err(error) => println!("skipped: gpu: the tests on the GPU's tier {}: {error}", tier.name()),
        }
    }
    backends
}

/// [`backends`], and each tier that has tiles a second time with integer tiles: for tests of quantised weights.
pub(crate) fn backends_both_ways() -> Vec<Backend> {
    let backends = backends();
    let with_tiles = backends.clone().into_iter().filter_map(|backend| match backend {
        Backend::Gpu(tier) if tier != Tier::Software => Some(Backend::GpuInt8(tier)),
        _ => None,
    });
    backends.into_iter().chain(with_tiles).collect()
}

/// Loads a folder.
pub(crate) fn load(folder: &Path, backend: Backend, weights: WeightFormat) -> Engine {
    let device = device(backend).unwrap_or_else(|error| panic!("{backend:?}: {error}"));
    load_on(folder, device, weights)
}

/// Loads a folder on an open device, or on the CPU. Drivers refuse more than some dozens of devices in a process, so a test that
/// loads many models shares one.
pub(crate) fn load_on(folder: &Path, device: Option<Gpu>, weights: WeightFormat) -> Engine {
    let backend = if device.is_some() { BackendChoice::Gpu } else { BackendChoice::Cpu };
    let options = LoadOptions { backend, device, weights, ..LoadOptions::default() };
    DirectorySource::new(folder)
        .and_then(|source| pollster::block_on(Engine::load(&source, options)))
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}
