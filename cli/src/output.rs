//! Standard output, whose reader may leave at any time: that is no panic but an error, which `main` knows.

use std::io::{Result, Write};

/// Writes text at once, so that it streams.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<()> {
    print(&format!("{text}\n"))
}
