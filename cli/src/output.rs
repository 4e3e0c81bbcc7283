//! Standard output. Its reader may close the pipe at any time: that is an error, which `main` handles, and not a panic.

use std::io::{Result, Write};

/// Writes text and flushes, so that it appears at once.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<()> {
    print(&format!("{text}\n"))
}
