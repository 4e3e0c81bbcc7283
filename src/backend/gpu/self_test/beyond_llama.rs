//! The kernels that Llama's blocks do not use, each compared with its CPU function: four calls without matrices, so that
//! few more pipelines are compiled at opening.

use std::rc::Rc;

use super::{CONFIG, TOKENS, compare, noise};
use crate::backend::cpu::add_normed::add_normed;
use crate::backend::cpu::attention::{Heads, Span, attention};
use crate::backend::cpu::cache::{Cache, Ring};
use crate::backend::cpu::convolve::convolve;
use crate::backend::cpu::rotary::rotary_table;
use crate::backend::cpu::rotate_and_cache::{Turn, rotate_and_cache};
use crate::backend::gpu::device::Gpu;
use crate::backend::gpu::plan::Plan;
use crate::backend::gpu::state::GpuState;
use crate::backend::gpu::weights::GpuWeights;
use crate::backend::{Products, Wanted, WeightSink};
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::decoder::{CacheSpec, Mixer, QueryKeyNorm, Temperature, Window};
use crate::model::network::{Network, Op, Slot, VectorId};

const WINDOW: Window = Window::Sliding(7);
const KERNEL_SIZE: usize = 3;
const SCALE: f32 = 0.2;
const NORM: Option<QueryKeyNorm> = Some(QueryKeyNorm::Heads);
const TEMPERATURE: Option<Temperature> = Some(Temperature { floor_scale: 3.0, attention_scale: 0.5 });
const POST_NORM: VectorId = VectorId::AttentionPostNorm(0);

/// An attention with a window, and a convolution.
fn network() -> Result<Network> {
    let mut config = Config::parse(CONFIG.as_bytes())?;
    let mut block = config.decoder.blocks.first().copied().ok_or_else(|| Error::internal("no block"))?;
    if let Mixer::Attention(attention) = &mut block.mixer {
        attention.window = WINDOW;
    }
    let mut convolution = block;
    convolution.mixer = Mixer::ShortConvolution { kernel_size: KERNEL_SIZE };
    config.decoder.blocks = vec![block, convolution];
    let ops = vec![
        Op::RotateAndCache { block: 0, cache: 0, rotary: Some(0), norm: NORM, temperature: TEMPERATURE },
        Op::Attend { cache: 0, scale: SCALE },
        Op::AddNormed { norm: POST_NORM, input: Slot::Branch, scale: SCALE },
        Op::Convolve { block: 1, cache: 1 },
    ];
    Ok(Network { config, ops })
}

/// Values without a pattern, between -1 and 1.
fn values(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| noise(seed * 7919 + i) as f32 / 32768.0 - 1.0).collect()
}

/// Runs the calls on a batch and compares what they leave in their slots.
pub(super) async fn test(gpu: &Gpu) -> Result<()> {
    let network = Rc::new(network()?);
    let config = &network.config;
    let (hidden, head_dim) = (config.hidden_size, config.head_dim);
    let query_norm = values(1, head_dim);
    let key_norm = values(2, head_dim);
    let post_norm = values(3, hidden);
    let taps = values(4, hidden * KERNEL_SIZE);
    let mut weights = GpuWeights::new(gpu, &network);
    for (id, values) in [
        (VectorId::QueryNorm(0), &query_norm),
        (VectorId::KeyNorm(0), &key_norm),
        (POST_NORM, &post_norm),
        (VectorId::Convolution(1), &taps),
    ] {
        weights.put_vector(id, values.clone())?;
    }
    for call in Plan::new(&network, weights.layouts(), weights.target())?.calls() {
        gpu.compile_ahead(&call.shader);
    }
    gpu.compiled().await;
    let mut state = GpuState::new(network.clone(), Rc::new(weights), TOKENS.len(), Products::Fast)?;
    // On the tiers that have them, as many rows as prefill's kernels take.
    let rows = TOKENS.len().min(state.max_batch());
    let mut qkv = values(5, rows * config.qkv_width());
    let branch = values(6, rows * hidden);
    let mut sums = values(7, rows * hidden);
    let input = values(8, rows * 3 * hidden);
    for (slot, values) in
        [(Slot::Qkv, &qkv), (Slot::Branch, &branch), (Slot::Hidden, &sums), (Slot::ConvolutionInput, &input)]
    {
        state.write_slot(slot, values)?;
    }
    state.forward(&TOKENS[..rows], Wanted::None).await?;

    let heads = Heads { num_heads: config.num_heads, num_kv_heads: config.num_kv_heads, head_dim };
    let spec = CacheSpec::KeyValue { window: WINDOW };
    let mut cache = Cache::new(spec, rows, config.kv_width(), hidden);
    let table = config.decoder.rotary.first().map(|rotary| rotary_table(rotary, false, rows));
    let turn = Turn {
        heads,
        table: table.as_deref(),
        norm: NORM,
        query_norm: &query_norm,
        key_norm: &key_norm,
        eps: config.rms_norm_eps,
        temperature: TEMPERATURE,
    };
    let mut query = vec![0.0; rows * config.query_width()];
    rotate_and_cache(&turn, 0, &mut qkv, &mut query, &mut cache);
    compare("rotate_and_cache", &state.read_slot(Slot::Query, rows).await?, &query)?;

    let mut context = vec![0.0; query.len()];
    let span = Span { start: 0, window: WINDOW, capacity: rows, scale: SCALE };
    attention(heads, span, &query, cache.keys.rows(), cache.values.rows(), &mut context);
    compare("attention in a window", &state.read_slot(Slot::Context, rows).await?, &context)?;

    add_normed(&branch, &post_norm, config.rms_norm_eps, SCALE, &mut Vec::new(), &mut sums);
    compare("add_normed", &state.read_slot(Slot::Hidden, rows).await?, &sums)?;

    let mut convolved = vec![0.0; rows * hidden];
    convolve(&taps, KERNEL_SIZE, 0, &input, &mut Ring::new(hidden, rows), &mut convolved);
    compare("convolve", &state.read_slot(Slot::Convolved, rows).await?, &convolved)
}
