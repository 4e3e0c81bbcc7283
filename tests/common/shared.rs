//! Material beside the repository that not everyone has.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]

use std::path::{Path, PathBuf};

/// A file or folder of `../shared`, or of what `MOBILELLM_SHARED` names; `None`, said aloud, where it is absent.
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
