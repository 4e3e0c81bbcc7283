//! How a matrix is stored on a device.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::model::matrix::Format;

/// How a matrix is stored on the device: whole, or in parts if it is larger than a binding may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Output features.
    pub rows: usize,
    /// Input features.
    pub cols: usize,
    /// Format of the weights.
    pub format: Format,
    /// The rows of each part; every part starts at an even row, so that pairs of rows stay together.
    pub parts: Vec<Range<usize>>,
}

impl Layout {
    /// Splits a matrix so that the words of each part have at most `max_bytes`.
    ///
    /// # Errors
    /// [`Error::Limit`] if not even two rows fit.
    pub fn new(rows: usize, cols: usize, format: Format, max_bytes: u64) -> Result<Self> {
        let row_bytes = 4 * format.row_words(cols).max(format.row_scale_words(cols)) as u64;
        let rows_per_part = max_bytes / row_bytes.max(1) / 2 * 2;
        if rows_per_part == 0 {
            return Err(Error::limit(
                format!("a weight matrix with rows of {cols} values"),
                format!("a binding of {} bytes", 2 * row_bytes),
                format!("{max_bytes} bytes"),
                "Quantise the weights further, or use the CPU backend",
            ));
        }
        let step = usize::try_from(rows_per_part).unwrap_or(usize::MAX).min(rows.next_multiple_of(2));
        let parts = (0..rows).step_by(step).map(|start| start..(start + step).min(rows)).collect();
        Ok(Self { rows, cols, format, parts })
    }
}
