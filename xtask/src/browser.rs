//! Finds the browsers for tests and measurements.

use std::path::PathBuf;

use crate::process;

const CHROMIUM: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "microsoft-edge"];

/// A browser of the Chromium family: the one that the variable `CHROMIUM` names, or one that is installed.
pub(crate) fn find() -> Option<PathBuf> {
    std::env::var_os("CHROMIUM")
        .map(PathBuf::from)
        .or_else(|| CHROMIUM.iter().find_map(|name| process::find(name)))
}

/// Firefox: the one that the variable `FIREFOX` names, or one that is installed.
pub(crate) fn firefox() -> Option<PathBuf> {
    std::env::var_os("FIREFOX")
        .map(PathBuf::from)
        .or_else(|| ["firefox-esr", "firefox"].iter().find_map(|name| process::find(name)))
}

/// The programs that run WebKitGTK: its driver, which comes with a browser, and an X server that needs no screen.
pub(crate) struct Webkit {
    /// The WebDriver program.
    pub(crate) driver: PathBuf,
    /// An X server that draws to memory.
    pub(crate) display: PathBuf,
}

/// The driver and the display, if both are installed.
pub(crate) fn webkit() -> Option<Webkit> {
    Some(Webkit { driver: process::find("WebKitWebDriver")?, display: process::find("Xvfb")? })
}
