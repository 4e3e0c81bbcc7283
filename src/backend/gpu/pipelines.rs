//! Pipelines: each shader text is compiled once, as soon as it is known, while the weights still arrive.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use futures_util::future::{LocalBoxFuture, MaybeDone, join_all, maybe_done};

use super::buffer::Buffer;
use super::shader::{Access, Binding, Dialect, Shader};

/// A compute pipeline and the layout of its one bind group.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

impl Pipeline {
    /// A bind group with these buffers.
    pub(super) fn bind<'a>(
        &self,
        device: &wgpu::Device,
        label: &str,
        buffers: impl IntoIterator<Item = (Binding, &'a Buffer)>,
    ) -> wgpu::BindGroup {
        let entries: Vec<_> = buffers
            .into_iter()
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: binding.number(),
                resource: buffer.as_entire_binding(),
            })
            .collect();
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(label),
            layout: &self.layout,
            entries: &entries,
        })
    }
}

/// Begins to compile a shader in the background, if the host can do that. Arguments: device, name, text and bindings.
pub type CompileAhead = fn(&wgpu::Device, &str, &str, &[(Binding, Access)]) -> Compiling;

/// Resolves when a shader is compiled. Its result is kept until the pipeline is made, which is quick then.
pub type Compiling = LocalBoxFuture<'static, Box<dyn Any>>;

/// All pipelines of a device, by their shader text.
pub(super) struct Pipelines {
    made: RefCell<HashMap<String, Arc<OnceLock<Pipeline>>>>,
    ahead: Option<CompileAhead>,
    /// The futures that [`CompileAhead`] returned, or their results.
    kept: RefCell<HashMap<String, MaybeDone<Compiling>>>,
}

impl Pipelines {
    pub(super) fn new(ahead: Option<CompileAhead>) -> Self {
        Self { made: RefCell::default(), ahead, kept: RefCell::default() }
    }

    /// The pipeline of a shader. If it is being compiled, this function waits for it.
    pub(super) fn get(&self, device: &wgpu::Device, shader: &Shader) -> Pipeline {
        let wgsl = shader.wgsl(Dialect::CURRENT);
        let cell = self.made.borrow_mut().entry(wgsl.clone()).or_default().clone();
        let pipeline = cell.get_or_init(|| compile(device, shader, &wgsl)).clone();
        self.kept.borrow_mut().remove(&wgsl);
        pipeline
    }

    /// Begins to compile a shader that will be needed later.
    pub(super) fn compile_ahead(&self, device: &wgpu::Device, shader: &Shader) {
        let wgsl = shader.wgsl(Dialect::CURRENT);
        if self.made.borrow().contains_key(&wgsl) || self.kept.borrow().contains_key(&wgsl) {
            return;
        }
        if let Some(ahead) = self.ahead {
            let begun = ahead(device, shader.name(), &wgsl, &shader.bindings());
            self.kept.borrow_mut().insert(wgsl, maybe_done(begun));
        } else {
            #[cfg(not(target_arch = "wasm32"))]
            self.compile_on_a_thread(device, shader, wgsl);
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn compile_on_a_thread(&self, device: &wgpu::Device, shader: &Shader, wgsl: String) {
        let cell = self.made.borrow_mut().entry(wgsl.clone()).or_default().clone();
        let (device, shader) = (device.clone(), shader.clone());
        rayon::spawn(move || {
            cell.get_or_init(|| compile(&device, &shader, &wgsl));
        });
    }

    /// Waits until everything is compiled that [`CompileAhead`] began. A pipeline that is needed earlier is compiled
    /// twice.
    pub(super) async fn compiled(&self) {
        let mut all = std::mem::take(&mut *self.kept.borrow_mut());
        join_all(all.values_mut()).await;
        self.kept.borrow_mut().extend(all);
    }

    /// Number of pipelines.
    pub(super) fn len(&self) -> usize {
        self.made.borrow().len()
    }
}

/// Compiles with an explicit layout, so that bind groups depend only on the list of bindings.
fn compile(device: &wgpu::Device, shader: &Shader, wgsl: &str) -> Pipeline {
    let label = Some(shader.name());
    let entries: Vec<_> = shader
        .bindings()
        .into_iter()
        .map(|(binding, access)| wgpu::BindGroupLayoutEntry {
            binding: binding.number(),
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match access {
                    Access::Uniform => wgpu::BufferBindingType::Uniform,
                    Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                    Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let layout =
        device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    // By default wgpu counts the iterations of every loop, because shaders can come from untrusted sources. This keeps
    // drivers from unrolling loops, and kernels take twice as long. Array bounds are still checked.
    let checks =
        wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
    let descriptor = wgpu::ShaderModuleDescriptor { label, source: wgpu::ShaderSource::Wgsl(wgsl.into()) };
    // SAFETY: without that check, every loop must end. All shader texts are files under `shaders/`. Their loops count
    // up by a positive constant to a fixed bound, or halve a number until it is zero.
    let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Every kernel writes workgroup memory before it reads it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    Pipeline { pipeline, layout }
}
