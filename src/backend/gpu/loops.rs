//! Whether an adapter runs loops to their end. Mesa's llvmpipe leaves them after 65,536 turns of all loops of a thread
//! together, without a word; kernels in which a thread works alone then miss the end of a long context.

use super::device::Gpu;
use super::readback;
use super::stopwatch::Probe;
use crate::error::Result;

/// Turns that any adapter is known to run.
pub(super) const SAFE_TURNS: usize = 60_000;

/// Turns of the probe: more than adapters that leave loops early run, few enough to take no time.
const TURNS: u32 = 100_000;

/// Counts to the number it finds, in steps that a compiler cannot foresee.
const COUNT: &str = "@group(0) @binding(0) var<storage, read_write> numbers: array<u32, 4>;
@compute @workgroup_size(1) fn main() {
    let turns = numbers[0];
    var state = numbers[1];
    for (var i = 0u; i < turns; i++) { state = (state ^ i) * 1664525u + 1013904223u; }
    numbers[2] = state;
}";

/// Whether a long loop ends before its end.
pub(super) async fn are_cut_short(gpu: &Gpu) -> Result<bool> {
    let numbers = gpu.storage("loop", 16)?;
    let staging = gpu.staging("loop for reading", 16)?;
    gpu.write(&numbers, 0, bytemuck::cast_slice(&[TURNS, 1, 0, 0]));
    let probe = Probe::new(gpu.device(), COUNT, &[&numbers]);
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    probe.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 1, 1);
    encoder.copy_buffer_to_buffer(&numbers, 0, &staging, 0, 16);
    gpu.submit(encoder.finish());
    let numbers = readback::read(gpu, &staging, 4).await?;
    let expected =
        (0..TURNS).fold(1u32, |state, i| (state ^ i).wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    Ok(numbers.get(2).is_none_or(|state| state.to_bits() != expected))
}
