//! Which browser tests and measurements drive.

use std::path::PathBuf;

use crate::process;

const NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "microsoft-edge"];

/// A browser of the Chromium family: the one that the variable `CHROMIUM` names, or one that is installed.
pub(crate) fn find() -> Option<PathBuf> {
    std::env::var_os("CHROMIUM")
        .map(PathBuf::from)
        .or_else(|| NAMES.iter().find_map(|name| process::find(name)))
}
