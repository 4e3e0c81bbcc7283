//! Helpers for several test programs: fixtures, and engines on every backend that this machine has.

#![allow(clippy::unwrap_used, reason = "an error in a test should make it fail")]
#![allow(dead_code, reason = "each test program uses a part")]

use std::cell::RefCell;
use std::collections::HashMap;
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

thread_local! {
    /// Each tier's device, without and with integer tiles, is opened once: drivers refuse more than some dozens in a process.
    static DEVICES: RefCell<HashMap<(Tier, bool), Gpu>> = RefCell::default();
}

/// The device of a tier.
fn device(tier: Tier, int8_tiles: bool) -> Result<Gpu> {
    if let Some(gpu) = DEVICES.with_borrow(|devices| devices.get(&(tier, int8_tiles)).cloned()) {
        return Ok(gpu);
    }
    // These tests compare every tier as a whole, so a self-test of the device would only take time.
    let gpu = pollster::block_on(Gpu::open(gpu::GpuOptions {
        tier: Some(tier),
        int8_tiles: Some(int8_tiles),
        skip_self_test: true,
        ..gpu::GpuOptions::default()
    }))?;
    DEVICES.with_borrow_mut(|devices| devices.insert((tier, int8_tiles), gpu.clone()));
    Ok(gpu)
}

/// The backends of this machine: always the CPU, and each tier of the GPU (which may be emulated) that can be opened.
pub(crate) fn backends() -> Vec<Backend> {
    let mut backends = vec![Backend::Cpu];
    for tier in Tier::ALL.iter().copied() {
        match device(tier, false) {
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
    let device = match backend {
        Backend::Cpu => Ok(None),
        Backend::Gpu(tier) => device(tier, false).map(Some),
        Backend::GpuInt8(tier) => device(tier, true).map(Some),
    };
    let backend = if matches!(backend, Backend::Cpu) { BackendChoice::Cpu } else { BackendChoice::Gpu };
    device
        .and_then(|device| {
            let options = LoadOptions { backend, device, weights, ..LoadOptions::default() };
            pollster::block_on(Engine::load(&DirectorySource::new(folder)?, options))
        })
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}
