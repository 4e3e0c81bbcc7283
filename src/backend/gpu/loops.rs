//! Whether an adapter runs loops to their end. Mesa's llvmpipe silently leaves the loops of a thread after 65,536
//! iterations in total. Kernels in which one thread works alone then miss the end of a long context.

use super::device::Gpu;
use super::readback;
use super::stopwatch::Probe;
use crate::error::Result;

/// Number of iterations that every known adapter runs.
pub(super) const SAFE_TURNS: usize = 60_000;

/// Iterations of the test loop: more than an adapter runs that leaves loops early, but so few that the test takes no
/// time.
const TURNS: u32 = 100_000;

/// Runs the number of iterations that the buffer has. A compiler cannot know the result in advance.
const COUNT: &str = "@group(0) @binding(0) var<storage, read_write> numbers: array<u32, 4>;
@compute @workgroup_size(1) fn main() {
    let turns = numbers[0];
    var state = numbers[1];
    for (var i = 0u; i < turns; i++) { state = (state ^ i) * 1664525u + 1013904223u; }
    numbers[2] = state;
}";

/// Whether the adapter leaves a long loop early.
pub(super) async fn are_left_early(gpu: &Gpu) -> Result<bool> {
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
