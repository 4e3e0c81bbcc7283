//! Finds the Vulkan driver for the GPU tests: a software driver, so that every machine computes the same.

use std::path::{Path, PathBuf};

/// Folders in which the Vulkan loader looks for driver manifests.
const MANIFESTS: [&str; 3] =
    ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];

/// Folders in which Chromium has the manifest of SwiftShader.
const BROWSERS: [&str; 4] =
    ["/usr/lib/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome", "/usr/lib64/chromium-browser"];

/// The manifest of Mesa's software driver, or of the driver in Chromium.
pub(super) fn software_driver() -> Option<PathBuf> {
    let mesa = MANIFESTS.iter().find_map(|folder| find(Path::new(folder), "lvp_icd"));
    mesa.or_else(|| BROWSERS.iter().find_map(|folder| find(Path::new(folder), "vk_swiftshader_icd")))
}

fn find(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(prefix) && path.extension().is_some_and(|extension| extension == "json")
    })
}
