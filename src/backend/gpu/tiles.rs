//! Chooses the tiles for prefill: f32, f16 or 8-bit integers, whichever are fastest on this device.
//!
//! No feature says whether a device has instructions for f16 and integer products or emulates them. So all are measured
//! when the device is opened, which takes tens of milliseconds.

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

/// How much faster tiles with rounded factors must be. A smaller gain may be noise, and would not justify the rounding.
const WORTH_IT: f64 = 1.2;

/// Tokens in the timed batch.
const TOKENS: usize = 512;

/// Seconds of a timed pass: much longer than the 0.1 ms to which browsers round, and than a round trip.
const TIMED_PASS: f64 = 0.004;

/// Timed passes of each kind. The kinds take turns, so that a rising clock frequency favours neither.
const ROUNDS: usize = 3;

/// The sizes of MobileLLM-125M. Only the projection to gate and up is computed, because prefill spends most of its time
/// there.
const CONFIG: &str = r#"{"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 1,
    "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 16}"#;

const FORMAT: Format = Format::Affine(Affine { bits: 4, group_size: 64, scales: ScaleFormat::F16 });

/// A kind of tiles.
#[derive(Debug, Clone, Copy)]
enum Tiles {
    /// The tiles of a tier.
    Of(Tier),
    /// Tiles of 8-bit integers.
    Int8,
}

impl Gpu {
    /// Begins to compile the kernels that [`Gpu::choose_tiles`] will time.
    pub(super) fn compile_tiles_ahead(&self, options: GpuOptions) {
        let mut tiles = Vec::new();
        if self.may_round_to_halves(options) {
            tiles.extend([Tiles::Of(Tier::F16), Tiles::Of(Tier::Subgroups)]);
        }
        if self.may_round_to_int8(options) {
            tiles.extend([Tiles::Int8, Tiles::Of(self.info().tier)]);
        }
        // An error here is reported later, when the tiles are timed.
        for (call, _) in tiles.into_iter().filter_map(|tiles| call(self, tiles).ok()) {
            self.compile_ahead(&call.shader);
        }
    }

    /// Whether to measure if half precision is faster.
    fn may_round_to_halves(&self, options: GpuOptions) -> bool {
        self.info().tier == Tier::F16 && options.tier.is_none()
    }

    /// Whether to measure if 8-bit integers are faster. An emulated GPU is not measured, because it multiplies floats
    /// as fast.
    fn may_round_to_int8(&self, options: GpuOptions) -> bool {
        options.int8_tiles.is_none() && self.has_int8_tiles() && !self.info().software
    }

    fn has_int8_tiles(&self) -> bool {
        let info = self.info();
        info.packed_dot && info.tier != Tier::Software
    }

    /// Chooses the tiles, by the options or by measuring, and runs the self-test of the chosen tiles.
    pub(super) async fn choose_tiles(&mut self, options: GpuOptions) -> Result<()> {
        if self.may_round_to_halves(options)
            && !self.is_worth_it(Tiles::Of(Tier::F16), Tiles::Of(Tier::Subgroups)).await
            && let Some(info) = self.info_mut()
        {
            // Only tiles use half precision.
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
            self.clear_fault();
        }
        Ok(())
    }

    fn set_int8_tiles(&mut self, on: bool, degraded: Option<String>) {
        if let Some(info) = self.info_mut() {
            info.int8_tiles = on;
            info.degraded = degraded.or(info.degraded.take());
        }
    }

    /// Whether the rounded tiles are faster than the exact tiles by [`WORTH_IT`]. If they cannot run at all, the answer
    /// is no.
    async fn is_worth_it(&self, rounded: Tiles, exact: Tiles) -> bool {
        let gain = self.gain(rounded, exact).await.and_then(|gain| self.check().map(|()| gain));
        gain.map_or_else(
            |error| {
                tracing::warn!("tiles {rounded:?} could not be timed: {error}");
                self.clear_fault();
                false
            },
            |gain| gain >= WORTH_IT,
        )
    }

    /// The speed of `some` tiles, divided by that of `others`.
    async fn gain(&self, some: Tiles, others: Tiles) -> Result<f64> {
        let stopwatch = Stopwatch::new(self).await?;
        let tiles = [TimedMatmul::new(self, some)?, TimedMatmul::new(self, others)?];
        let mut repeats = [1; 2];
        for (tile, repeats) in tiles.iter().zip(&mut repeats) {
            // A warm-up: the first time includes compilation and waking the device.
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
        // If the clock did not advance, there is no measurement.
        Ok(if some > 0.0 { others / some } else { 0.0 })
    }
}

fn impossible(gpu: &Gpu) -> Error {
    let info = gpu.info();
    let why = if info.tier == Tier::Software {
        "the tier software has no tiles; choose another tier".to_owned()
    } else {
        format!("{} has no packed_4x8_integer_dot_product", info.adapter)
    };
    Error::request("int8_tiles", why)
}

/// A tiled matmul that is ready to be recorded.
struct TimedMatmul {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    /// The bound buffers, which must live as long as the bind groups.
    _buffers: Vec<(Binding, Buffer)>,
    workgroups: (u32, u32),
}

impl TimedMatmul {
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

/// The matmul in these tiles, and the layout of its matrix.
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

/// The buffers that the call binds. Weights and activations are zeros, because the time of a product does not depend on
/// its factors.
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

    /// Normally only hardware adapters are timed. This test checks only that any adapter can be timed, not the result.
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
