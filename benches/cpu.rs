//! The CPU kernels at the shapes of the MobileLLM family: `cargo bench --bench cpu`, or `cargo bench --bench cpu -- matmul/125m`.
//!
//! With `RAYON_NUM_THREADS=1` it measures one core.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mobilellm::backend::cpu::attention::{Heads, Span, attention};
use mobilellm::backend::cpu::gated::gated;
use mobilellm::backend::cpu::int8::{self, Activations, Panels};
use mobilellm::backend::cpu::{matmul, rms_norm};
use mobilellm::model::decoder::{ActivationFunction, Window};
use mobilellm::model::matrix::{Affine, Format, Matrix, ScaleFormat};

/// Name, width, heads, key/value heads, feed-forward width.
const FAMILY: [(&str, usize, usize, usize, usize); 3] =
    [("125m", 576, 9, 3, 1536), ("350m", 960, 15, 5, 2560), ("1.5b", 1600, 25, 5, 4352)];

/// One token, the check of a guess, a piece of a prompt.
const BATCHES: [usize; 3] = [1, 8, 64];

const HEAD_DIM: usize = 64;

fn affine(bits: u32) -> Format {
    Format::Affine(Affine { bits, group_size: 64, scales: ScaleFormat::F32 })
}

/// A matrix with any values, because the values do not change the time.
fn matrix(rows: usize, cols: usize, format: Format) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols, format);
    for (i, word) in matrix.words.iter_mut().enumerate() {
        // Read as f16 or as integers, this is a small normal number.
        *word = 0x2e66_2e66 ^ (i as u32 & 0xff);
    }
    matrix.scales.fill(0.01f32.to_bits());
    matrix
}

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("matmul");
    for (model, hidden, heads, kv_heads, ffn) in FAMILY {
        let matrices = [
            ("qkv", (heads + 2 * kv_heads) * HEAD_DIM, hidden),
            ("gate_up", 2 * ffn, hidden),
            ("down", hidden, ffn),
            ("head", 32000, hidden),
        ];
        for (name, rows, cols) in matrices {
            // Only the last row of a prompt needs logits.
            for batch in BATCHES.into_iter().filter(|batch| name != "head" || *batch < 64) {
                let x = vec![0.5; batch * cols];
                let mut out = vec![0.0; batch * rows];
                group.throughput(Throughput::Elements((rows * cols * batch) as u64));
                for bits in [4, 8] {
                    let Some(weight) = Panels::new(&matrix(rows, cols, affine(bits))) else { continue };
                    let mut rounded = Activations::default();
                    group.bench_function(BenchmarkId::new(format!("{model}/{name}/q{bits}"), batch), |b| {
                        b.iter(|| {
                            rounded.round(&x, &weight);
                            int8::matmul(&weight, rows, &rounded, &mut out);
                        });
                    });
                }
                // Only small models use floats.
                if model == "125m" && batch < 64 {
                    let weight = matrix(rows, cols, Format::F16);
                    group.bench_function(BenchmarkId::new(format!("{model}/{name}/f16"), batch), |b| {
                        b.iter(|| matmul::matmul(&weight, 0..rows, &x, &mut out));
                    });
                }
            }
        }
    }
    group.finish();
}

fn attend(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    for (model, _, num_heads, num_kv_heads, _) in FAMILY {
        let heads = Heads { num_heads, num_kv_heads, head_dim: HEAD_DIM };
        for (batch, positions) in [(1, 128), (1, 1024), (64, 512)] {
            let cache = vec![0.1; positions * num_kv_heads * HEAD_DIM];
            let query = vec![0.2; batch * num_heads * HEAD_DIM];
            let mut out = vec![0.0; query.len()];
            let span =
                Span { start: positions - batch, window: Window::Full, capacity: positions, scale: 0.125 };
            group.bench_function(BenchmarkId::new(format!("{model}/{batch}"), positions), |b| {
                b.iter(|| attention(heads, span, &query, &cache, &cache, &mut out));
            });
        }
    }
    group.finish();
}

fn rows(c: &mut Criterion) {
    let mut group = c.benchmark_group("rows");
    for (model, hidden, _, _, ffn) in FAMILY {
        let (x, weight) = (vec![0.5; hidden], vec![1.0; hidden]);
        let mut out = vec![0.0; hidden];
        group.bench_function(BenchmarkId::new("rms_norm", model), |b| {
            b.iter(|| rms_norm::rms_norm(&x, &weight, 1e-5, &mut out));
        });
        let pairs = vec![0.5; 2 * ffn];
        let mut out = vec![0.0; ffn];
        group.bench_function(BenchmarkId::new("gated", model), |b| {
            b.iter(|| gated(ActivationFunction::Silu, &pairs, &mut out));
        });
    }
    group.finish();
}

/// Many short measurements per benchmark, so that all of them together take a few minutes.
fn settings() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
}

criterion_group! {
    name = benches;
    config = settings();
    targets = products, attend, rows
}
criterion_main!(benches);
