//! Each shader against its CPU twin, on shapes that no tile divides, in every weight format and on every tier;
//! then whole networks, GPU against CPU.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod beyond_llama;
#[path = "../common/decoders.rs"]
mod decoders;
mod families;
mod network;
mod sample;
mod support;

use half::{bf16, f16};
use mobilellm::backend::cpu::attention::{Heads, Span, attention};
use mobilellm::backend::cpu::embed::embed;
use mobilellm::backend::cpu::gated::gated;
use mobilellm::backend::cpu::matmul::{add, add_bias, matmul};
use mobilellm::backend::cpu::rms_norm::rms_norm;
use mobilellm::backend::cpu::rotary::{rotary, rotary_table};
use mobilellm::backend::gpu::{Gpu, GpuState, Tier};
use mobilellm::model::decoder::{ActivationFunction, Window};
use mobilellm::model::matrix::{Format, Matrix};
use mobilellm::model::network::{Epilogue, MatrixId, Op, Projection, Rows, Slot, VectorId};

use support::{Bench, Random, Shape, Twins, assert_close, devices, devices_both_ways, formats, project};

/// f32 sums in another order.
const F32: f32 = 2e-5;
/// A value that went through an f16 cache.
const F16: f32 = 2e-3;

/// Products in f16, whose sums leave it every 32 columns.
const HALVES: f32 = 4e-3;

/// Activations rounded to a 127th of the largest of eight.
const INT8: f32 = 1.5e-2;
/// The same, compared with products of what they are rounded to: all but what lies between two integers, to the last bits
/// of a division.
const ROUNDED: f32 = 1e-3;

/// Batches that are one token, few, and more than a tile.
const BATCHES: [usize; 4] = [1, 7, 16, 45];

fn batches(state: &GpuState) -> Vec<usize> {
    let most = state.max_batch();
    BATCHES.into_iter().filter(|batch| *batch <= most).collect()
}

/// What a projection of such a batch may be off by.
fn tolerance(gpu: &Gpu, state: &GpuState, batch: usize, format: Format) -> f32 {
    let info = gpu.info();
    match format {
        _ if batch <= state.exact_rows() => F32,
        Format::Affine(_) if info.int8_tiles => INT8,
        Format::F16 | Format::Bf16 | Format::Affine(_) if info.tier == Tier::F16 => HALVES,
        _ => F32,
    }
}

/// Rows of `weight` times rows of `x`.
fn products(weight: &Matrix, x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len() / weight.cols * weight.rows];
    matmul(weight, 0..weight.rows, x, &mut out);
    out
}

/// Activations as the tiles of integers round them: eight by eight, to steps of 16 bits.
fn rounded(x: &[f32]) -> Vec<f32> {
    let group = |x: &[f32]| -> Vec<f32> {
        let step = step(x);
        x.iter().map(|v| (v / step).round_ties_even() * step).collect()
    };
    x.chunks(8).flat_map(group).collect()
}

/// A 127th of the largest, rounded up to the upper half of its bits.
fn step(x: &[f32]) -> f32 {
    let largest = x.iter().fold(0.0f32, |a, v| a.max(v.abs()));
    f32::from_bits(((largest / 127.0).to_bits() + 0xffff) & 0xffff_0000)
}

#[test]
fn matmul_in_every_format() {
    for gpu in devices_both_ways("matmul_in_every_format") {
        for (rows, cols) in
            [(1, 1), (7, 31), (33, 64), (64, 33), (31, 172), (172, 576), (576, 1536), (10, 4352)]
        {
            for format in formats(cols) {
                let shape = Shape { hidden: rows, ffn: cols, ..Shape::default() };
                let network = shape.network(vec![project(
                    Projection::Down,
                    Slot::Gated,
                    Epilogue::Write(Slot::Hidden),
                )]);
                let mut random = Random::new(rows as u64);
                let matrix = random.matrix(rows, cols, format);
                let mut twins = Twins::new(&gpu, &network);
                twins.matrix(MatrixId::Block(0, Projection::Down), matrix.clone());
                let mut bench = Bench::new(network, twins.gpu, 128);
                for batch in batches(&bench.state) {
                    let x = random.values(batch * cols);
                    bench.state.write_slot(Slot::Gated, &x).unwrap();
                    bench.poison(Slot::Hidden, rows);
                    let got = bench.run(batch, Slot::Hidden, rows, true);
                    let what = format!(
                        "{rows} x {cols} {format:?}, {batch} tokens, {:?}, integers: {}",
                        gpu.info().tier,
                        gpu.info().int8_tiles
                    );
                    let tolerance = tolerance(&gpu, &bench.state, batch, format);
                    assert_close(&what, &got, &products(&matrix, &x), tolerance);
                    if tolerance == INT8 {
                        assert_close(&what, &got, &products(&matrix, &rounded(&x)), ROUNDED);
                    }
                }
            }
        }
    }
}

/// What every trained network has: an activation of thousands among tenths, and weights around zero whose stored integers lie
/// far from it. The others must come out as if it were not there.
#[test]
fn an_outlier_leaves_the_other_activations_what_they_are() {
    for gpu in devices_both_ways("an_outlier_leaves_the_other_activations_what_they_are") {
        let (rows, cols, outlier) = (70, 256, 21);
        for format in formats(cols) {
            let Format::Affine(affine) = format else { continue };
            let shape = Shape { hidden: rows, ffn: cols, ..Shape::default() };
            let network =
                shape.network(vec![project(Projection::Down, Slot::Gated, Epilogue::Write(Slot::Hidden))]);
            let mut random = Random::new(31);
            let matrix = random.far_from_zero(rows, cols, affine, outlier);
            let mut twins = Twins::new(&gpu, &network);
            twins.matrix(MatrixId::Block(0, Projection::Down), matrix.clone());
            let mut bench = Bench::new(network, twins.gpu, 256);
            for batch in batches(&bench.state) {
                let mut x: Vec<_> = random.values(batch * cols).iter().map(|x| x / 10.0).collect();
                x.chunks_mut(cols).for_each(|x| x[outlier] = 3000.0);
                bench.state.write_slot(Slot::Gated, &x).unwrap();
                let got = bench.run(batch, Slot::Hidden, rows, false);
                let info = gpu.info();
                let what =
                    format!("{format:?}, {batch} tokens, {:?}, integers: {}", info.tier, info.int8_tiles);
                let many = batch > bench.state.exact_rows();
                let expected = products(&matrix, &x);
                for (token, (got, expected)) in got.chunks(rows).zip(expected.chunks(rows)).enumerate() {
                    let x = &x[token * cols..][..cols];
                    for (row, (got, expected)) in got.iter().zip(expected).enumerate() {
                        let off = (got - expected).abs();
                        let bound = rounding_bound(
                            &matrix,
                            row,
                            x,
                            many && info.int8_tiles,
                            many && info.tier == Tier::F16,
                        );
                        assert!(
                            off <= bound,
                            "{what}, row {row}: {got}, not {expected}, which is off by more than {bound}"
                        );
                    }
                }
            }
        }
    }
}

/// What rounding activations may do to a product at most. As integers each is off by half a step of its eight columns,
/// a 127th of the largest, and by no more than itself; as halves by 2^-11 of its product, and of the sums of eight.
fn rounding_bound(matrix: &Matrix, row: usize, x: &[f32], integers: bool, halves: bool) -> f32 {
    let mut weights = vec![0.0; x.len()];
    matrix.dequantize_row(row, &mut weights);
    let (mut bound, mut sizes) = (0.0, 0.0);
    for (weights, x) in weights.chunks(8).zip(x.chunks(8)) {
        let half_step = step(x) / 2.0;
        for (w, x) in weights.iter().zip(x) {
            bound += if integers { 1.01 * w.abs() * half_step.min(x.abs()) } else { 0.0 };
            bound += if halves { w.abs() * x.abs() / 128.0 } else { 0.0 };
            sizes += x.abs();
        }
    }
    // In f32, where the stored integers, up to 255 64ths, meet the activations.
    bound + 4e-7 * 4.0 * sizes
}

/// What no trained network computes, but a hostile checkpoint may: far beyond the range of f16, and far below it.
const SIZES: [f32; 5] = [1e4, 1e30, 1e-4, 1e-30, 0.0];

#[test]
fn matmul_of_any_size() {
    for gpu in devices_both_ways("matmul_of_any_size") {
        let (rows, cols) = (70, 256);
        for format in formats(cols) {
            let shape = Shape { hidden: rows, ffn: cols, ..Shape::default() };
            let network =
                shape.network(vec![project(Projection::Down, Slot::Gated, Epilogue::Write(Slot::Hidden))]);
            let mut random = Random::new(19);
            let matrix = random.matrix(rows, cols, format);
            let mut twins = Twins::new(&gpu, &network);
            twins.matrix(MatrixId::Block(0, Projection::Down), matrix.clone());
            let mut bench = Bench::new(network, twins.gpu, 256);
            let batch = bench.state.max_batch().min(45);
            for size in SIZES {
                // The largest among small ones, the rest all as large, and rows of one sign, which add up.
                let mut x = random.values(batch * cols);
                for (token, x) in x.chunks_mut(cols).enumerate() {
                    match token % 3 {
                        0 => x[token % cols] = size,
                        1 => x.iter_mut().for_each(|x| *x *= size),
                        _ => x.iter_mut().for_each(|x| *x = x.abs() * size),
                    }
                }
                bench.state.write_slot(Slot::Gated, &x).unwrap();
                let got = bench.run(batch, Slot::Hidden, rows, false);
                let expected = products(&matrix, &x);
                let tolerance = tolerance(&gpu, &bench.state, batch, format);
                // Row by row: the largest value of one must not hide another's.
                for (token, (got, expected)) in got.chunks(rows).zip(expected.chunks(rows)).enumerate() {
                    let (tier, integers) = (gpu.info().tier, gpu.info().int8_tiles);
                    let what = format!("{format:?}, {size}, token {token}, {tier:?}, integers: {integers}");
                    let largest = expected.iter().fold(1e-35f32, |a, v| a.max(v.abs()));
                    let unit = |values: &[f32]| -> Vec<_> { values.iter().map(|v| v / largest).collect() };
                    assert_close(&what, &unit(got), &unit(expected), 2.0 * tolerance);
                }
            }
        }
    }
}

#[test]
fn f16_tiles_take_weights_of_any_size() {
    for gpu in devices("f16_tiles_take_weights_of_any_size") {
        let (rows, cols) = (70, 256);
        for (size, format) in
            [(3e4, Format::F16), (1e-4, Format::F16), (1e20, Format::Bf16), (1e-20, Format::Bf16)]
        {
            let shape = Shape { hidden: rows, ffn: cols, ..Shape::default() };
            let network =
                shape.network(vec![project(Projection::Down, Slot::Gated, Epilogue::Write(Slot::Hidden))]);
            let mut random = Random::new(23);
            let mut matrix = Matrix::zeros(rows, cols, format);
            matrix.words.fill_with(|| {
                let mut bits = || match format {
                    Format::F16 => f16::from_f32(random.value() * size).to_bits(),
                    _ => bf16::from_f32(random.value() * size).to_bits(),
                };
                u32::from(bits()) | u32::from(bits()) << 16
            });
            let mut twins = Twins::new(&gpu, &network);
            twins.matrix(MatrixId::Block(0, Projection::Down), matrix.clone());
            let mut bench = Bench::new(network, twins.gpu, 128);
            let batch = bench.state.max_batch().min(45);
            let x = random.values(batch * cols);
            bench.state.write_slot(Slot::Gated, &x).unwrap();
            let got = bench.run(batch, Slot::Hidden, rows, false);
            let unit = |values: &[f32]| -> Vec<_> { values.iter().map(|v| v / size).collect() };
            let tolerance = tolerance(&gpu, &bench.state, batch, format);
            assert_close(
                &format!("{format:?} of {size}"),
                &unit(&got),
                &unit(&products(&matrix, &x)),
                tolerance,
            );
        }
    }
}

#[test]
fn matmul_adds_to_the_residual_and_has_a_bias() {
    for gpu in devices("matmul_adds_to_the_residual_and_has_a_bias") {
        let (rows, cols) = (45, 61);
        let network = Shape { hidden: rows, ffn: cols, ..Shape::default() }.network(vec![Op::Project {
            norm: None,
            weight: MatrixId::Block(0, Projection::Down),
            bias: Some(VectorId::Bias(0, Projection::Down)),
            input: Slot::Gated,
            epilogue: Epilogue::Add { slot: Slot::Hidden, scale: 1.0 },
            rows: Rows::All,
        }]);
        let mut random = Random::new(2);
        let matrix = random.matrix(rows, cols, Format::F32);
        let bias = random.values(rows);
        let mut twins = Twins::new(&gpu, &network);
        twins.matrix(MatrixId::Block(0, Projection::Down), matrix.clone());
        twins.vector(VectorId::Bias(0, Projection::Down), bias.clone());
        let mut bench = Bench::new(network, twins.gpu, 128);
        for batch in batches(&bench.state) {
            let (x, residual) = (random.values(batch * cols), random.values(batch * rows));
            bench.state.write_slot(Slot::Gated, &x).unwrap();
            bench.state.write_slot(Slot::Hidden, &residual).unwrap();
            let mut expected = products(&matrix, &x);
            add_bias(&bias, &mut expected);
            add(&residual, &mut expected);
            let got = bench.run(batch, Slot::Hidden, rows, false);
            assert_close(&format!("{batch} tokens"), &got, &expected, F32);
        }
    }
}

#[test]
fn swiglu_after_a_norm() {
    for gpu in devices("swiglu_after_a_norm") {
        for (hidden, ffn) in [(1, 1), (31, 7), (45, 61), (64, 172), (576, 33), (1600, 32)] {
            let network = Shape { hidden, ffn, ..Shape::default() }.network(vec![Op::Project {
                norm: Some(VectorId::FeedForwardNorm(0)),
                weight: MatrixId::Block(0, Projection::GateUp),
                bias: None,
                input: Slot::Hidden,
                epilogue: Epilogue::Gated { slot: Slot::Gated, activation: ActivationFunction::Silu },
                rows: Rows::All,
            }]);
            let mut random = Random::new(hidden as u64);
            let matrix = random.matrix(2 * ffn, hidden, Format::F16);
            let norm = random.values(hidden);
            let mut twins = Twins::new(&gpu, &network);
            twins.matrix(MatrixId::Block(0, Projection::GateUp), matrix.clone());
            twins.vector(VectorId::FeedForwardNorm(0), norm.clone());
            let mut bench = Bench::new(network, twins.gpu, 128);
            for batch in batches(&bench.state) {
                let x = random.values(batch * hidden);
                bench.state.write_slot(Slot::Hidden, &x).unwrap();
                bench.poison(Slot::Gated, ffn);
                let mut normed = vec![0.0; x.len()];
                rms_norm(&x, &norm, 1e-5, &mut normed);
                let mut expected = vec![0.0; batch * ffn];
                gated(ActivationFunction::Silu, &products(&matrix, &normed), &mut expected);
                let got = bench.run(batch, Slot::Gated, ffn, true);
                let tolerance = tolerance(&gpu, &bench.state, batch, Format::F16);
                assert_close(&format!("{hidden} to {ffn}, {batch} tokens"), &got, &expected, tolerance);
            }
        }
    }
}

#[test]
fn embed_looks_up_every_format() {
    for gpu in devices("embed_looks_up_every_format") {
        for (vocab, hidden) in [(1, 1), (97, 45), (511, 64), (33, 576)] {
            for format in formats(hidden) {
                let network =
                    Shape { hidden, vocab, ..Shape::default() }.network(vec![Op::Embed { scale: 1.0 }]);
                let matrix = Random::new(3).matrix(vocab, hidden, format);
                let mut twins = Twins::new(&gpu, &network);
                twins.matrix(MatrixId::Embedding, matrix.clone());
                let mut bench = Bench::new(network, twins.gpu, 128);
                for batch in batches(&bench.state) {
                    bench.poison(Slot::Hidden, hidden);
                    let got = bench.run(batch, Slot::Hidden, hidden, true);
                    let mut random = Random::new(7);
                    let tokens: Vec<_> = (0..batch).map(|_| random.token(vocab)).collect();
                    let mut expected = vec![0.0; batch * hidden];
                    embed(&tokens, &matrix.clone().into(), 1.0, &mut expected);
                    assert_close(&format!("{vocab} x {hidden} {format:?}"), &got, &expected, F32);
                }
            }
        }
    }
}

/// Heads that are shared by 1, 3 and all queries; widths that quads divide and that they do not.
const HEADS: [(usize, usize, usize); 7] =
    [(1, 1, 2), (9, 3, 64), (5, 1, 10), (3, 3, 20), (4, 2, 8), (2, 1, 128), (6, 2, 80)];

#[test]
fn rotary_and_cache_append() {
    for gpu in devices("rotary_and_cache_append") {
        for (heads, kv_heads, head_dim) in HEADS {
            for (format, cache_tolerance) in [(Format::F32, F32), (Format::F16, F16)] {
                let shape = Shape { hidden: 45, heads, kv_heads, head_dim, ..Shape::default() };
                let network = shape.network(vec![project(
                    Projection::Qkv,
                    Slot::Hidden,
                    Epilogue::RotateAndCache { cache: 0, rotary: Some(0) },
                )]);
                let config = network.config.clone();
                let mut random = Random::new(head_dim as u64);
                let matrix = random.matrix(config.qkv_width(), 45, format);
                let mut twins = Twins::new(&gpu, &network);
                twins.matrix(MatrixId::Block(0, Projection::Qkv), matrix.clone());
                let mut bench = Bench::new(network, twins.gpu, 128);
                let table = rotary_table(&config.decoder.rotary[0], false, 128);
                let (query_width, key_end) = (config.query_width(), config.query_width() + config.kv_width());
                let mut position = 0;
                for batch in batches(&bench.state) {
                    let x = random.values(batch * 45);
                    bench.state.write_slot(Slot::Hidden, &x).unwrap();
                    bench.poison(Slot::Query, query_width);
                    let mut expected = products(&matrix, &x);
                    for row in expected.chunks_mut(config.qkv_width()) {
                        rotary(&mut row[..key_end], &table[position * head_dim / 2..][..head_dim / 2]);
                        position += 1;
                    }
                    let rows = || expected.chunks(config.qkv_width());
                    let queries: Vec<_> = rows().flat_map(|row| &row[..query_width]).copied().collect();
                    let cached: Vec<_> = rows().flat_map(|row| &row[query_width..]).copied().collect();
                    let got = bench.run(batch, Slot::Query, query_width, true);
                    let what = format!("{heads}/{kv_heads} heads of {head_dim}, {batch} tokens");
                    let tolerance = tolerance(&gpu, &bench.state, batch, format);
                    assert_close(&format!("{what}: queries"), &got, &queries, tolerance);
                    let cache = pollster::block_on(bench.state.read_cache(0, 128)).unwrap();
                    let width = 2 * config.kv_width();
                    let written = &cache[(position - batch) * width..position * width];
                    assert_close(&format!("{what}: cache"), written, &cached, cache_tolerance.max(tolerance));
                    assert!(cache[position * width..].iter().all(|v| *v == 0.0), "{what}: beyond the batch");
                }
            }
        }
    }
}

#[test]
fn rotary_of_queries_alone() {
    for gpu in devices("rotary_of_queries_alone") {
        let shape = Shape { hidden: 64, heads: 3, kv_heads: 1, head_dim: 10, ..Shape::default() };
        let network =
            shape.network(vec![project(Projection::Qkv, Slot::Hidden, Epilogue::Rotate { rotary: Some(0) })]);
        let config = network.config.clone();
        let mut random = Random::new(5);
        let matrix = random.matrix(config.qkv_width(), 64, Format::F32);
        let mut twins = Twins::new(&gpu, &network);
        twins.matrix(MatrixId::Block(0, Projection::Qkv), matrix.clone());
        let mut bench = Bench::new(network, twins.gpu, 128);
        let table = rotary_table(&config.decoder.rotary[0], false, 128);
        let mut position = 0;
        for batch in batches(&bench.state) {
            let x = random.values(batch * 64);
            bench.state.write_slot(Slot::Hidden, &x).unwrap();
            bench.poison(Slot::Query, 30);
            let mut expected = vec![0.0; batch * 30];
            matmul(&matrix, 0..30, &x, &mut expected);
            for row in expected.chunks_mut(30) {
                rotary(row, &table[position * 5..][..5]);
                position += 1;
            }
            let got = bench.run(batch, Slot::Query, 30, true);
            assert_close(&format!("{batch} tokens"), &got, &expected, F32);
        }
    }
}

/// More than every split of the positions has a tile of.
const POSITIONS: usize = 2112;

/// Long contexts are refused there, which `network::contexts_longer_than_loops_run_are_refused` checks.
fn is_cut_short(gpu: &Gpu) -> bool {
    gpu.info().tier == Tier::Software && gpu.info().short_loops
}

fn identity(width: usize) -> Matrix {
    let mut matrix = Matrix::zeros(width, width, Format::F32);
    for (row, words) in matrix.words.chunks_mut(Format::F32.row_words(width)).enumerate() {
        words[row] = 1.0f32.to_bits();
    }
    matrix
}

#[test]
fn attention_reads_the_cache() {
    for gpu in devices("attention_reads_the_cache") {
        for (heads, kv_heads, head_dim) in HEADS {
            for format in [Format::F32, Format::F16] {
                let width = heads * head_dim;
                // What attention leaves may be in parts, for the projection after it to combine: one that changes nothing.
                let shape = Shape { hidden: width, heads, kv_heads, head_dim, ..Shape::default() };
                let after = project(Projection::Output, Slot::Context, Epilogue::Write(Slot::Hidden));
                let network = shape
                    .network(vec![Op::Attend { cache: 0, scale: 1.0 / (head_dim as f32).sqrt() }, after]);
                let kv_width = kv_heads * head_dim;
                let mut random = Random::new(head_dim as u64);
                let mut twins = Twins::new(&gpu, &network);
                // Only its format matters: it decides that of the cache.
                twins.matrix(MatrixId::Embedding, random.matrix(1, 1, format));
                twins.matrix(MatrixId::Block(0, Projection::Output), identity(width));
                let mut bench = Bench::new(network, twins.gpu, POSITIONS);
                // As they come out of the cache: the twin has none of f16.
                let cached = |v: f32| if format == Format::F16 { f16::from_f32(v).to_f32() } else { v };
                let mut random_rows = |scale: f32| -> Vec<f32> {
                    random.values(POSITIONS * kv_width).iter().map(|v| cached(scale * v)).collect()
                };
                let (keys, values) = (random_rows(3.0), random_rows(1.0));
                let rows = keys.chunks(kv_width).zip(values.chunks(kv_width));
                let cache: Vec<_> = rows.flat_map(|(k, v)| k.iter().chain(v)).copied().collect();
                bench.state.write_cache(0, &cache).unwrap();
                for (start, batch) in [
                    (0, 1),
                    (0, 7),
                    (5, 16),
                    (33, 7),
                    (64, 1),
                    (255, 1),
                    (283, 16),
                    (0, 100),
                    (77, 33),
                    (2100, 3),
                ] {
                    let is_long = start > 500;
                    // Two shapes of heads are enough for what takes so long.
                    if batch > bench.state.max_batch()
                        || (is_long && (is_cut_short(&gpu) || ![10, 64].contains(&head_dim)))
                    {
                        continue;
                    }
                    bench.state.truncate(0);
                    bench.advance(start);
                    let query = random.values(batch * width).iter().map(|v| 3.0 * v).collect::<Vec<_>>();
                    bench.state.write_slot(Slot::Query, &query).unwrap();
                    bench.poison(Slot::Hidden, width);
                    let mut expected = vec![0.0; query.len()];
                    let shape = Heads { num_heads: heads, num_kv_heads: kv_heads, head_dim };
                    let span = Span {
                        start,
                        window: Window::Full,
                        capacity: POSITIONS,
                        scale: 1.0 / (head_dim as f32).sqrt(),
                    };
                    let end = (start + batch) * kv_width;
                    attention(shape, span, &query, &keys[..end], &values[..end], &mut expected);
                    let got = bench.run(batch, Slot::Hidden, width, true);
                    let what = format!(
                        "{heads}/{kv_heads} heads of {head_dim}, {batch} tokens after {start}, {format:?}, {:?}",
                        gpu.info().tier
                    );
                    assert_close(&what, &got, &expected, F32);
                }
            }
        }
    }
}
