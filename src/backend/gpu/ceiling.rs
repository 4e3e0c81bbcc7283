//! The limits of a device.

use serde::Serialize;

use super::device::Gpu;
use super::stopwatch::{LONG_ENOUGH, Probe, Stopwatch};
use crate::error::Result;

/// The limits of a device: the best times that simple kernels reach on it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceiling {
    /// Microseconds per dispatch that does almost nothing except wait for the one before it. No chain of dependent
    /// dispatches can be faster.
    pub dispatch_us: f64,
    /// Microseconds that the host takes to record and submit such a dispatch.
    pub record_us: f64,
    /// Microseconds from a submit with almost no work until the host has 16 bytes of its result.
    pub round_trip_us: f64,
    /// Bytes per second that a copy kernel reads and writes.
    pub copy_bytes_per_s: f64,
    /// Bytes that one run of the copy kernel copied.
    pub copied_bytes: u64,
}

/// Adds one to a number. The next dispatch needs the number, so it must wait.
const CHAIN: &str = "@group(0) @binding(0) var<storage, read_write> total: array<u32>;
@compute @workgroup_size(1) fn main() { total[0] += 1u; }";

/// Copies 16 bytes per thread.
const COPY: &str = "@group(0) @binding(0) var<storage, read_write> to: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&to) { to[id.x] = source[id.x]; }
}";

/// Bytes that a workgroup of [`COPY`] copies.
const COPY_WORKGROUP: u64 = 256 * 16;

impl Gpu {
    /// Measures the limits of the device. On a GPU this takes a fraction of a second.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the GPU fails, [`crate::Error::Limit`] if it has no memory for the buffers.
    pub async fn ceiling(&self) -> Result<Ceiling> {
        let stopwatch = Stopwatch::new(self).await?;
        let (dispatch_us, record_us) = self.launches(&stopwatch).await?;
        let (copy_bytes_per_s, copied_bytes) = self.copies(&stopwatch).await?;
        let round_trip_us = stopwatch.round_trip().await? * 1e6;
        Ok(Ceiling { dispatch_us, record_us, round_trip_us, copy_bytes_per_s, copied_bytes })
    }

    /// Microseconds per dependent dispatch, on the device and on the host.
    async fn launches(&self, stopwatch: &Stopwatch<'_>) -> Result<(f64, f64)> {
        const FEW: usize = 200;
        const MANY: usize = 2200;
        let total = self.storage("chain", 16)?;
        let probe = Probe::new(self.device(), CHAIN, &[&total]);
        let mut host = f64::INFINITY;
        let (mut few, mut many) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..4 {
            few = few.min(stopwatch.time(|pass| probe.record(pass, 1, FEW)).await?);
            many = many.min(stopwatch.time(|pass| probe.record(pass, 1, MANY)).await?);
            host = host.min(stopwatch.host(|pass| probe.record(pass, 1, MANY)).await?);
        }
        let device = (many - few).max(0.0) / (MANY - FEW) as f64;
        Ok((device * 1e6, host / MANY as f64 * 1e6))
    }

    /// Bytes per second of the copy kernel, and the bytes of one run.
    async fn copies(&self, stopwatch: &Stopwatch<'_>) -> Result<(f64, u64)> {
        let info = self.info();
        // Larger than any cache of a GPU, if the device allows it. An emulated GPU would only take longer.
        let most = if info.software { 16 << 20 } else { 256 << 20 };
        let bytes = info.max_binding_bytes.min(most).min(u64::from(info.max_workgroups) * COPY_WORKGROUP);
        let (to, from) = (self.storage("copy", bytes)?, self.storage("copied", bytes)?);
        let probe = Probe::new(self.device(), COPY, &[&to, &from]);
        let workgroups = bytes.div_ceil(COPY_WORKGROUP) as u32;
        // A warm-up: the first run may include the allocation of memory for the buffers.
        stopwatch.time(|pass| probe.record(pass, workgroups, 1)).await?;
        let once = stopwatch.time(|pass| probe.record(pass, workgroups, 1)).await?;
        let repeats = (LONG_ENOUGH / once.max(1e-6)).ceil().clamp(1.0, 100.0) as usize;
        let mut seconds = f64::INFINITY;
        for _ in 0..3 {
            seconds = seconds.min(stopwatch.time(|pass| probe.record(pass, workgroups, repeats)).await?);
        }
        Ok((2.0 * bytes as f64 * repeats as f64 / seconds.max(1e-9), bytes))
    }
}
