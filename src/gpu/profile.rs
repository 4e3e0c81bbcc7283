//! Where the time of a pass goes: what the host asks of the device, what each kind of kernel takes, and what the
//! device could do at best.

use serde::Serialize;
use web_time::Instant;

use super::buffer::Buffer;
use super::device::Gpu;
use super::readback;
use super::state::{Dispatch, State};
use crate::backend::Wanted;
use crate::error::Result;

/// Seconds that a timed pass should last: a hundred times the 0.1 ms to which browsers round timestamps.
const LONG_ENOUGH: f64 = 0.01;

/// Dispatches of a timed pass at most.
const MAX_DISPATCHES: usize = 1 << 14;

/// What was asked of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Kernels launched.
    pub dispatches: u64,
    /// Command buffers submitted.
    pub submits: u64,
    /// Buffers mapped for reading.
    pub readbacks: u64,
    /// Bytes read from them.
    pub bytes_read: u64,
    /// Small writes to buffers.
    pub writes: u64,
    /// Bytes written by them.
    pub bytes_written: u64,
}

impl Counts {
    /// What came on top of `earlier`.
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

/// What all kernels of one kind take in a pass over the network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTime {
    /// The kernel and the matrix it computes, such as `matmul Qkv`.
    pub kernel: String,
    /// How many of them a pass has.
    pub dispatches: usize,
    /// Time on the device of all of them together, in microseconds.
    pub us: f64,
}

/// What a device does when it does nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceiling {
    /// Microseconds of a dispatch that does next to nothing but wait for the one before it: no network of so many
    /// dependent dispatches can be faster.
    pub dispatch_us: f64,
    /// Microseconds in which the host records and submits such a dispatch.
    pub record_us: f64,
    /// Microseconds from submitting almost nothing to having 16 bytes of its result.
    pub round_trip_us: f64,
    /// Bytes read and written a second by a kernel that copies.
    pub copy_bytes_per_s: f64,
    /// Bytes that it copied at once.
    pub copied_bytes: u64,
}

impl State {
    /// Times every kind of kernel in a pass over `rows` tokens that follow those in the caches.
    ///
    /// All kernels of a kind - the same projection of every block, so that their weights are as cold as in a real
    /// pass - run one after the other, again and again, and nothing else runs. The state's activations and the
    /// rows of its caches from its length on are overwritten.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the GPU fails.
    pub async fn kernel_times(&self, rows: usize) -> Result<Vec<KernelTime>> {
        let mut kinds: Vec<(String, Vec<&Dispatch>)> = Vec::new();
        for dispatch in self.step(rows) {
            let kind = kind(&dispatch.label);
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, dispatches)) => dispatches.push(dispatch),
                None => kinds.push((kind, vec![dispatch])),
            }
        }
        let stopwatch = Stopwatch::new(self.gpu()).await?;
        let mut times = Vec::with_capacity(kinds.len());
        for (kernel, dispatches) in kinds {
            let run = |pass: &mut wgpu::ComputePass, times: usize| {
                for _ in 0..times {
                    for dispatch in &dispatches {
                        dispatch.record(pass, rows);
                    }
                }
            };
            self.write_batch(&vec![0; rows], Wanted::Last);
            let once = stopwatch.time(|pass| run(pass, 1)).await?;
            // What came before - an idle device, compilation - is in the first time alone.
            let repeats = (LONG_ENOUGH / once.max(1e-6)).ceil() as usize;
            let repeats = repeats.clamp(1, (MAX_DISPATCHES / dispatches.len()).max(1));
            let seconds = stopwatch.time(|pass| run(pass, repeats)).await?;
            times.push(KernelTime {
                kernel,
                dispatches: dispatches.len(),
                us: seconds / repeats as f64 * 1e6,
            });
        }
        Ok(times)
    }
}

/// A label without what tells dispatches of a kind apart: the numbers of blocks and caches.
fn kind(label: &str) -> String {
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let words: Vec<_> = label
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| *word != "Block" && !is_number(word))
        .collect();
    words.join(" ")
}

/// Adds one to a number, which the next dispatch waits for.
const CHAIN: &str = "@group(0) @binding(0) var<storage, read_write> total: array<u32>;
@compute @workgroup_size(1) fn main() { total[0] += 1u; }";

/// Copies 16 bytes a thread.
const COPY: &str = "@group(0) @binding(0) var<storage, read_write> to: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&to) { to[id.x] = source[id.x]; }
}";

/// Bytes that a workgroup of [`COPY`] copies.
const COPY_WORKGROUP: u64 = 256 * 16;

impl Gpu {
    /// Measures what the device does at best; takes a fraction of a second on a GPU.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the GPU fails, [`crate::Error::Limit`] where it has no room for the buffers.
    pub async fn ceiling(&self) -> Result<Ceiling> {
        let stopwatch = Stopwatch::new(self).await?;
        let (dispatch_us, record_us) = self.launches(&stopwatch).await?;
        let (copy_bytes_per_s, copied_bytes) = self.copies(&stopwatch).await?;
        let round_trip_us = stopwatch.round_trip().await? * 1e6;
        Ok(Ceiling { dispatch_us, record_us, round_trip_us, copy_bytes_per_s, copied_bytes })
    }

    /// Microseconds of a dependent dispatch, on the device and on the host.
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

    /// Bytes a second of a copying kernel, and how many bytes it copied at once.
    async fn copies(&self, stopwatch: &Stopwatch<'_>) -> Result<(f64, u64)> {
        let info = self.info();
        // Larger than any cache, where the device allows it; a CPU would only take longer.
        let most = if info.software { 16 << 20 } else { 256 << 20 };
        let bytes = info.max_binding_bytes.min(most).min(u64::from(info.max_workgroups) * COPY_WORKGROUP);
        let (to, from) = (self.storage("copy", bytes)?, self.storage("copied", bytes)?);
        let probe = Probe::new(self.device(), COPY, &[&to, &from]);
        let workgroups = bytes.div_ceil(COPY_WORKGROUP) as u32;
        // The first run may have to give the buffers their memory.
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

/// A kernel of the measurements' own.
pub(super) struct Probe {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

impl Probe {
    pub(super) fn new(device: &wgpu::Device, wgsl: &str, buffers: &[&Buffer]) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(wgsl.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        Self { pipeline, group }
    }

    pub(super) fn record(&self, pass: &mut wgpu::ComputePass, workgroups: u32, times: usize) {
        for _ in 0..times {
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            pass.dispatch_workgroups(workgroups, 1, 1);
        }
    }
}

/// Times passes: by the device's own clock where it lends it, else by the host's, less a round trip.
pub(super) struct Stopwatch<'a> {
    gpu: &'a Gpu,
    timestamps: Option<Timestamps>,
    /// Read back to know that a pass is over.
    staging: Buffer,
    /// Seconds of an empty pass by the host's clock.
    empty: f64,
}

struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: Buffer,
    /// Seconds of a tick.
    tick: f64,
}

impl<'a> Stopwatch<'a> {
    pub(super) async fn new(gpu: &'a Gpu) -> Result<Self> {
        let device = gpu.device();
        let timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY).then(|| Timestamps {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: Buffer::new(
                device,
                "timestamps",
                16,
                wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            ),
            tick: f64::from(gpu.queue().get_timestamp_period()) * 1e-9,
        });
        let staging = gpu.staging("stopwatch", 16)?;
        let mut stopwatch = Self { gpu, timestamps, staging, empty: 0.0 };
        stopwatch.empty = stopwatch.round_trip().await?;
        Ok(stopwatch)
    }

    /// Seconds of a pass.
    pub(super) async fn time(&self, record: impl FnOnce(&mut wgpu::ComputePass)) -> Result<f64> {
        let start = Instant::now();
        self.gpu.submit(self.recorded(record));
        let [begin, end] = self.read().await?;
        Ok(match &self.timestamps {
            // A clock that runs backwards, as some do when the device changes its frequency, measures nothing.
            Some(timestamps) => end.saturating_sub(begin) as f64 * timestamps.tick,
            None => (start.elapsed().as_secs_f64() - self.empty).max(0.0),
        })
    }

    /// Seconds that recording and submitting a pass takes the host.
    async fn host(&self, record: impl FnOnce(&mut wgpu::ComputePass)) -> Result<f64> {
        let start = Instant::now();
        self.gpu.submit(self.recorded(record));
        let seconds = start.elapsed().as_secs_f64();
        self.read().await?;
        Ok(seconds)
    }

    /// Seconds, by the host's clock, until an empty pass has run and 16 bytes were read: the shortest of a few.
    async fn round_trip(&self) -> Result<f64> {
        let mut shortest = f64::INFINITY;
        for _ in 0..8 {
            let start = Instant::now();
            self.gpu.submit(self.recorded(|_| {}));
            self.read().await?;
            shortest = shortest.min(start.elapsed().as_secs_f64());
        }
        Ok(shortest)
    }

    fn recorded(&self, record: impl FnOnce(&mut wgpu::ComputePass)) -> wgpu::CommandBuffer {
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let timestamp_writes = self.timestamps.as_ref().map(|timestamps| wgpu::ComputePassTimestampWrites {
            query_set: &timestamps.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        record(
            &mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }),
        );
        match &self.timestamps {
            Some(Timestamps { queries, resolved, .. }) => {
                encoder.resolve_query_set(queries, 0..2, resolved, 0);
                encoder.copy_buffer_to_buffer(resolved, 0, &self.staging, 0, 16);
            }
            // Mapping waits only for what uses the buffer.
            None => encoder.clear_buffer(&self.staging, 0, None),
        }
        encoder.finish()
    }

    async fn read(&self) -> Result<[u64; 2]> {
        let words = readback::read(self.gpu, &self.staging, 4).await?;
        let word = |index: usize| words.get(index).map_or(0, |value| u64::from(value.to_bits()));
        Ok([word(0) | word(1) << 32, word(2) | word(3) << 32])
    }
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn kernels_of_all_blocks_are_of_a_kind() {
        assert_eq!(kind("matmul Block(17, Qkv)"), "matmul Qkv");
        assert_eq!(kind("attention 3"), "attention");
        assert_eq!(kind("rms_norm FeedForwardNorm(2)"), "rms_norm FeedForwardNorm");
        assert_eq!(kind("matmul Embedding"), "matmul Embedding");
    }
}
