//! Test material outside of the repository, which may be absent.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};

/// A file or folder of `../shared`, or of the folder that `MOBILELLM_SHARED` names. If it is absent, this prints a
/// message and returns `None`.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MOBILELLM_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is absent", path.display());
    None
}
