//! What several test programs need: fixtures, engines on every backend that this machine has.

#![allow(clippy::unwrap_used, reason = "a test that fails here should say so")]
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};

use mobilellm::checkpoint::WeightFormat;
use mobilellm::checkpoint::directory::DirectorySource;
use mobilellm::engine::{BackendChoice, Engine, LoadOptions};
use mobilellm::gpu::{self, Gpu};

/// The folder of fixtures that independent software made.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures")
}

/// A file or folder of material that is not part of the repository; `None`, said aloud, where it is absent.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MOBILELLM_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is absent", path.display());
    None
}

/// The backends of this machine: always the CPU, and the GPU (perhaps an emulated one) where one opens.
pub(crate) fn backends() -> Vec<BackendChoice> {
    let mut backends = vec![BackendChoice::Cpu];
    match pollster::block_on(Gpu::open(gpu::Options::default())) {
        Ok(_) => backends.push(BackendChoice::Gpu),
        Err(error) => println!("skipped: no test on the GPU: {error}"),
    }
    backends
}

/// Loads a folder.
pub(crate) fn load(folder: &Path, backend: BackendChoice, weights: WeightFormat) -> Engine {
    let options = LoadOptions { backend, weights, ..LoadOptions::default() };
    DirectorySource::new(folder)
        .and_then(|source| pollster::block_on(Engine::load(&source, options)))
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}
