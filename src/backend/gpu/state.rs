//! One conversation on the GPU: its caches and activations, and the recorded plan that extends them.

use std::collections::HashMap;
use std::rc::Rc;

use super::buffer::Buffer;
use super::cache_format::CacheFormat;
use super::call::{Activation, Call, Grid, Resource, stride};
use super::device::Gpu;
use super::kernels::attention::SPLITS;
use super::kernels::sample::RING;
use super::loops::SAFE_TURNS;
use super::plan::Plan;
use super::readback::{self, Readbacks};
use super::shader::{ATTENTION_THREAD, Binding, Shader, Tier};
use super::target::{Target, few_rows};
use super::weights::Weights;
use crate::backend::cpu::rotary::rotary_table;
use crate::backend::cpu::sample::{Adjustment, Sampling};
use crate::backend::{Products, Wanted, check_batch};
use crate::error::{Error, Result};
use crate::model::network::{Network, Slot};

/// Rows whose logits are wanted at once at most: a vocabulary is wide.
const MAX_LOGIT_ROWS: usize = 64;

/// Submits whose results are waited for at once: one that runs, one behind it, and one being read.
const MAX_IN_FLIGHT: usize = 3;

/// A call that only needs to be recorded.
pub(super) struct Dispatch {
    /// [`Call::label`].
    pub(super) label: String,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: Grid,
}

impl Dispatch {
    /// Records it for a batch of `rows` tokens.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass, rows: usize) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.grid.x.workgroups(rows), self.grid.y.workgroups(rows), 1);
    }
}

/// What every row's logits need; made when they are first asked for.
struct AllRows {
    logits: Buffer,
    staging: Buffer,
    head_few: Vec<Dispatch>,
    head_many: Vec<Dispatch>,
    sample: Vec<Dispatch>,
}

impl AllRows {
    fn head(&self, rows: usize, tier: Tier) -> &[Dispatch] {
        if rows <= few_rows(tier) { &self.head_few } else { &self.head_many }
    }
}

/// The key/value caches of one conversation on a device.
pub struct State {
    network: Rc<Network>,
    weights: Rc<Weights>,
    plan: Plan,
    buffers: Buffers,
    few: Vec<Dispatch>,
    many: Vec<Dispatch>,
    head: Vec<Dispatch>,
    sample: Vec<Dispatch>,
    all_rows: Option<AllRows>,
    /// Where a row of logits is read from.
    staging: Buffer,
    /// Tokens chosen on the device.
    readbacks: Readbacks,
    target: Target,
    /// A thread goes through the whole context by itself.
    lone_attention: bool,
    len: usize,
    max_positions: usize,
    /// Tokens of the generation that were chosen or are being chosen.
    step: u32,
}

/// The buffers that belong to a state.
struct Buffers {
    batch: Buffer,
    rotary: Buffer,
    caches: Vec<Buffer>,
    activations: HashMap<Activation, Buffer>,
    sampling: Buffer,
    adjustments: Buffer,
    bests: Buffer,
    chosen: Buffer,
}

impl State {
    /// An empty state with room for `max_positions` tokens.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device cannot hold the caches, [`Error::Missing`] where weights are absent.
    pub fn new(
        network: Rc<Network>,
        weights: Rc<Weights>,
        max_positions: usize,
        products: Products,
    ) -> Result<Self> {
        let gpu = weights.gpu().clone();
        let target = weights.target().with(products);
        let plan = Plan::new(&network, weights.layouts(), target)?;
        let lone_attention = plan.calls().any(|call| call.shader.is(ATTENTION_THREAD));
        let buffers = Buffers::new(&gpu, &network, &plan, target, max_positions)?;
        let staging = gpu.staging("logits for reading", 4 * stride_of_logits(&network) as u64)?;
        let recorder = Recorder { gpu: &gpu, weights: &weights, buffers: &buffers, all_logits: None };
        let (few, many) = (recorder.dispatches(&plan.few)?, recorder.dispatches(&plan.many)?);
        let head = recorder.dispatches(&plan.head_one)?;
        let sample = recorder.dispatches(&plan.sample_one)?;
        let readbacks = Readbacks::new(&gpu, MAX_IN_FLIGHT, 4 * RING as u64)?;
        gpu.check()?;
        Ok(Self {
            network,
            weights,
            plan,
            buffers,
            few,
            many,
            head,
            sample,
            all_rows: None,
            staging,
            readbacks,
            target,
            lone_attention,
            len: 0,
            max_positions,
            step: 0,
        })
    }

    /// Positions filled.
    #[expect(clippy::len_without_is_empty, reason = "model::State has it")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Positions that there is room for.
    pub fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Values of a row of logits.
    pub fn vocab_size(&self) -> usize {
        self.network.config.vocab_size
    }

    /// Tokens that one call of [`State::forward`] takes at most.
    pub fn max_batch(&self) -> usize {
        self.target.max_batch
    }

    /// Tokens of such a call where the logits of all are wanted.
    pub fn max_logit_rows(&self) -> usize {
        self.target.max_batch.min(MAX_LOGIT_ROWS)
    }

    /// The dispatches that it records.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Forgets all positions from `len` on, and what was submitted beyond them.
    pub fn truncate(&mut self, len: usize) {
        self.readbacks.discard();
        self.len = self.len.min(len);
    }

    /// Runs the network; see [`crate::backend::State::forward`].
    ///
    /// # Errors
    /// [`Error::Request`] for a batch that cannot run, [`Error::Device`] when the GPU fails.
    pub async fn forward(&mut self, tokens: &[u32], wanted: Wanted) -> Result<Vec<f32>> {
        self.readbacks.discard();
        self.check(tokens, wanted)?;
        if wanted == Wanted::All && tokens.len() > 1 {
            self.prepare_all_rows()?;
        }
        self.submit(tokens, wanted);
        let logits = self.read_logits(tokens.len(), wanted).await?;
        // Positions count only now: a pass that failed or was abandoned is simply overwritten by the next.
        self.len += tokens.len();
        Ok(logits)
    }

    /// Whether a batch can run after what is in flight.
    fn check(&self, tokens: &[u32], wanted: Wanted) -> Result<()> {
        let most = if wanted == Wanted::All { self.max_logit_rows() } else { self.max_batch() };
        check_batch(tokens, self.network.config.vocab_size, most, self.room())?;
        self.check_loops(tokens.len())?;
        self.gpu().check()
    }

    /// Whether the loops that `more` positions need run to their end.
    fn check_loops(&self, more: usize) -> Result<()> {
        let positions = self.len + self.readbacks.positions() + more;
        // Scores, values, and seldom values made smaller, each over the pairs of a head.
        let turns = positions * (3 * self.network.config.head_dim / 2 + 4);
        if self.lone_attention {
            self.check_turns("a context", format!("{positions} positions"), turns)?;
        }
        Ok(())
    }

    fn check_turns(&self, what: &str, needs: String, turns: usize) -> Result<()> {
        let info = self.gpu().info();
        if turns <= SAFE_TURNS || !info.short_loops {
            return Ok(());
        }
        let has =
            format!("loops of {SAFE_TURNS} iterations, because {} stops longer ones early", info.adapter);
        Err(Error::limit(what, needs, has, "Use another tier, or the CPU backend"))
    }

    /// Submits a batch after what is in flight, of which only keys and values are wanted. [`State::chosen`] waits for it.
    ///
    /// # Errors
    /// As [`State::forward`].
    pub fn prefill(&mut self, tokens: &[u32]) -> Result<()> {
        self.check(tokens, Wanted::None)?;
        let staging = self.readbacks.take()?;
        self.write_batch(tokens, Wanted::None);
        let rows = tokens.len();
        let dispatches: Vec<_> = self.body(rows).iter().collect();
        let submission = self.submit_choice(&dispatches, 1, rows, 0, &staging);
        self.keep(staging, 0, rows, submission);
        Ok(())
    }

    /// How tokens are chosen from now on: `adjustments` are one a token of the vocabulary, or none.
    ///
    /// # Errors
    /// [`Error::Device`] when the GPU fails.
    pub fn set_sampling(&mut self, sampling: &Sampling, adjustments: &[Adjustment]) -> Result<()> {
        // Where tokens are cut off, a thread goes through the vocabulary two or three times.
        let vocab_size = self.vocab_size();
        if self.target.tier == Tier::Software {
            self.check_turns("sampling", format!("a vocabulary of {vocab_size}"), 3 * vocab_size)?;
        }
        self.gpu().write(&self.buffers.sampling, 0, bytemuck::bytes_of(sampling));
        let width = self.network.config.vocab_size.min(adjustments.len());
        self.gpu().upload(&self.buffers.adjustments, bytemuck::cast_slice(&adjustments[..width]))
    }

    /// Submits a batch after what is in flight, and the choice of the token that follows it, or, with `every_row`, of the token that follows each of
    /// its tokens. They are steps `step` and following of the generation. [`State::chosen`] reads what was chosen.
    ///
    /// # Errors
    /// As [`State::forward`].
    pub fn choose(&mut self, tokens: &[u32], step: u32, every_row: bool) -> Result<()> {
        let wanted = if every_row { Wanted::All } else { Wanted::Last };
        self.check(tokens, wanted)?;
        self.step = step;
        let rows = tokens.len();
        if every_row {
            self.prepare_all_rows()?;
        }
        let staging = self.readbacks.take()?;
        self.write_batch(tokens, wanted);
        let (head, sample, count) = match &self.all_rows {
            Some(all) if every_row => (all.head(rows, self.target.tier), &all.sample[..], rows),
            _ => (&self.head[..], &self.sample[..], 1),
        };
        let dispatches: Vec<_> = self.body(rows).iter().chain(head).chain(sample).collect();
        let submission = self.submit_choice(&dispatches, 1, rows, count, &staging);
        self.keep(staging, count, rows, submission);
        Ok(())
    }

    /// Submits the next `count` tokens after those submitted, each the input of the next; [`State::chosen`] reads them.
    ///
    /// # Errors
    /// [`Error::Request`] where there is no room for them, [`Error::Device`] when the GPU fails.
    pub fn extend(&mut self, count: usize) -> Result<()> {
        let room = self.room().min(RING);
        if count > room {
            return Err(Error::request(
                "count",
                format!("{count} tokens do not fit, there is room for {room}"),
            ));
        }
        self.check_loops(count)?;
        self.gpu().check()?;
        let staging = self.readbacks.take()?;
        let dispatches: Vec<_> = self.step(1).collect();
        let submission = self.submit_choice(&dispatches, count, 1, count, &staging);
        self.keep(staging, count, count, submission);
        Ok(())
    }

    /// Submits of [`State::choose`] and [`State::extend`] whose tokens were not read yet.
    pub fn in_flight(&self) -> usize {
        self.readbacks.len()
    }

    /// Tokens that they choose.
    pub fn pending(&self) -> usize {
        self.readbacks.words()
    }

    /// Positions that are left behind them.
    pub fn room(&self) -> usize {
        self.max_positions - self.len - self.readbacks.positions()
    }

    /// Tokens up to which a batch gives each the same logits, bit for bit, as if they had come one by one.
    pub fn exact_rows(&self) -> usize {
        match self.target.tier {
            Tier::Software => self.target.max_batch,
            tier => few_rows(tier),
        }
    }

    /// Reads the tokens of the oldest submit in flight; a token outside the vocabulary stands for a row of logits
    /// of which none was finite. Its positions count from now on.
    ///
    /// # Errors
    /// [`Error::Device`] when the GPU fails; nothing is in flight then, and the caches hold what they held.
    pub async fn chosen(&mut self) -> Result<Vec<u32>> {
        match self.readbacks.next().await {
            Ok((tokens, positions)) => {
                self.len += positions;
                Ok(tokens)
            }
            Err(error) => {
                self.readbacks.discard();
                Err(error)
            }
        }
    }

    /// Records passes that choose `count` tokens in all, and copies those to `staging`; where there are none, something, so
    /// that whoever reads it knows that the passes are over.
    fn submit_choice(
        &self,
        dispatches: &[&Dispatch],
        passes: usize,
        rows: usize,
        count: usize,
        staging: &Buffer,
    ) -> wgpu::SubmissionIndex {
        let mut encoder =
            self.gpu().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for dispatch in (0..passes).flat_map(|_| dispatches) {
                dispatch.record(&mut pass, rows);
            }
            self.gpu().count(|counts| counts.dispatches += (passes * dispatches.len()) as u64);
        }
        // The ring's end may lie between them.
        let first = self.step as usize % RING;
        let head = count.max(1).min(RING - first);
        for (from, to, count) in [(first, 0, head), (0, head, count.saturating_sub(head))] {
            if count > 0 {
                let at = |word: usize| 4 * word as u64;
                encoder.copy_buffer_to_buffer(&self.buffers.chosen, at(from), staging, at(to), at(count));
            }
        }
        self.gpu().submit(encoder.finish())
    }

    fn keep(&mut self, staging: Buffer, count: usize, positions: usize, submission: wgpu::SubmissionIndex) {
        self.step = self.step.wrapping_add(count as u32);
        let gpu = self.gpu().clone();
        self.readbacks.push(&gpu, staging, count, positions, submission);
    }

    /// The dispatches before the head.
    fn body(&self, rows: usize) -> &[Dispatch] {
        if rows <= few_rows(self.target.tier) { &self.few } else { &self.many }
    }

    pub(super) fn gpu(&self) -> &Gpu {
        self.weights.gpu()
    }

    /// The dispatches of a batch of `rows` tokens, and of the choice of the one that follows.
    pub(super) fn step(&self, rows: usize) -> impl Iterator<Item = &Dispatch> {
        self.body(rows).iter().chain(&self.head).chain(&self.sample)
    }

    /// Tells the kernels which tokens stand where.
    pub(super) fn write_batch(&self, tokens: &[u32], wanted: Wanted) {
        let rows = tokens.len();
        let first_wanted = if wanted == Wanted::Last { rows - 1 } else { 0 };
        let position = self.len + self.readbacks.positions();
        let mut words = vec![position as u32, rows as u32, first_wanted as u32, self.step];
        words.extend(tokens);
        self.gpu().write(&self.buffers.batch, 0, bytemuck::cast_slice(&words));
    }

    /// Writes the batch, records one pass and submits it.
    fn submit(&self, tokens: &[u32], wanted: Wanted) {
        let rows = tokens.len();
        self.write_batch(tokens, wanted);
        let mut encoder =
            self.gpu().device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (head, logits) = match (&self.all_rows, wanted) {
            (_, Wanted::None) => (&[][..], None),
            (Some(all), Wanted::All) if rows > 1 => {
                (all.head(rows, self.target.tier), Some((&all.logits, &all.staging)))
            }
            _ => (&self.head[..], self.logits().map(|logits| (logits, &self.staging))),
        };
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let body = self.body(rows);
            for dispatch in body.iter().chain(head) {
                dispatch.record(&mut pass, rows);
            }
            self.gpu().count(|counts| counts.dispatches += (body.len() + head.len()) as u64);
        }
        if let Some((logits, staging)) = logits {
            let rows = if wanted == Wanted::All { rows } else { 1 };
            let bytes = 4 * (rows * stride_of_logits(&self.network)) as u64;
            encoder.copy_buffer_to_buffer(logits, 0, staging, 0, bytes);
        }
        self.gpu().submit(encoder.finish());
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
        let bytes = 4 * (self.max_logit_rows() * stride_of_logits(&self.network)) as u64;
        let logits = gpu.storage("logits of every row", bytes)?;
        let staging = gpu.staging("logits of every row for reading", bytes)?;
        let recorder =
            Recorder { gpu: &gpu, weights: &self.weights, buffers: &self.buffers, all_logits: Some(&logits) };
        let head_few = recorder.dispatches(&self.plan.head_few)?;
        let head_many = recorder.dispatches(&self.plan.head_many)?;
        let sample = recorder.dispatches(&self.plan.sample_all)?;
        gpu.check()?;
        self.all_rows = Some(AllRows { logits, staging, head_few, head_many, sample });
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
            let few = few_rows(target.tier) * SPLITS;
            let (rows, width) = match activation {
                // Made when it is asked for.
                Activation::AllLogits => continue,
                Activation::Slot(Slot::Logits) => (1, stride(network, activation)),
                Activation::Splits => (few, stride(network, activation)),
                Activation::SplitStats => (few, 2 * config.num_heads),
                Activation::Slot(_) | Activation::Normed(_) => {
                    (target.max_batch, stride(network, activation))
                }
            };
            let bytes = 4 * (rows * width) as u64;
            activations.insert(activation, gpu.storage(&format!("{activation:?}"), bytes)?);
        }
        let batch = gpu.uniform("batch", 4 * (4 + target.max_batch) as u64)?;
        let sampling = gpu.uniform("sampling", size_of::<Sampling>() as u64)?;
        let vocab_size = config.vocab_size as u64;
        let adjustments = gpu.storage("adjustments", vocab_size * size_of::<Adjustment>() as u64)?;
        let bests = gpu.storage("bests", (8 * target.max_batch.min(MAX_LOGIT_ROWS) * plan.slices) as u64)?;
        let chosen = gpu.storage("chosen tokens", 4 * RING as u64)?;
        Ok(Self { batch, rotary, caches, activations, sampling, adjustments, bests, chosen })
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
        let pipeline = self.gpu.pipeline(&call.shader);
        let group = pipeline.bind(self.gpu.device(), &call.label, self.bind(call)?);
        Ok(Dispatch { label: call.label.clone(), pipeline: pipeline.pipeline, group, grid: call.grid })
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
            Resource::Sampling => &self.buffers.sampling,
            Resource::Adjustments => &self.buffers.adjustments,
            Resource::Bests => &self.buffers.bests,
            Resource::Chosen => &self.buffers.chosen,
        })
    }
}

const REPORT: &str = "This is a bug in mobilellm, please report it";

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

fn stride_of_logits(network: &Network) -> usize {
    stride(network, Activation::Slot(Slot::Logits))
}

fn without_padding(values: Vec<f32>, stride: usize, width: usize) -> Vec<f32> {
    if stride == width {
        return values;
    }
    values.chunks(stride).flat_map(|row| &row[..width]).copied().collect()
}
