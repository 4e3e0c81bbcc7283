//! Measures the time of passes, and runs small kernels for measurements.

use web_time::Instant;

use super::buffer::Buffer;
use super::device::Gpu;
use super::readback;
use crate::error::Result;

/// Seconds that a timed pass should take: a hundred times the 0.1 ms to which browsers round timestamps.
pub(super) const LONG_ENOUGH: f64 = 0.01;

/// A small kernel that is used only for measurements.
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

/// Measures the time of passes: with the clock of the device if it has timestamps, otherwise with the clock of the host
/// minus the time of a round trip.
pub(super) struct Stopwatch<'a> {
    gpu: &'a Gpu,
    timestamps: Option<Timestamps>,
    /// Buffer that is read back to know that a pass is done.
    staging: Buffer,
    /// Seconds of an empty pass, by the clock of the host.
    empty: f64,
}

struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: Buffer,
    /// Seconds per tick.
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
            // If the clock ran backwards, which happens on some devices when their frequency changes, the result is 0.
            Some(timestamps) => end.saturating_sub(begin) as f64 * timestamps.tick,
            None => (start.elapsed().as_secs_f64() - self.empty).max(0.0),
        })
    }

    /// Seconds that the host takes to record and submit a pass.
    pub(super) async fn host(&self, record: impl FnOnce(&mut wgpu::ComputePass)) -> Result<f64> {
        let start = Instant::now();
        self.gpu.submit(self.recorded(record));
        let seconds = start.elapsed().as_secs_f64();
        self.read().await?;
        Ok(seconds)
    }

    /// Seconds, by the clock of the host, until an empty pass has run and 16 bytes were read: the shortest of a few
    /// runs.
    pub(super) async fn round_trip(&self) -> Result<f64> {
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
            // Mapping waits only for work that uses the buffer, so the pass must use it.
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
