//! What blocks of other families than Llama's need: each shader against its CPU twin, on every tier.

use half::f16;
use mobilellm::backend::cpu::add_normed::add_normed;
use mobilellm::backend::cpu::attention::{Heads, Span, attention};
use mobilellm::backend::cpu::cache::{Cache, Ring};
use mobilellm::backend::cpu::convolve::convolve;
use mobilellm::backend::cpu::gated::gated;
use mobilellm::backend::cpu::logits::finish_logits;
use mobilellm::backend::cpu::rotary::rotary_table;
use mobilellm::backend::cpu::rotate_and_cache::{Turn, rotate_and_cache};
use mobilellm::model::config::Config;
use mobilellm::model::decoder::{
    ActivationFunction, BlockSpec, CacheSpec, Mixer, QueryKeyNorm, Rotary, Temperature, Window,
};
use mobilellm::model::matrix::Format;
use mobilellm::model::network::{Epilogue, MatrixId, Network, Op, Projection, Rows, Slot, VectorId};
use pollster::block_on;

use crate::support::{Bench, Random, Shape, Twins, assert_close, devices, project};
use crate::{F16, F32, batches, identity, is_cut_short, products};

/// The shape's network of these calls, whose one block was changed.
fn network(shape: Shape, ops: Vec<Op>, change: impl Fn(&mut BlockSpec)) -> Network {
    let mut config = shape.config();
    change(&mut config.decoder.blocks[0]);
    Network { config, ops }
}

fn with_window(block: &mut BlockSpec, window: Window) {
    if let Mixer::Attention(attention) = &mut block.mixer {
        attention.window = window;
    }
}

/// Heads that are shared by 1, 3 and all queries, of widths that quads divide and that they do not, and as wide as Gemma's.
const HEADS: [(usize, usize, usize); 4] = [(9, 3, 64), (5, 1, 10), (6, 2, 80), (4, 1, 256)];

/// Smaller than a tile, a split and a batch.
const SMALL_WINDOWS: [Window; 2] = [Window::Sliding(6), Window::Chunked(8)];

/// Smaller still, and larger: for one shape of heads.
const OTHER_WINDOWS: [Window; 4] =
    [Window::Sliding(1), Window::Sliding(300), Window::Chunked(300), Window::Full];

#[test]
fn attention_sees_its_window_in_a_ring() {
    for gpu in devices("attention_sees_its_window_in_a_ring") {
        for (heads, kv_heads, head_dim) in HEADS {
            let is_common = head_dim == 64;
            let others = OTHER_WINDOWS.into_iter().filter(|_| is_common);
            for (index, window) in SMALL_WINDOWS.into_iter().chain(others).enumerate() {
                let (width, kv_width) = (heads * head_dim, kv_heads * head_dim);
                let format = if index % 2 == 0 { Format::F32 } else { Format::F16 };
                let shape = Shape { hidden: width, heads, kv_heads, head_dim, ..Shape::default() };
                // What attention leaves may be in parts, for the projection after it to combine: one that changes nothing.
                let after = project(Projection::Output, Slot::Context, Epilogue::Write(Slot::Hidden));
                let scale = 0.07;
                let ops = vec![Op::Attend { cache: 0, scale }, after];
                let network = network(shape, ops, |block| with_window(block, window));
                let mut random = Random::new(head_dim as u64);
                let mut twins = Twins::new(&gpu, &network);
                // Only its format matters: it decides that of the cache.
                twins.matrix(MatrixId::Embedding, random.matrix(1, 1, format));
                twins.matrix(MatrixId::Block(0, Projection::Output), identity(width));
                let mut bench = Bench::new(network, twins.gpu, 1000);
                let capacity = bench.state.cache_capacity(0).unwrap();
                let cached = |v: f32| if format == Format::F16 { f16::from_f32(v).to_f32() } else { v };
                let mut random_rows = |size: f32| -> Vec<f32> {
                    random.values(capacity * kv_width).iter().map(|v| cached(size * v)).collect()
                };
                let (keys, values) = (random_rows(3.0), random_rows(1.0));
                let rows = keys.chunks(kv_width).zip(values.chunks(kv_width));
                let cache: Vec<_> = rows.flat_map(|(k, v)| k.iter().chain(v)).copied().collect();
                bench.state.write_cache(0, &cache).unwrap();
                for (start, batch) in [(0, 1), (5, 7), (0, 20), (37, 45), (290, 16), (850, 1), (860, 40)] {
                    // Of these the software tier refuses what is too long for such an adapter.
                    let seen = window.len().unwrap_or(usize::MAX).min(start + batch);
                    let is_refused = is_cut_short(&gpu) && seen * (2 * head_dim + 4) > 60_000;
                    // Round the ring, with one shape of heads, because it takes long to get there.
                    let is_slow = start > 500 && (window == Window::Full || !is_common);
                    if batch > bench.state.max_batch() || is_refused || is_slow {
                        continue;
                    }
                    bench.state.truncate(0);
                    bench.advance(start);
                    let query = random.values(batch * width).iter().map(|v| 3.0 * v).collect::<Vec<_>>();
                    bench.state.write_slot(Slot::Query, &query).unwrap();
                    bench.poison(Slot::Hidden, width);
                    let mut expected = vec![0.0; query.len()];
                    let heads_of = Heads { num_heads: heads, num_kv_heads: kv_heads, head_dim };
                    let span = Span { start, window, capacity, scale };
                    attention(heads_of, span, &query, &keys, &values, &mut expected);
                    let got = bench.run(batch, Slot::Hidden, width, true);
                    let what = format!(
                        "{window:?}, {heads}/{kv_heads} heads of {head_dim}, {batch} tokens after {start}, {format:?}, {:?}",
                        gpu.info().tier
                    );
                    assert_close(&what, &got, &expected, F32);
                }
            }
        }
    }
}

/// A norm of queries and keys, or none, with a rotation of its own, or none, and a factor of the queries, or none.
fn turns() -> Vec<(Option<QueryKeyNorm>, Option<usize>, Option<Temperature>)> {
    let temperature = Some(Temperature { floor_scale: 7.0, attention_scale: 0.4 });
    vec![
        (None, Some(0), temperature),
        (None, None, temperature),
        (Some(QueryKeyNorm::Heads), Some(1), None),
        (Some(QueryKeyNorm::Heads), None, None),
        (Some(QueryKeyNorm::Rows), Some(0), None),
        (Some(QueryKeyNorm::HeadsAfterRotation), Some(1), temperature),
    ]
}

/// Two rotations, of which the second turns half of each head, by more than a turn.
fn with_rotations(config: &mut Config) {
    let frequencies = &config.decoder.rotary[0].frequencies;
    let pairs = frequencies.len();
    let second = (0..pairs).map(|i| if i < pairs.div_ceil(2) { 0.7 * frequencies[i] } else { 0.0 });
    let second = Rotary { frequencies: second.collect(), attention_factor: 1.2, long: None };
    config.decoder.rotary.push(second);
}

#[test]
fn queries_and_keys_are_normed_rotated_and_cached() {
    for gpu in devices("queries_and_keys_are_normed_rotated_and_cached") {
        for (heads, kv_heads, head_dim) in HEADS {
            for (index, (norm, rotary, temperature)) in turns().into_iter().enumerate() {
                let window = if index % 2 == 0 { Window::Full } else { Window::Sliding(5) };
                let (format, cache_tolerance) =
                    if index % 3 == 0 { (Format::F32, F32) } else { (Format::F16, F16) };
                let shape = Shape { heads, kv_heads, head_dim, ..Shape::default() };
                let ops = vec![Op::RotateAndCache { block: 0, cache: 0, rotary, norm, temperature }];
                let mut network = network(shape, ops, |block| with_window(block, window));
                with_rotations(&mut network.config);
                let config = network.config.clone();
                let (query_width, kv_width) = (config.query_width(), config.kv_width());
                let by_rows = norm == Some(QueryKeyNorm::Rows);
                let mut random = Random::new(head_dim as u64);
                let query_norm = random.values(if by_rows { query_width } else { head_dim });
                let key_norm = random.values(if by_rows { kv_width } else { head_dim });
                let mut twins = Twins::new(&gpu, &network);
                // Only its format matters: it decides that of the cache.
                twins.matrix(MatrixId::Embedding, random.matrix(1, 1, format));
                twins.vector(VectorId::QueryNorm(0), query_norm.clone());
                twins.vector(VectorId::KeyNorm(0), key_norm.clone());
                let mut bench = Bench::new(network, twins.gpu, 1024);
                let capacity = bench.state.cache_capacity(0).unwrap();
                let spec = CacheSpec::KeyValue { window };
                let mut cache = Cache::new(spec, capacity, kv_width, config.hidden_size);
                let table = rotary.map(|index| rotary_table(&config.decoder.rotary[index], false, 1024));
                let turn = Turn {
                    heads: Heads { num_heads: heads, num_kv_heads: kv_heads, head_dim },
                    table: table.as_deref(),
                    norm,
                    query_norm: &query_norm,
                    key_norm: &key_norm,
                    eps: config.rms_norm_eps,
                    temperature,
                };
                // Round the ring at last.
                let mut position = 0;
                let mut sizes = batches(&bench.state);
                sizes.resize(
                    2 + capacity / bench.state.max_batch().min(200),
                    bench.state.max_batch().min(200),
                );
                for batch in sizes {
                    if position + batch > 1024 {
                        break;
                    }
                    let qkv = random.values(batch * config.qkv_width());
                    let mut qkv: Vec<_> = qkv.iter().map(|v| 3.0 * v).collect();
                    bench.state.write_slot(Slot::Qkv, &qkv).unwrap();
                    bench.poison(Slot::Query, query_width);
                    let mut query = vec![0.0; batch * query_width];
                    rotate_and_cache(&turn, position, &mut qkv, &mut query, &mut cache);
                    let got = bench.run(batch, Slot::Query, query_width, true);
                    let what = format!(
                        "{norm:?}, rotary {rotary:?}, {heads}/{kv_heads} heads of {head_dim}, {batch} tokens after \
                         {position}, {:?}",
                        gpu.info().tier
                    );
                    assert_close(&format!("{what}: queries"), &got, &query, F32);
                    let rows = block_on(bench.state.read_cache(0, capacity)).unwrap();
                    for at in position..position + batch {
                        let row = &rows[at % capacity * 2 * kv_width..][..2 * kv_width];
                        let expected = [cache.keys.row(at), cache.values.row(at)].concat();
                        assert_close(&format!("{what}: position {at}"), row, &expected, cache_tolerance);
                    }
                    position += batch;
                }
            }
        }
    }
}

/// Positions at which a division that is off by a bit would take another step.
#[test]
fn the_factor_of_queries_grows_at_whole_steps() {
    for gpu in devices("the_factor_of_queries_grows_at_whole_steps") {
        for floor_scale in [3.0, 7.0, 49.0, 10.5] {
            let factor = Temperature { floor_scale, attention_scale: 1.0 };
            let temperature = Some(factor);
            let ops = vec![Op::RotateAndCache { block: 0, cache: 0, rotary: None, norm: None, temperature }];
            let network = network(Shape::default(), ops, |_| {});
            let twins = Twins::new(&gpu, &network);
            let mut bench = Bench::new(network, twins.gpu, 1024);
            let most = bench.state.max_batch();
            bench.state.write_slot(Slot::Qkv, &vec![1.0; most * 24]).unwrap();
            let mut position = 0;
            while position + most <= 1024 {
                let got = bench.run(most, Slot::Query, 8, false);
                for (row, got) in got.chunks(8).enumerate() {
                    let expected = factor.at(position + row);
                    assert!((got[0] - expected).abs() < 1e-5, "{floor_scale}, {}: {got:?}", position + row);
                }
                position += most;
            }
        }
    }
}

#[test]
fn branches_are_normed_and_added() {
    for gpu in devices("branches_are_normed_and_added") {
        for hidden in [1, 31, 64, 640, 1600] {
            for scale in [1.0, 0.22] {
                let norm = VectorId::AttentionPostNorm(0);
                let ops = vec![Op::AddNormed { norm, input: Slot::Branch, scale }];
                let network = network(Shape { hidden, ..Shape::default() }, ops, |_| {});
                let mut random = Random::new(hidden as u64);
                let weight = random.values(hidden);
                let mut twins = Twins::new(&gpu, &network);
                twins.vector(norm, weight.clone());
                let mut bench = Bench::new(network, twins.gpu, 128);
                for batch in batches(&bench.state) {
                    let (branch, mut expected) =
                        (random.values(batch * hidden), random.values(batch * hidden));
                    bench.state.write_slot(Slot::Branch, &branch).unwrap();
                    bench.poison(Slot::Hidden, hidden);
                    bench.state.write_slot(Slot::Hidden, &expected).unwrap();
                    add_normed(&branch, &weight, 1e-5, scale, &mut Vec::new(), &mut expected);
                    let got = bench.run(batch, Slot::Hidden, hidden, true);
                    assert_close(&format!("{hidden} wide, {batch} tokens"), &got, &expected, F32);
                }
            }
        }
    }
}

#[test]
fn convolutions_reach_back_over_batches() {
    for gpu in devices("convolutions_reach_back_over_batches") {
        for (hidden, kernel_size) in [(1, 1), (31, 2), (64, 3), (45, 4), (640, 3)] {
            let ops = vec![Op::Convolve { block: 0, cache: 0 }];
            let network = network(Shape { hidden, ..Shape::default() }, ops, |block| {
                block.mixer = Mixer::ShortConvolution { kernel_size };
            });
            let mut random = Random::new(hidden as u64);
            let taps = random.values(hidden * kernel_size);
            let mut twins = Twins::new(&gpu, &network);
            twins.vector(VectorId::Convolution(0), taps.clone());
            let mut bench = Bench::new(network, twins.gpu, 4096);
            let capacity = bench.state.cache_capacity(0).unwrap();
            let mut ring = Ring::new(hidden, capacity);
            let most = bench.state.max_batch();
            // One, fewer than taps, few, many, and at last round the ring.
            let mut sizes = vec![1, 1, 2, 1, 7, 16, 1, most];
            sizes.extend(vec![most; capacity / most + 1]);
            sizes.extend([1, 3]);
            let mut position = 0;
            for batch in sizes {
                let input = random.values(batch * 3 * hidden);
                bench.state.write_slot(Slot::ConvolutionInput, &input).unwrap();
                bench.poison(Slot::Convolved, hidden);
                let mut expected = vec![0.0; batch * hidden];
                convolve(&taps, kernel_size, position, &input, &mut ring, &mut expected);
                let got = bench.run(batch, Slot::Convolved, hidden, true);
                let what = format!(
                    "{hidden} channels, {kernel_size} taps, {batch} tokens after {position}, {:?}",
                    gpu.info().tier
                );
                assert_close(&what, &got, &expected, F32);
                position += batch;
            }
        }
    }
}

#[test]
fn epilogues_scale_gate_and_bound() {
    for gpu in devices("epilogues_scale_gate_and_bound") {
        let (rows, cols) = (62, 45);
        let of = |epilogue, rows| Op::Project {
            norm: None,
            weight: MatrixId::Block(0, Projection::Down),
            bias: Some(VectorId::Bias(0, Projection::Down)),
            input: Slot::Gated,
            epilogue,
            rows,
        };
        let add = Epilogue::Add { slot: Slot::Hidden, scale: 0.22 };
        let gelu = Epilogue::Gated { slot: Slot::Hidden, activation: ActivationFunction::GeluTanh };
        for (epilogue, width) in [(add, rows), (gelu, rows / 2)] {
            let shape = Shape { hidden: width, ffn: cols, ..Shape::default() };
            let network = network(shape, vec![of(epilogue, Rows::All)], |_| {});
            let mut random = Random::new(3);
            let matrix = random.matrix(rows, cols, Format::F32);
            let bias = random.values(rows);
            let mut twins = Twins::new(&gpu, &network);
            twins.matrix(MatrixId::Block(0, Projection::Down), matrix.clone());
            twins.vector(VectorId::Bias(0, Projection::Down), bias.clone());
            let mut bench = Bench::new(network, twins.gpu, 128);
            for batch in batches(&bench.state) {
                // Far beyond where an exponential overflows, and where a gate is closed.
                let x: Vec<_> = random.values(batch * cols).iter().map(|v| v * v.abs() * 100.0).collect();
                bench.state.write_slot(Slot::Gated, &x).unwrap();
                let residual = random.values(batch * width);
                bench.state.write_slot(Slot::Hidden, &residual).unwrap();
                let mut sums = products(&matrix, &x);
                sums.chunks_mut(rows).for_each(|row| row.iter_mut().zip(&bias).for_each(|(a, b)| *a += b));
                let expected = if let Epilogue::Add { scale, .. } = epilogue {
                    residual.iter().zip(&sums).map(|(r, p)| r + scale * p).collect()
                } else {
                    let mut out = vec![0.0; batch * width];
                    gated(ActivationFunction::GeluTanh, &sums, &mut out);
                    out
                };
                let got = bench.run(batch, Slot::Hidden, width, false);
                assert_close(&format!("{epilogue:?}, {batch} tokens"), &got, &expected, F32);
            }
        }
    }
}

#[test]
fn logits_are_scaled_and_bounded() {
    for gpu in devices("logits_are_scaled_and_bounded") {
        let (vocab, hidden) = (97, 45);
        for (scale, softcap) in [(1.0 / 6.0, None), (1.0, Some(30.0)), (0.5, Some(2.0))] {
            let head = Op::Project {
                norm: None,
                weight: MatrixId::Embedding,
                bias: None,
                input: Slot::Hidden,
                epilogue: Epilogue::Logits { scale, softcap },
                rows: Rows::Wanted,
            };
            let embedding_scale = 12.25;
            let shape = Shape { hidden, vocab, ..Shape::default() };
            let network = network(shape, vec![Op::Embed { scale: embedding_scale }, head], |_| {});
            let mut random = Random::new(5);
            let matrix = random.matrix(vocab, hidden, Format::F32);
            let mut twins = Twins::new(&gpu, &network);
            twins.matrix(MatrixId::Embedding, matrix.clone());
            let mut bench = Bench::new(network, twins.gpu, 128);
            for batch in batches(&bench.state) {
                let tokens: Vec<_> = (0..batch).map(|_| random.token(vocab)).collect();
                let mut x = vec![0.0; batch * hidden];
                for (token, row) in tokens.iter().zip(x.chunks_mut(hidden)) {
                    matrix.dequantize_row(*token as usize, row);
                    for v in row.iter_mut() {
                        *v *= embedding_scale;
                    }
                }
                let mut expected = products(&matrix, &x);
                finish_logits(scale, softcap, &mut expected);
                let all = mobilellm::backend::Wanted::All;
                let got = block_on(bench.state.forward(&tokens, all)).unwrap();
                let what = format!("{scale}, {softcap:?}, {batch} tokens, {:?}", gpu.info().tier);
                assert_close(&what, &got, &expected, F32);
            }
        }
    }
}
