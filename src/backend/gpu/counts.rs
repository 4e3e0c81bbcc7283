//! Counts of the calls from the host to a device.

use serde::Serialize;

/// Counts of the calls from the host to a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Kernels launched.
    pub dispatches: u64,
    /// Command buffers submitted.
    pub submits: u64,
    /// Buffers mapped for reading.
    pub readbacks: u64,
    /// Bytes read from those buffers.
    pub bytes_read: u64,
    /// Small writes to buffers.
    pub writes: u64,
    /// Bytes of those writes.
    pub bytes_written: u64,
}

impl Counts {
    /// The difference to the `earlier` counts.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            dispatches: self.dispatches.saturating_sub(earlier.dispatches),
            submits: self.submits.saturating_sub(earlier.submits),
            readbacks: self.readbacks.saturating_sub(earlier.readbacks),
            bytes_read: self.bytes_read.saturating_sub(earlier.bytes_read),
            writes: self.writes.saturating_sub(earlier.writes),
            bytes_written: self.bytes_written.saturating_sub(earlier.bytes_written),
        }
    }
}
