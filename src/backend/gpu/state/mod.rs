//! One conversation on the GPU: its caches and activations, and the recorded plan that extends them.

mod buffers;
mod inspection;
mod recorder;

pub(super) use recorder::Dispatch;

use std::rc::Rc;

use super::buffer::Buffer;
use super::call::{Activation, stride};
use super::device::Gpu;
use super::loops::SAFE_TURNS;
use super::plan::Plan;
use super::readback::{self, Readbacks};
use super::shader::{ATTENTION_THREAD, Tier};
use super::target::{RING, Target, max_decode_rows};
use super::weights::GpuWeights;
use crate::backend::cpu::rotary::rotary_table;
use crate::backend::cpu::sample::{Adjustment, Sampling};
use crate::backend::{Products, Wanted, check_batch, check_length};
use crate::error::{Error, Result};
use crate::model::decoder::DecoderSpec;
use crate::model::network::{CacheSpec, Network, Slot};
use buffers::Buffers;
use recorder::Recorder;

/// Rows whose logits are wanted at once at most: a vocabulary is wide.
const MAX_LOGIT_ROWS: usize = 64;

/// Rows that it is at least.
const MIN_LOGIT_ROWS: usize = 16;

/// Bytes that they may take where that leaves a row for each guess: some vocabularies are very wide.
const MAX_LOGIT_BYTES: usize = 16 << 20;

/// Submits whose results are waited for at once: one that runs, one behind it, and one being read.
const MAX_IN_FLIGHT: usize = 3;

/// What every row's logits need; made when they are first asked for.
struct AllRows {
    logits: Buffer,
    staging: Buffer,
    head_decode: Vec<Dispatch>,
    head_prefill: Vec<Dispatch>,
    sample: Vec<Dispatch>,
}

impl AllRows {
    fn head(&self, rows: usize, tier: Tier) -> &[Dispatch] {
        if rows <= max_decode_rows(tier) { &self.head_decode } else { &self.head_prefill }
    }
}

/// The key/value caches of one conversation on a device.
pub struct GpuState {
    network: Rc<Network>,
    weights: Rc<GpuWeights>,
    plan: Plan,
    buffers: Buffers,
    decode: Vec<Dispatch>,
    prefill_dispatches: Vec<Dispatch>,
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
    /// Positions that were submitted since the caches were empty; rings may have lost what lies far before.
    written: usize,
    /// Positions that the text was said to have.
    expected: usize,
    /// The rotations are those of long texts.
    long: bool,
    max_positions: usize,
    /// Tokens of the generation that were chosen or are being chosen.
    step: u32,
}

impl GpuState {
    /// An empty state with room for `max_positions` tokens.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device cannot hold the caches, [`Error::Missing`] where weights are absent.
    pub fn new(
        network: Rc<Network>,
        weights: Rc<GpuWeights>,
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
        let (decode, prefill_dispatches) =
            (recorder.dispatches(&plan.decode)?, recorder.dispatches(&plan.prefill)?);
        let head = recorder.dispatches(&plan.head_last)?;
        let sample = recorder.dispatches(&plan.sample_one)?;
        let readbacks = Readbacks::new(&gpu, MAX_IN_FLIGHT, 4 * RING as u64)?;
        gpu.check()?;
        Ok(Self {
            network,
            weights,
            plan,
            buffers,
            decode,
            prefill_dispatches,
            head,
            sample,
            all_rows: None,
            staging,
            readbacks,
            target,
            lone_attention,
            len: 0,
            written: 0,
            expected: 0,
            long: false,
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

    /// Tokens that one call of [`GpuState::forward`] takes at most.
    pub fn max_batch(&self) -> usize {
        self.target.max_batch
    }

    /// Tokens of such a call where the logits of all are wanted.
    pub fn max_logit_rows(&self) -> usize {
        max_logit_rows(&self.network, self.target)
    }

    /// The dispatches that it records.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Forgets all positions from `len` on, and what was submitted beyond them; see [`crate::backend::State::truncate`].
    pub fn truncate(&mut self, len: usize) -> usize {
        self.readbacks.discard();
        let len = self.len.min(len);
        self.len = if self.holds(len) { len } else { 0 };
        if self.len == 0 {
            // Nothing is read that was not written anew.
            self.written = 0;
        }
        self.len
    }

    /// Whether the rings still hold what the position after the first `len` sees of them.
    fn holds(&self, len: usize) -> bool {
        let caches = self.network.caches();
        caches
            .iter()
            .all(|cache| cache.holds(len, self.written, self.target.capacity(*cache, self.max_positions)))
    }

    /// Makes ready for a text of `len` positions; see [`crate::backend::State::expect`].
    pub fn expect(&mut self, len: usize) -> usize {
        self.expected = len;
        if self.decoder().is_long(len) != self.long {
            self.truncate(0);
            self.choose_rotary();
        }
        self.len
    }

    /// Chooses the rotations by the length that the text is known to have.
    fn choose_rotary(&mut self) {
        let long = self.decoder().is_long(self.expected);
        if long == self.long {
            return;
        }
        self.long = long;
        for (rotary, buffer) in self.decoder().rotary.iter().zip(&self.buffers.rotary) {
            let table = rotary_table(rotary, long, self.max_positions);
            // A device that fails here fails the next call, which checks it.
            let _ = self.gpu().upload(buffer, bytemuck::cast_slice(&table));
        }
    }

    /// What the network computes.
    pub fn decoder(&self) -> &DecoderSpec {
        &self.network.config.decoder
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
        self.begin(tokens.len());
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
        self.check_positions(tokens.len())
    }

    /// Whether `more` positions can follow what is in flight.
    fn check_positions(&self, more: usize) -> Result<()> {
        let end = self.end() + more;
        check_length(self.decoder(), self.end(), end.max(self.expected), self.long)?;
        if !self.holds(self.end()) {
            return Err(Error::request(
                "tokens",
                "work that was given up has overwritten positions that they would see: truncate the state first",
            ));
        }
        self.check_loops(end)?;
        self.gpu().check()
    }

    /// Positions that are filled or being filled.
    fn end(&self) -> usize {
        self.len + self.readbacks.positions()
    }

    /// Notes that `more` positions are about to be submitted.
    fn begin(&mut self, more: usize) {
        let end = self.end() + more;
        if self.end() == 0 {
            self.expected = self.expected.max(end);
            self.choose_rotary();
        }
        self.written = self.written.max(end);
    }

    /// Whether the loops of a text of so many positions run to their end.
    fn check_loops(&self, positions: usize) -> Result<()> {
        let seen = |cache: &CacheSpec| match cache {
            CacheSpec::KeyValue { window } => window.len().map_or(positions, |len| len.min(positions)),
            CacheSpec::Convolution { .. } => 0,
        };
        let positions = self.network.caches().iter().map(seen).max().unwrap_or_default();
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
        let has = format!("what {SAFE_TURNS} turns of a loop do: {} leaves longer ones early", info.adapter);
        Err(Error::limit(what, needs, has, "Use another tier, or the CPU backend"))
    }

    /// Submits a batch after what is in flight, of which only keys and values are wanted. [`GpuState::chosen`] waits for it.
    ///
    /// # Errors
    /// As [`GpuState::forward`].
    pub fn prefill(&mut self, tokens: &[u32]) -> Result<()> {
        self.check(tokens, Wanted::None)?;
        let staging = self.readbacks.take()?;
        self.begin(tokens.len());
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
        if self.target.tier == Tier::Software && sampling.is_cut() {
            self.check_turns("sampling", format!("a vocabulary of {vocab_size}"), 3 * vocab_size)?;
        }
        self.gpu().write(&self.buffers.sampling, 0, bytemuck::bytes_of(sampling));
        let width = self.network.config.vocab_size.min(adjustments.len());
        self.gpu().upload(&self.buffers.adjustments, bytemuck::cast_slice(&adjustments[..width]))
    }

    /// Submits a batch after what is in flight, and the choice of the token that follows it, or, with `every_row`, of the token that follows each of
    /// its tokens. They are steps `step` and following of the generation. [`GpuState::chosen`] reads what was chosen.
    ///
    /// # Errors
    /// As [`GpuState::forward`].
    pub fn choose(&mut self, tokens: &[u32], step: u32, every_row: bool) -> Result<()> {
        let wanted = if every_row { Wanted::All } else { Wanted::Last };
        self.check(tokens, wanted)?;
        self.step = step;
        let rows = tokens.len();
        if every_row {
            self.prepare_all_rows()?;
        }
        let staging = self.readbacks.take()?;
        self.begin(rows);
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

    /// Submits the next `count` tokens after those submitted, each the input of the next; [`GpuState::chosen`] reads them.
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
        self.check_positions(count)?;
        let staging = self.readbacks.take()?;
        self.begin(count);
        let dispatches: Vec<_> = self.step(1).collect();
        let submission = self.submit_choice(&dispatches, count, 1, count, &staging);
        self.keep(staging, count, count, submission);
        Ok(())
    }

    /// Submits of [`GpuState::choose`] and [`GpuState::extend`] whose tokens were not read yet.
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
            tier => max_decode_rows(tier),
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
        if rows <= max_decode_rows(self.target.tier) { &self.decode } else { &self.prefill_dispatches }
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
        let position = self.end();
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
        let head_decode = recorder.dispatches(&self.plan.head_decode)?;
        let head_prefill = recorder.dispatches(&self.plan.head_prefill)?;
        let sample = recorder.dispatches(&self.plan.sample_all)?;
        gpu.check()?;
        self.all_rows = Some(AllRows { logits, staging, head_decode, head_prefill, sample });
        Ok(())
    }
}

/// Rows of a batch whose logits may be wanted at once: at least those of decode, so that all guesses are checked together.
fn max_logit_rows(network: &Network, target: Target) -> usize {
    let rows = (MAX_LOGIT_BYTES / (4 * stride_of_logits(network))).clamp(MIN_LOGIT_ROWS, MAX_LOGIT_ROWS);
    rows.min(target.max_batch)
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
