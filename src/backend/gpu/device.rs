//! A device: adapter, limits, tier, and how its errors are reported.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use super::buffer::Buffer;
use super::counts::Counts;
use super::pipelines::{CompileAhead, Pipeline, Pipelines};
use super::shader::{MIN_SUBGROUP, Shader, Tier};
use crate::error::{Error, Result};

/// Bytes written between two submits while weights are uploaded. wgpu holds a copy of them until the submit.
const UPLOAD_WINDOW: u64 = 32 << 20;

/// Maximum bytes per write.
const UPLOAD_PIECE: usize = 8 << 20;

/// Facts about the GPU that wgpu cannot find out, but the host can.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// The name of the adapter, for people, if wgpu has none.
    pub adapter: String,
    /// Whether devices have subgroups.
    pub subgroups: bool,
    /// Whether WGSL has `packed_4x8_integer_dot_product`.
    pub packed_dot: bool,
}

/// Asks the host for [`Hints`]; an error says why there is no GPU.
pub type AskHost = fn() -> LocalBoxFuture<'static, Result<Hints>>;

/// How to choose and use a device.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, not a state")]
pub struct GpuOptions {
    /// Tier of the kernels; `None` means the highest that the adapter supports.
    pub tier: Option<Tier>,
    /// Prefer an integrated GPU to a discrete one.
    pub low_power: bool,
    /// Use only an adapter that emulates a GPU on the CPU.
    pub software_adapter: bool,
    /// Maximum size of the parts of a matrix in bytes, for tests; `None` means the limit of the device.
    pub max_part_bytes: Option<u64>,
    /// Whether prefill multiplies affine weights in 8-bit integers. `None` measures on hardware adapters whether this
    /// is faster.
    pub int8_tiles: Option<bool>,
    /// Called before a device is requested. A browser needs it, because wgpu does not see everything there.
    pub ask_host: Option<AskHost>,
    /// Skip the self-test, for tests that compare every kernel anyway.
    pub skip_self_test: bool,
    /// How to compile kernels while the weights arrive; `None` means in native threads.
    pub compile_ahead: Option<CompileAhead>,
    /// Use timestamps, if the adapter has them, to measure kernels with the clock of the device.
    pub timestamps: bool,
}

/// Facts about an open device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct GpuInfo {
    /// The name of the adapter; browsers may leave it empty.
    pub adapter: String,
    /// PCI vendor id; 0 if unknown.
    pub vendor: u32,
    /// Driver and version; empty if unknown.
    pub driver: String,
    /// `vulkan`, `metal`, `dx12` or `webgpu`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub device_type: String,
    /// Whether the adapter emulates a GPU on the CPU.
    pub software: bool,
    /// Tier of the kernels that run.
    pub tier: Tier,
    /// The failed self-test, if the tier is lower than the features of the adapter allow.
    pub degraded: Option<String>,
    /// Whether the adapter leaves long loops early, as Mesa's llvmpipe does. Then tier `software` has only a short
    /// context.
    pub short_loops: bool,
    /// Threads in the smallest subgroup; 0 if there are no subgroups.
    pub subgroup_size: u32,
    /// Whether prefill multiplies affine weights in 8-bit integers.
    pub int8_tiles: bool,
    /// Whether kernels may multiply packed 8-bit integers.
    pub packed_dot: bool,
    /// Whether kernels may compute in half precision.
    pub shader_f16: bool,
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Storage buffers that a shader may bind.
    pub max_storage_buffers: u32,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: u32,
    /// Maximum threads in a workgroup.
    pub max_workgroup_threads: u32,
    /// Maximum workgroups per dimension.
    pub max_workgroups: u32,
}

/// The first error that the device reported outside of a call. It is kept until [`Gpu::fault`] reads it.
#[derive(Clone, Default)]
struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    fn set(&self, error: Error) {
        tracing::error!("{error}");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn get(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: GpuInfo,
    fault: Fault,
    max_part_bytes: u64,
    pipelines: Pipelines,
    /// Bytes written since the last submit.
    uploading: Cell<u64>,
    counts: Cell<Counts>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.device.destroy();
    }
}

/// An open device. Clones share the device.
#[derive(Clone)]
pub struct Gpu(Rc<Inner>);

impl Gpu {
    /// Opens the adapter that the options ask for, without the self-test: see [`Gpu::choose_kernels`].
    pub(crate) async fn connect(options: GpuOptions) -> Result<Self> {
        let hints = match options.ask_host {
            Some(ask) => ask().await?,
            // Outside of browsers wgpu detects subgroups itself, and it emulates packed dot products if the device has
            // none.
            None => Hints { packed_dot: true, ..Hints::default() },
        };
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::PRIMARY,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: if options.low_power {
                    wgpu::PowerPreference::LowPower
                } else {
                    wgpu::PowerPreference::HighPerformance
                },
                force_fallback_adapter: options.software_adapter,
                ..Default::default()
            })
            .await
            .map_err(|error| Error::device(format!("no adapter ({error})"), NO_ADAPTER))?;
        // A device with the limits of the adapter is always possible; the default limits may exceed them.
        let limits = adapter.limits();
        let mut wanted = wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16;
        wanted.set(wgpu::Features::TIMESTAMP_QUERY, options.timestamps);
        let features = adapter.features() & wanted;
        let info = describe(&adapter.get_info(), &limits, features, &hints, options)?;
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("mobilellm"),
                required_limits: limits,
                required_features: features,
                ..Default::default()
            })
            .await
            .map_err(|error| {
                Error::device(format!("the adapter refused to open a device ({error})"), NO_ADAPTER)
            })?;
        let fault = listen(&device);
        Ok(Self(Rc::new(Inner {
            device,
            queue,
            max_part_bytes: options.max_part_bytes.unwrap_or(u64::MAX).min(info.max_binding_bytes),
            info,
            fault,
            pipelines: Pipelines::new(options.compile_ahead),
            uploading: Cell::new(0),
            counts: Cell::default(),
        })))
    }

    /// Facts about the device.
    pub fn info(&self) -> &GpuInfo {
        &self.0.info
    }

    /// [`Gpu::info`] for changes; `None` if the device is shared.
    pub(super) fn info_mut(&mut self) -> Option<&mut GpuInfo> {
        Rc::get_mut(&mut self.0).map(|inner| &mut inner.info)
    }

    /// Forgets the fault.
    pub(super) fn clear_fault(&self) {
        self.0.fault.clear();
    }

    /// The first error that the device reported outside of any call, such as its loss.
    pub fn fault(&self) -> Option<Error> {
        self.0.fault.get()
    }

    /// Maximum bytes of a matrix in one buffer.
    pub(super) fn max_part_bytes(&self) -> u64 {
        self.0.max_part_bytes
    }

    /// Frees the device and everything on it at once. Later calls that use the device fail with an error.
    pub fn close(&self) {
        self.0.fault.set(Error::device("the device was closed", RELOAD));
        self.0.device.destroy();
    }

    pub(super) fn check(&self) -> Result<()> {
        self.fault().map_or(Ok(()), Err)
    }

    /// Counts of calls to the device since it was opened, without the uploads of weights.
    pub fn counts(&self) -> Counts {
        self.0.counts.get()
    }

    /// Adds to [`Gpu::counts`].
    pub(super) fn count(&self, add: impl FnOnce(&mut Counts)) {
        let mut counts = self.0.counts.get();
        add(&mut counts);
        self.0.counts.set(counts);
    }

    /// Submits a command buffer.
    pub(super) fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        self.count(|counts| counts.submits += 1);
        self.0.queue.submit([commands])
    }

    /// Writes a few bytes before the next submit runs.
    pub(super) fn write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) {
        self.0.queue.write_buffer(buffer, offset, bytes);
        self.count(|counts| {
            counts.writes += 1;
            counts.bytes_written += bytes.len() as u64;
        });
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// Waits until the submitted work is done. In a browser it returns at once, and the event loop waits.
    pub(super) fn wait(&self) -> Result<()> {
        self.wait_for(None)
    }

    /// As [`Gpu::wait`], but only for the work up to `submission`.
    pub(super) fn wait_for(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        match self.0.device.poll(wgpu::PollType::Wait { submission_index: submission, timeout: None }) {
            Ok(_) => Ok(()),
            Err(error) => Err(self
                .fault()
                .unwrap_or_else(|| Error::device(format!("waiting failed ({error})"), RELOAD))),
        }
    }

    /// A zeroed buffer for kernels. The host can write to it, and it can be copied.
    pub(super) fn storage(&self, label: &str, bytes: u64) -> Result<Buffer> {
        use wgpu::BufferUsages as Usage;
        self.buffer(label, bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
    }

    /// A buffer for results that the host reads.
    pub(super) fn staging(&self, label: &str, bytes: u64) -> Result<Buffer> {
        self.buffer(label, bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
    }

    /// A uniform that the host writes for every batch. It is also a storage buffer, so that a kernel can advance it.
    pub(super) fn uniform(&self, label: &str, bytes: u64) -> Result<Buffer> {
        use wgpu::BufferUsages as Usage;
        self.buffer(label, bytes, Usage::UNIFORM | Usage::STORAGE | Usage::COPY_DST)
    }

    /// A uniform with the given content.
    pub(super) fn uniform_with(&self, label: &str, content: &[u8]) -> Result<Buffer> {
        let buffer = self.uniform(label, content.len() as u64)?;
        self.0.queue.write_buffer(&buffer, 0, content);
        Ok(buffer)
    }

    fn buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        let info = self.info();
        let storage = usage.contains(wgpu::BufferUsages::STORAGE);
        let limit =
            if storage { info.max_binding_bytes.min(info.max_buffer_bytes) } else { info.max_buffer_bytes };
        if bytes > limit {
            return Err(Error::limit(
                format!("the buffer \"{label}\""),
                mebibytes(bytes),
                mebibytes(limit),
                "Use smaller weights, a shorter context, or the CPU backend",
            ));
        }
        let buffer = Buffer::new(&self.0.device, label, bytes.next_multiple_of(4).max(16), usage);
        // In native programs a failed allocation has been reported by now. In a browser a later check finds it.
        self.check()?;
        Ok(buffer)
    }

    /// Fills a buffer piece by piece. wgpu keeps a copy of the written bytes until the next submit, so this function
    /// submits regularly.
    pub(super) fn upload(&self, buffer: &Buffer, bytes: &[u8]) -> Result<()> {
        for (index, piece) in bytes.chunks(UPLOAD_PIECE).enumerate() {
            self.0.queue.write_buffer(buffer, (index * UPLOAD_PIECE) as u64, piece);
            let uploading = self.0.uploading.get() + piece.len() as u64;
            self.0.uploading.set(uploading);
            if uploading >= UPLOAD_WINDOW {
                self.0.uploading.set(0);
                self.0.queue.submit([]);
                self.wait()?;
            }
        }
        self.check()
    }

    /// The pipeline of a shader. Each shader is compiled at most once.
    pub(super) fn pipeline(&self, shader: &Shader) -> Pipeline {
        self.0.pipelines.get(&self.0.device, shader)
    }

    /// Begins to compile a shader that will be needed later.
    pub(super) fn compile_ahead(&self, shader: &Shader) {
        self.0.pipelines.compile_ahead(&self.0.device, shader);
    }

    /// Waits until the shaders are compiled that [`Gpu::compile_ahead`] began. In native programs threads compile them,
    /// and the call that needs a pipeline waits for it.
    pub(crate) async fn compiled(&self) {
        self.0.pipelines.compiled().await;
    }

    /// Number of pipelines compiled so far.
    pub fn num_pipelines(&self) -> usize {
        self.0.pipelines.len()
    }
}

const NO_ADAPTER: &str =
    "Use a browser or driver with WebGPU (see https://webgpureport.org), or the CPU backend";

const RELOAD: &str = "Load the model again";

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn describe(
    adapter: &wgpu::AdapterInfo,
    limits: &wgpu::Limits,
    features: wgpu::Features,
    hints: &Hints,
    options: GpuOptions,
) -> Result<GpuInfo> {
    let name = if adapter.name.is_empty() { &hints.adapter } else { &adapter.name };
    let software = adapter.device_type == wgpu::DeviceType::Cpu || is_software(name);
    let subgroups = features.contains(wgpu::Features::SUBGROUP) || hints.subgroups;
    let subgroup_size = if subgroups { adapter.subgroup_min_size } else { 0 };
    let shader_f16 = features.contains(wgpu::Features::SHADER_F16);
    let highest = highest_tier(subgroup_size, shader_f16);
    if let Some(tier) = options.tier.filter(|tier| *tier > highest) {
        return Err(Error::request(
            "tier",
            format!("{name} does not support {}; its highest tier is {}", tier.name(), highest.name()),
        ));
    }
    Ok(GpuInfo {
        adapter: name.clone(),
        vendor: adapter.vendor,
        driver: format!("{} {}", adapter.driver, adapter.driver_info).trim().to_owned(),
        backend: match adapter.backend {
            wgpu::Backend::BrowserWebGpu => "webgpu".to_owned(),
            backend => backend.to_string(),
        },
        device_type: match adapter.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        }
        .to_owned(),
        software,
        tier: options.tier.unwrap_or(if software { Tier::Software } else { highest }),
        degraded: None,
        short_loops: false,
        subgroup_size,
        int8_tiles: false,
        packed_dot: hints.packed_dot,
        shader_f16,
        max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        max_buffer_bytes: limits.max_buffer_size,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        max_workgroup_threads: limits.max_compute_invocations_per_workgroup,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
    })
}

/// The highest tier that the features of an adapter allow.
pub(super) fn highest_tier(subgroup_size: u32, shader_f16: bool) -> Tier {
    match (subgroup_size as usize >= MIN_SUBGROUP, shader_f16) {
        (true, true) => Tier::F16,
        (true, false) => Tier::Subgroups,
        (false, _) => Tier::Portable,
    }
}

/// Whether the name belongs to an adapter that emulates a GPU on the CPU. Most such adapters also say so by their type.
fn is_software(name: &str) -> bool {
    let name = name.to_lowercase();
    ["swiftshader", "llvmpipe", "lavapipe", "basic render driver"].iter().any(|part| name.contains(part))
}

/// Collects the errors that the device reports outside of calls.
fn listen(device: &wgpu::Device) -> Fault {
    let fault = Fault::default();
    let uncaptured = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        uncaptured.set(match error {
            wgpu::Error::OutOfMemory { .. } => Error::out_of_memory(
                "the model's buffers",
                "more memory than the GPU has left",
                "Use smaller weights or a shorter context, or close other tabs and programs",
            ),
            other => Error::device(other, RELOAD),
        });
    }));
    let lost = fault.clone();
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            lost.set(Error::device(format!("the device was lost ({message})"), RELOAD));
        }
    });
    fault
}
