//! One conversation on the GPU: its caches and activations, and the recorded plan that extends them.

use std::collections::HashMap;
use std::rc::Rc;

use super::buffer::Buffer;
use super::device::{Gpu, Pipeline};
use super::kernels::{CacheFormat, stride};
use super::plan::{Activation, Call, Grid, Plan, Resource, Target};
use super::readback;
use super::shader::{Binding, Shader, Tier};
use super::weights::Weights;
use crate::backend::{Wanted, check_batch};
use crate::cpu::rotary::rotary_table;
use crate::error::{Error, Result};
use crate::matrix::Format;
use crate::network::{Network, Slot};

/// Tokens a batch: enough that weights are decoded rarely, few enough that a cancel is seen soon.
fn max_batch(tier: Tier) -> usize {
    match tier {
        Tier::Software => 16,
        Tier::Portable | Tier::Subgroups => 64,
    }
}

/// A call that only needs to be recorded.
struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: Grid,
}

/// What every row's logits need; made when they are first asked for.
struct AllRows {
    logits: Buffer,
    staging: Buffer,
    head: Vec<Dispatch>,
}

/// The key/value caches of one conversation on a device.
pub struct State {
    network: Rc<Network>,
    weights: Rc<Weights>,
    plan: Plan,
    buffers: Buffers,
    decode: Vec<Dispatch>,
    batch: Vec<Dispatch>,
    head: Vec<Dispatch>,
    all_rows: Option<AllRows>,
    /// Where a row of logits is read from.
    staging: Buffer,
    target: Target,
    len: usize,
    max_positions: usize,
}

/// The buffers that belong to a state.
struct Buffers {
    batch: Buffer,
    rotary: Buffer,
    caches: Vec<Buffer>,
    activations: HashMap<Activation, Buffer>,
}

impl State {
    /// An empty state with room for `max_positions` tokens.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device cannot hold the caches, [`Error::Missing`] where weights are absent.
    pub fn new(network: Rc<Network>, weights: Rc<Weights>, max_positions: usize) -> Result<Self> {
        let gpu = weights.gpu().clone();
        let tier = gpu.info().tier;
        let target = Target {
            tier,
            max_batch: max_batch(tier),
            cache: cache_format(&weights),
            subgroup_size: gpu.info().subgroup_size as usize,
        };
        let plan = Plan::new(&network, weights.layouts(), target)?;
        let buffers = Buffers::new(&gpu, &network, &plan, target, max_positions)?;
        let staging = gpu.staging("logits for reading", 4 * stride_of_logits(&network) as u64)?;
        let recorder = Recorder { gpu: &gpu, weights: &weights, buffers: &buffers, all_logits: None };
        let (decode, batch) = (recorder.dispatches(&plan.decode)?, recorder.dispatches(&plan.batch)?);
        let head = recorder.dispatches(&plan.head_one)?;
        gpu.check()?;
        Ok(Self {
            network,
            weights,
            plan,
            buffers,
            decode,
            batch,
            head,
            all_rows: None,
            staging,
            target,
            len: 0,
            max_positions,
        })
    }

    /// Positions filled.
    #[expect(clippy::len_without_is_empty, reason = "backend::State has it")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Positions that there is room for.
    pub fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Tokens that one call of [`State::forward`] takes at most.
    pub fn max_batch(&self) -> usize {
        self.target.max_batch
    }

    /// The dispatches that it records.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Runs the network; see [`crate::backend::State::forward`].
    ///
    /// # Errors
    /// [`Error::Request`] for a batch that cannot run, [`Error::Device`] when the GPU fails.
    pub async fn forward(&mut self, tokens: &[u32], wanted: Wanted) -> Result<Vec<f32>> {
        let room = self.max_positions - self.len;
        check_batch(tokens, self.network.config.vocab_size, self.target.max_batch, room)?;
        self.gpu().check()?;
        if wanted == Wanted::All && tokens.len() > 1 {
            self.prepare_all_rows()?;
        }
        self.submit(tokens, wanted);
        let logits = self.read_logits(tokens.len(), wanted).await?;
        // Positions count only now: a pass that failed or was abandoned is simply overwritten by the next.
        self.len += tokens.len();
        Ok(logits)
    }

    fn gpu(&self) -> &Gpu {
        self.weights.gpu()
    }

    /// Writes the batch, records one pass and submits it.
    fn submit(&self, tokens: &[u32], wanted: Wanted) {
        let rows = tokens.len();
        let first_wanted = if wanted == Wanted::Last { rows - 1 } else { 0 };
        let mut words = vec![self.len as u32, rows as u32, first_wanted as u32, 0];
        words.extend(tokens);
        self.gpu().queue().write_buffer(&self.buffers.batch, 0, bytemuck::cast_slice(&words));

        let mut encoder =
            self.gpu().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (head, logits) = match (&self.all_rows, wanted) {
            (_, Wanted::None) => (&[][..], None),
            (Some(all), Wanted::All) if rows > 1 => (&all.head[..], Some((&all.logits, &all.staging))),
            _ => (&self.head[..], self.logits().map(|logits| (logits, &self.staging))),
        };
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let body = if rows == 1 { &self.decode } else { &self.batch };
            for dispatch in body.iter().chain(head) {
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.group, &[]);
                let Grid { x, y } = dispatch.grid;
                pass.dispatch_workgroups(x.workgroups(rows), y.workgroups(rows), 1);
            }
        }
        if let Some((logits, staging)) = logits {
            let rows = if wanted == Wanted::All { rows } else { 1 };
            let bytes = 4 * (rows * stride_of_logits(&self.network)) as u64;
            encoder.copy_buffer_to_buffer(logits, 0, staging, 0, bytes);
        }
        self.gpu().queue().submit([encoder.finish()]);
    }

    fn logits(&self) -> Option<&Buffer> {
        self.buffers.activations.get(&Activation::Slot(Slot::Logits))
    }

    /// Reads the wanted rows and drops their padding.
    async fn read_logits(&self, rows: usize, wanted: Wanted) -> Result<Vec<f32>> {
        let (staging, rows) = match (&self.all_rows, wanted) {
            (_, Wanted::None) => return Ok(Vec::new()),
            (Some(all), Wanted::All) if rows > 1 => (&all.staging, rows),
            _ => (&self.staging, 1),
        };
        let stride = stride_of_logits(&self.network);
        let padded = readback::read(self.gpu(), staging, rows * stride).await?;
        Ok(without_padding(padded, stride, self.network.width(Slot::Logits)))
    }

    fn prepare_all_rows(&mut self) -> Result<()> {
        if self.all_rows.is_some() {
            return Ok(());
        }
        let gpu = self.gpu().clone();
        let bytes = 4 * (self.target.max_batch * stride_of_logits(&self.network)) as u64;
        let logits = gpu.storage("logits of every row", bytes)?;
        let staging = gpu.staging("logits of every row for reading", bytes)?;
        let recorder =
            Recorder { gpu: &gpu, weights: &self.weights, buffers: &self.buffers, all_logits: Some(&logits) };
        let head = recorder.dispatches(&self.plan.head_all)?;
        gpu.check()?;
        self.all_rows = Some(AllRows { logits, staging, head });
        Ok(())
    }

    /// Reads the first `rows` rows of a slot as the last batch left it: for tests and for looking inside.
    ///
    /// # Errors
    /// [`Error::Request`] for a slot that the network does not use or more rows than it has; [`Error::Device`] when the
    /// GPU fails.
    pub async fn read_slot(&self, slot: Slot, rows: usize) -> Result<Vec<f32>> {
        let stride = stride(&self.network, Activation::Slot(slot));
        let buffer = self.slot(slot)?;
        let values = self.read_buffer(buffer, rows * stride).await?;
        Ok(without_padding(values, stride, self.network.width(slot)))
    }

    /// Overwrites the first rows of a slot: for tests of single kernels.
    ///
    /// # Errors
    /// [`Error::Request`] for a slot that the network does not use or more rows than it has.
    pub fn write_slot(&self, slot: Slot, values: &[f32]) -> Result<()> {
        let stride = stride(&self.network, Activation::Slot(slot));
        let buffer = self.slot(slot)?;
        for (row, values) in values.chunks(self.network.width(slot)).enumerate() {
            let offset = 4 * (row * stride) as u64;
            fits_bytes(offset + 4 * values.len() as u64, buffer)?;
            self.gpu().queue().write_buffer(buffer, offset, bytemuck::cast_slice(values));
        }
        Ok(())
    }

    /// Reads the first `positions` rows of a cache: keys, then values, of each position, as f32.
    ///
    /// # Errors
    /// [`Error::Request`] for a cache or positions that do not exist; [`Error::Device`] when the GPU fails.
    pub async fn read_cache(&self, cache: usize, positions: usize) -> Result<Vec<f32>> {
        let words = positions * self.target.cache.row_words(self.network.config.kv_width());
        let values = self.read_buffer(self.cache(cache)?, words).await?;
        Ok(match self.target.cache {
            CacheFormat::F32 => values,
            CacheFormat::F16 => values
                .iter()
                .map(|word| word.to_bits())
                .flat_map(|word| [word as u16, (word >> 16) as u16])
                .map(|bits| half::f16::from_bits(bits).to_f32())
                .collect(),
        })
    }

    /// Overwrites the first positions of a cache with rows as [`State::read_cache`] gives them.
    ///
    /// # Errors
    /// [`Error::Request`] for a cache or positions that do not exist.
    pub fn write_cache(&self, cache: usize, values: &[f32]) -> Result<()> {
        let buffer = self.cache(cache)?;
        let words: Vec<u32> = match self.target.cache {
            CacheFormat::F32 => values.iter().map(|value| value.to_bits()).collect(),
            CacheFormat::F16 => values
                .chunks(2)
                .map(|pair| {
                    let half = |index| {
                        let value: f32 = pair.get(index).copied().unwrap_or_default();
                        u32::from(half::f16::from_f32(value).to_bits())
                    };
                    half(0) | half(1) << 16
                })
                .collect(),
        };
        fits_bytes(4 * words.len() as u64, buffer)?;
        self.gpu().upload(buffer, bytemuck::cast_slice(&words))
    }

    fn cache(&self, cache: usize) -> Result<&Buffer> {
        self.buffers
            .caches
            .get(cache)
            .ok_or_else(|| Error::request("cache", format!("there is no cache {cache}")))
    }

    fn slot(&self, slot: Slot) -> Result<&Buffer> {
        self.buffers
            .activations
            .get(&Activation::Slot(slot))
            .ok_or_else(|| Error::request("slot", format!("the network does not use {slot:?}")))
    }

    async fn read_buffer(&self, buffer: &Buffer, values: usize) -> Result<Vec<f32>> {
        let bytes = 4 * values as u64;
        fits_bytes(bytes, buffer)?;
        let gpu = self.gpu();
        let staging = gpu.staging("for reading", bytes)?;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes);
        gpu.queue().submit([encoder.finish()]);
        readback::read(gpu, &staging, values).await
    }
}

impl Buffers {
    fn new(gpu: &Gpu, network: &Network, plan: &Plan, target: Target, max_positions: usize) -> Result<Self> {
        let config = &network.config;
        let positions = max_positions as u64;
        let cache_bytes = (4 * target.cache.row_words(config.kv_width()) as u64).saturating_mul(positions);
        let caches = (0..network.num_caches())
            .map(|index| gpu.storage(&format!("cache {index}"), cache_bytes))
            .collect::<Result<_>>()?;
        let rotary = gpu.storage("rotary table", (4 * config.head_dim as u64).saturating_mul(positions))?;
        let table = rotary_table(&config.rotary_frequencies(), max_positions);
        gpu.upload(&rotary, bytemuck::cast_slice(&table))?;
        let mut activations = HashMap::new();
        for activation in plan.activations() {
            let rows = match activation {
                // Made when it is asked for.
                Activation::AllLogits => continue,
                Activation::Slot(Slot::Logits) => 1,
                _ => target.max_batch,
            };
            let bytes = 4 * (rows * stride(network, activation)) as u64;
            activations.insert(activation, gpu.storage(&format!("{activation:?}"), bytes)?);
        }
        let batch = gpu.uniform("batch", 4 * (4 + target.max_batch) as u64)?;
        Ok(Self { batch, rotary, caches, activations })
    }
}

/// Turns calls into dispatches.
struct Recorder<'a> {
    gpu: &'a Gpu,
    weights: &'a Weights,
    buffers: &'a Buffers,
    all_logits: Option<&'a Buffer>,
}

impl Recorder<'_> {
    fn dispatches(&self, calls: &[Call]) -> Result<Vec<Dispatch>> {
        calls.iter().map(|call| self.dispatch(call)).collect()
    }

    fn dispatch(&self, call: &Call) -> Result<Dispatch> {
        let Pipeline { pipeline, layout } = self.gpu.pipeline(&call.shader);
        let buffers = self.bind(call)?;
        let entries: Vec<_> = buffers
            .iter()
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: binding.number(),
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let group = self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&call.label),
            layout: &layout,
            entries: &entries,
        });
        Ok(Dispatch { pipeline, group, grid: call.grid })
    }

    fn bind(&self, call: &Call) -> Result<Vec<(Binding, &Buffer)>> {
        let mut bound = vec![(Binding::Batch, &self.buffers.batch)];
        for (binding, resource) in &call.resources {
            bound.push((*binding, self.resource(*resource)?));
        }
        check_bindings(&call.shader, &bound)?;
        Ok(bound)
    }

    fn resource(&self, resource: Resource) -> Result<&Buffer> {
        let absent = || Error::device(format!("nothing is bound to {resource:?}"), REPORT);
        Ok(match resource {
            Resource::Part(id, part) => &self.weights.part(id, part)?.uniform,
            Resource::Words(id, part) => &self.weights.part(id, part)?.words,
            Resource::Scales(id, part) => self.weights.part(id, part)?.scales.as_ref().ok_or_else(absent)?,
            Resource::Vector(id) => self.weights.vector(id)?,
            Resource::Activation(Activation::AllLogits) => self.all_logits.ok_or_else(absent)?,
            Resource::Activation(activation) => {
                self.buffers.activations.get(&activation).ok_or_else(absent)?
            }
            Resource::Cache(cache) => self.buffers.caches.get(cache).ok_or_else(absent)?,
            Resource::Rotary => &self.buffers.rotary,
        })
    }
}

const REPORT: &str = "This is a fault of the engine, please report it";

/// A plan binds exactly what its shaders declare; anything else would reach the user as a driver's riddle.
fn check_bindings(shader: &Shader, bound: &[(Binding, &Buffer)]) -> Result<()> {
    let mut declared: Vec<_> = shader.bindings().into_iter().map(|(binding, _)| binding).collect();
    let mut bound: Vec<_> = bound.iter().map(|(binding, _)| *binding).collect();
    declared.sort_unstable();
    bound.sort_unstable();
    if declared == bound {
        return Ok(());
    }
    let name = shader.name();
    Err(Error::device(format!("{name} declares {declared:?}, but {bound:?} are bound"), REPORT))
}

fn fits_bytes(bytes: u64, buffer: &Buffer) -> Result<()> {
    if bytes > buffer.size() {
        return Err(Error::request("rows", format!("{bytes} bytes, but the buffer has {}", buffer.size())));
    }
    Ok(())
}

/// Exact caches for exact weights; otherwise half the size.
fn cache_format(weights: &Weights) -> CacheFormat {
    if weights.layouts().values().all(|layout| layout.format == Format::F32) {
        CacheFormat::F32
    } else {
        CacheFormat::F16
    }
}

fn stride_of_logits(network: &Network) -> usize {
    stride(network, Activation::Slot(Slot::Logits))
}

fn without_padding(values: Vec<f32>, stride: usize, width: usize) -> Vec<f32> {
    if stride == width {
        return values;
    }
    values.chunks(stride).flat_map(|row| &row[..width]).copied().collect()
}
