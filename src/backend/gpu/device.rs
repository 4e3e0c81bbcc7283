//! A device: adapter, limits, tier, and what becomes of its errors.

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

/// Bytes written between two submits while weights are uploaded: what wgpu holds a second time.
const UPLOAD_WINDOW: u64 = 32 << 20;

/// Bytes a write.
const UPLOAD_PIECE: usize = 8 << 20;

/// What the host knows of its GPU and wgpu does not.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// The adapter's name, for people, where wgpu has none.
    pub adapter: String,
    /// Devices have subgroups.
    pub subgroups: bool,
    /// WGSL has `packed_4x8_integer_dot_product`.
    pub packed_dot: bool,
}

/// Asks for [`Hints`]; an error says why there is no GPU.
pub type AskHost = fn() -> LocalBoxFuture<'static, Result<Hints>>;

/// How to choose and use a device.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, not a state")]
pub struct GpuOptions {
    /// Which kernels to run; `None` chooses by the adapter.
    pub tier: Option<Tier>,
    /// Prefer an integrated GPU to a discrete one.
    pub low_power: bool,
    /// Use only an adapter that is a CPU underneath, where there is one.
    pub software_adapter: bool,
    /// Matrices are split into parts of at most this size, even where the device would bind larger ones: tests use it.
    pub max_part_bytes: Option<u64>,
    /// Whether prompts are multiplied in 8-bit integers where weights are affine; `None` measures on hardware adapters whether it is faster.
    pub int8_tiles: Option<bool>,
    /// Asked before a device is: in a browser, where wgpu does not see everything.
    pub ask_host: Option<AskHost>,
    /// Trust the device: tests that compare every kernel anyway do.
    pub skip_self_test: bool,
    /// How to compile kernels while the weights are on their way; natively threads do, where this is `None`.
    pub compile_ahead: Option<CompileAhead>,
    /// Ask for timestamps, where the adapter has them, so that kernels can be timed on the device's own clock.
    pub timestamps: bool,
}

/// What is known about an open device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct GpuInfo {
    /// The adapter's name; browsers may leave it empty.
    pub adapter: String,
    /// PCI vendor id, 0 where it is unknown.
    pub vendor: u32,
    /// Driver and version, empty where it is unknown.
    pub driver: String,
    /// `vulkan`, `metal`, `dx12` or `webgpu`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub device_type: String,
    /// The adapter is a CPU underneath.
    pub software: bool,
    /// Which kernels run.
    pub tier: Tier,
    /// Why it is not the tier that the adapter's features would allow, where a self-test failed.
    pub degraded: Option<String>,
    /// The adapter leaves long loops early, as Mesa's llvmpipe does, so that tier `software` has only a short context.
    pub short_loops: bool,
    /// Threads of the smallest subgroup; 0 where there are none.
    pub subgroup_size: u32,
    /// Prompts are multiplied in 8-bit integers where weights are affine.
    pub int8_tiles: bool,
    /// Kernels may multiply packed 8-bit integers.
    pub packed_dot: bool,
    /// Kernels may compute in half precision.
    pub shader_f16: bool,
    /// Largest storage binding.
    pub max_binding_bytes: u64,
    /// Largest buffer.
    pub max_buffer_bytes: u64,
    /// Storage buffers that a shader may bind.
    pub max_storage_buffers: u32,
    /// Workgroup memory.
    pub workgroup_bytes: u32,
    /// Threads of a workgroup.
    pub max_workgroup_threads: u32,
    /// Workgroups a dimension.
    pub max_workgroups: u32,
}

/// The first error that no call could return, kept until somebody asks.
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

/// An open device. Clones share it.
#[derive(Clone)]
pub struct Gpu(Rc<Inner>);

impl Gpu {
    /// Opens the adapter that the options ask for; [`Gpu::prove`] is still to come.
    pub(crate) async fn connect(options: GpuOptions) -> Result<Self> {
        let hints = match options.ask_host {
            Some(ask) => ask().await?,
            // Outside of browsers wgpu sees subgroups by itself, and unpacks what is packed where the device cannot.
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
        // The adapter's own limits are always granted; defaults may exceed what it has.
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
            .map_err(|error| Error::device(format!("the adapter gives no device ({error})"), NO_ADAPTER))?;
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

    /// What is known about the device.
    pub fn info(&self) -> &GpuInfo {
        &self.0.info
    }

    /// The same, to be changed as long as nobody shares the device.
    pub(super) fn info_mut(&mut self) -> Option<&mut GpuInfo> {
        Rc::get_mut(&mut self.0).map(|inner| &mut inner.info)
    }

    /// Forgets the fault.
    pub(super) fn forgive(&self) {
        self.0.fault.clear();
    }

    /// The first error that the device reported outside of any call, such as its loss.
    pub fn fault(&self) -> Option<Error> {
        self.0.fault.get()
    }

    /// Bytes of a matrix that one buffer may hold.
    pub(super) fn max_part_bytes(&self) -> u64 {
        self.0.max_part_bytes
    }

    /// Gives the device and everything on it back at once. What still uses it fails with an error.
    pub fn close(&self) {
        self.0.fault.set(Error::device("the device was closed", RELOAD));
        self.0.device.destroy();
    }

    pub(super) fn check(&self) -> Result<()> {
        self.fault().map_or(Ok(()), Err)
    }

    /// What was asked of the device since it was opened, uploads of weights aside.
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

    /// Writes a few bytes that the next submit will see.
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

    /// Waits for what was submitted; in a browser it returns at once, and the event loop does the waiting.
    pub(super) fn wait(&self) -> Result<()> {
        self.wait_for(None)
    }

    /// As [`Gpu::wait`], for what was submitted up to `submission`.
    pub(super) fn wait_for(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        match self.0.device.poll(wgpu::PollType::Wait { submission_index: submission, timeout: None }) {
            Ok(_) => Ok(()),
            Err(error) => Err(self
                .fault()
                .unwrap_or_else(|| Error::device(format!("waiting failed ({error})"), RELOAD))),
        }
    }

    /// A zeroed buffer that kernels use, and that can be written to and copied from.
    pub(super) fn storage(&self, label: &str, bytes: u64) -> Result<Buffer> {
        use wgpu::BufferUsages as Usage;
        self.buffer(label, bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
    }

    /// A buffer that results are copied to for reading.
    pub(super) fn staging(&self, label: &str, bytes: u64) -> Result<Buffer> {
        self.buffer(label, bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
    }

    /// A uniform that the host writes again and again. Also a storage buffer, so that a kernel can advance it.
    pub(super) fn uniform(&self, label: &str, bytes: u64) -> Result<Buffer> {
        use wgpu::BufferUsages as Usage;
        self.buffer(label, bytes, Usage::UNIFORM | Usage::STORAGE | Usage::COPY_DST)
    }

    /// A uniform with a content.
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
        // Natively an allocation that fails has been reported by now; in a browser a later check sees it.
        self.check()?;
        Ok(buffer)
    }

    /// Fills a buffer piece by piece. wgpu keeps a copy of what is written until the next submit, so there is a
    /// submit now and then.
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

    /// The pipeline of a shader, compiled at most once.
    pub(super) fn pipeline(&self, shader: &Shader) -> Pipeline {
        self.0.pipelines.get(&self.0.device, shader)
    }

    /// Begins to compile a shader that will be needed.
    pub(super) fn compile_ahead(&self, shader: &Shader) {
        self.0.pipelines.compile_ahead(&self.0.device, shader);
    }

    /// Waits until everything is compiled that will be needed, as far as that is known. Natively threads do it, and whoever
    /// needs a pipeline waits for it.
    pub(crate) async fn compiled(&self) {
        self.0.pipelines.compiled().await;
    }

    /// Pipelines compiled so far.
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

/// What the features of an adapter allow.
pub(super) fn highest_tier(subgroup_size: u32, shader_f16: bool) -> Tier {
    match (subgroup_size as usize >= MIN_SUBGROUP, shader_f16) {
        (true, true) => Tier::F16,
        (true, false) => Tier::Subgroups,
        (false, _) => Tier::Portable,
    }
}

/// Whether an adapter is known for being a CPU underneath; most say so by their type.
fn is_software(name: &str) -> bool {
    let name = name.to_lowercase();
    ["swiftshader", "llvmpipe", "lavapipe", "basic render driver"].iter().any(|part| name.contains(part))
}

/// Collects the errors that no call returns.
fn listen(device: &wgpu::Device) -> Fault {
    let fault = Fault::default();
    let uncaptured = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        uncaptured.set(match error {
            wgpu::Error::OutOfMemory { .. } => Error::out_of_memory(
                "the model's buffers",
                "more than the GPU has left",
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
