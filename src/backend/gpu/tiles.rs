//! Which tiles prompts are multiplied in: floats, halves or 8-bit integers, whichever are fastest here.
//!
//! No feature says whether a device has instructions for the last two or takes them apart, so all are timed when it is
//! opened, which takes tens of milliseconds.

use std::collections::HashMap;

use super::buffer::Buffer;
use super::cache_format::CacheFormat;
use super::call::{Activation, Call, Resource};
use super::device::{Gpu, GpuOptions};
use super::layout::Layout;
use super::plan::Plan;
use super::self_test::self_test;
use super::shader::{Binding, Tier};
use super::stopwatch::Stopwatch;
use super::target::Target;
use super::weights::PartUniform;
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::decoder::ActivationFunction;
use crate::model::matrix::{Affine, Format, ScaleFormat};
use crate::model::network::{Epilogue, MatrixId, Network, Op, Projection, Rows, Slot};

/// How much faster rounded factors must be: less may be noise, and rounds for nothing.
const WORTH_IT: f64 = 1.2;

/// Tokens of the timed batch.
const TOKENS: usize = 512;

/// Seconds of a timed pass: long beside the 0.1 ms to which browsers round, and beside a round trip.
const TIMED_PASS: f64 = 0.004;

/// Timed passes of each kind, in turns, so that a clock that rises favours neither.
const ROUNDS: usize = 3;

/// The sizes of MobileLLM-125M; only the projection to gate and up is computed, where a prompt spends most of its time.
const CONFIG: &str = r#"{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 1,
    "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 16}"#;

const FORMAT: Format = Format::Affine(Affine { bits: 4, group_size: 64, scales: ScaleFormat::F16 });

/// A kind of tiles.
#[derive(Debug, Clone, Copy)]
enum Tiles {
    /// Those of a tier.
    Of(Tier),
    /// Those of 8-bit integers.
    Int8,
}

impl Gpu {
    /// Begins to compile what [`Gpu::choose_tiles`] will time.
    pub(super) fn compile_tiles_ahead(&self, options: GpuOptions) {
        let mut tiles = Vec::new();
        if self.may_round_to_halves(options) {
            tiles.extend([Tiles::Of(Tier::F16), Tiles::Of(Tier::Subgroups)]);
        }
        if self.may_round_to_int8(options) {
            tiles.extend([Tiles::Int8, Tiles::Of(self.info().tier)]);
        }
        // What is wrong with one is said when it is timed.
        for (call, _) in tiles.into_iter().filter_map(|tiles| call(self, tiles).ok()) {
            self.compile_ahead(&call.shader);
        }
    }

    /// Whether it is to be measured if half precision pays.
    fn may_round_to_halves(&self, options: GpuOptions) -> bool {
        self.info().tier == Tier::F16 && options.tier.is_none()
    }

    /// Whether it is to be measured if 8-bit integers pay; what emulates a GPU multiplies floats as fast.
    fn may_round_to_int8(&self, options: GpuOptions) -> bool {
        options.int8_tiles.is_none() && self.has_int8_tiles() && !self.info().software
    }

    fn has_int8_tiles(&self) -> bool {
        let info = self.info();
        info.packed_dot && info.tier != Tier::Software
    }

    /// Decides, as the options say or by measuring, and tests what was chosen.
    pub(super) async fn choose_tiles(&mut self, options: GpuOptions) -> Result<()> {
        if self.may_round_to_halves(options)
            && !self.is_worth_it(Tiles::Of(Tier::F16), Tiles::Of(Tier::Subgroups)).await
            && let Some(info) = self.info_mut()
        {
            // Half precision is for tiles alone.
            info.tier = Tier::Subgroups;
        }
        self.choose_int8_tiles(options).await
    }

    async fn choose_int8_tiles(&mut self, options: GpuOptions) -> Result<()> {
        let chosen = match options.int8_tiles {
            Some(true) if !self.has_int8_tiles() => return Err(impossible(self)),
            Some(forced) => forced,
            None => {
                self.may_round_to_int8(options)
                    && self.is_worth_it(Tiles::Int8, Tiles::Of(self.info().tier)).await
            }
        };
        if !chosen {
            return Ok(());
        }
        self.set_int8_tiles(true, None);
        if options.skip_self_test {
            return Ok(());
        }
        if let Err(error) = self_test(self).await {
            let degraded = format!("tiles of 8-bit integers failed their self-test: {error}");
            tracing::warn!("{degraded}");
            self.set_int8_tiles(false, Some(degraded));
            self.forgive();
        }
        Ok(())
    }

    fn set_int8_tiles(&mut self, on: bool, degraded: Option<String>) {
        if let Some(info) = self.info_mut() {
            info.int8_tiles = on;
            info.degraded = degraded.or(info.degraded.take());
        }
    }

    /// Whether some tiles are so much faster than exact ones. A driver that cannot even run them has its answer too.
    async fn is_worth_it(&self, rounded: Tiles, exact: Tiles) -> bool {
        let gain = self.gain(rounded, exact).await.and_then(|gain| self.check().map(|()| gain));
        gain.map_or_else(
            |error| {
                tracing::warn!("tiles {rounded:?} could not be timed: {error}");
                self.forgive();
                false
            },
            |gain| gain >= WORTH_IT,
        )
    }

    /// How many times as fast as others some tiles are.
    async fn gain(&self, some: Tiles, others: Tiles) -> Result<f64> {
        let stopwatch = Stopwatch::new(self).await?;
        let tiles = [Timed::new(self, some)?, Timed::new(self, others)?];
        let mut repeats = [1; 2];
        for (tile, repeats) in tiles.iter().zip(&mut repeats) {
            // The first time pays for compilation, and wakes the device.
            stopwatch.time(|pass| tile.record(pass, 1)).await?;
            let once = stopwatch.time(|pass| tile.record(pass, 1)).await?;
            *repeats = (TIMED_PASS / once.max(1e-6)).ceil().clamp(1.0, 1000.0) as usize;
        }
        let mut seconds = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for ((tile, repeats), seconds) in tiles.iter().zip(repeats).zip(&mut seconds) {
                let all = stopwatch.time(|pass| tile.record(pass, repeats)).await?;
                *seconds = seconds.min(all / repeats as f64);
            }
        }
        tracing::debug!("a matmul in tiles {some:?} and {others:?} takes {seconds:?} s");
        let [some, others] = seconds;
        // A clock that stood still measured nothing.
        Ok(if some > 0.0 { others / some } else { 0.0 })
    }
}

fn impossible(gpu: &Gpu) -> Error {
    let info = gpu.info();
    let why = if info.tier == Tier::Software {
        "the tier software has no tiles; force another".to_owned()
    } else {
        format!("{} has no packed_4x8_integer_dot_product", info.adapter)
    };
    Error::request("int8_tiles", why)
}

/// A tiled matmul, ready to be recorded.
struct Timed {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    /// Bound, and given back when they are dropped.
    _buffers: Vec<(Binding, Buffer)>,
    workgroups: (u32, u32),
}

impl Timed {
    fn new(gpu: &Gpu, tiles: Tiles) -> Result<Self> {
        let (call, layout) = call(gpu, tiles)?;
        let buffers = buffers(gpu, &call, &layout)?;
        let pipeline = gpu.pipeline(&call.shader);
        let bound = buffers.iter().map(|(binding, buffer)| (*binding, buffer));
        let group = pipeline.bind(gpu.device(), &call.label, bound);
        let workgroups = (call.grid.x.workgroups(TOKENS), call.grid.y.workgroups(TOKENS));
        Ok(Self { pipeline: pipeline.pipeline, group, _buffers: buffers, workgroups })
    }

    fn record(&self, pass: &mut wgpu::ComputePass, times: usize) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        for _ in 0..times {
            pass.dispatch_workgroups(self.workgroups.0, self.workgroups.1, 1);
        }
    }
}

/// The matmul in such tiles, and how its matrix lies.
fn call(gpu: &Gpu, tiles: Tiles) -> Result<(Call, Layout)> {
    let chosen = Target::of(gpu.info(), CacheFormat::F16);
    let target = match tiles {
        Tiles::Of(tier) => Target { tier, int8_tiles: false, ..chosen },
        Tiles::Int8 => Target { int8_tiles: true, ..chosen },
    };
    let config = Config::parse(CONFIG.as_bytes())?;
    let (rows, cols) = (2 * config.intermediate_size, config.hidden_size);
    let layout = Layout::new(rows, cols, FORMAT, gpu.max_part_bytes())?;
    let weight = MatrixId::Block(0, Projection::GateUp);
    let network = Network {
        config,
        ops: vec![Op::Project {
            norm: None,
            weight,
            bias: None,
            input: Slot::Hidden,
            epilogue: Epilogue::Gated { slot: Slot::Gated, activation: ActivationFunction::Silu },
            rows: Rows::All,
        }],
    };
    let plan = Plan::new(&network, &HashMap::from([(weight, layout.clone())]), target)?;
    let call = plan.prefill.into_iter().next();
    let call = call.ok_or_else(|| Error::internal("the timed matmul has no call"))?;
    Ok((call, layout))
}

/// What the call binds. Weights and activations are zeros: how long a product takes does not depend on its factors.
fn buffers(gpu: &Gpu, call: &Call, layout: &Layout) -> Result<Vec<(Binding, Buffer)>> {
    let Layout { rows, cols, format, .. } = *layout;
    let mut batch = vec![0u32; 4 + Target::of(gpu.info(), CacheFormat::F16).max_batch];
    batch[1] = TOKENS as u32;
    let mut bound = vec![(Binding::Batch, gpu.uniform_with("batch", bytemuck::cast_slice(&batch))?)];
    for (binding, resource) in &call.resources {
        let buffer = match resource {
            Resource::Part(..) => {
                gpu.uniform_with("part", bytemuck::bytes_of(&PartUniform::new(&(0..rows), format)))?
            }
            Resource::Words(..) => gpu.storage("words", 4 * (rows * format.row_words(cols)) as u64)?,
            Resource::Scales(..) => {
                gpu.storage("scales", 4 * (rows * format.row_scale_words(cols)) as u64)?
            }
            Resource::Activation(Activation::Slot(Slot::Hidden)) => {
                gpu.storage("input", 4 * (TOKENS * cols) as u64)?
            }
            _ => gpu.storage("output", 4 * (TOKENS * rows) as u64)?,
        };
        bound.push((*binding, buffer));
    }
    Ok(bound)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    /// Elsewhere only hardware adapters are timed; what is measured is nobody's business here, only that it can be.
    #[test]
    fn any_adapter_can_be_timed() {
        for tier in Tier::ALL.iter().copied().filter(|tier| *tier != Tier::Software) {
            let options = GpuOptions {
                tier: Some(tier),
                int8_tiles: Some(false),
                skip_self_test: true,
                timestamps: tier == Tier::Portable,
                ..GpuOptions::default()
            };
            match pollster::block_on(Gpu::open(options)) {
                Ok(gpu) => {
                    let gain = pollster::block_on(gpu.gain(Tiles::Int8, Tiles::Of(tier)));
                    assert!(gain.as_ref().is_ok_and(|gain| gain.is_finite()), "{tier:?}: {gain:?}");
                    assert_eq!(gpu.fault().map(|fault| fault.to_string()), None, "{tier:?}");
                }
                Err(error) => println!("skipped: gpu: timing on tier {}: {error}", tier.name()),
            }
        }
    }
}
