//! The CPU kernels at the shapes of MobileLLM-125M: `cargo bench --bench cpu`.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mobilellm::cpu::attention::{Heads, attention};
use mobilellm::cpu::{int8, matmul, rms_norm};
use mobilellm::matrix::{Affine, Format, Matrix, ScaleFormat};

fn affine(bits: u32) -> Format {
    Format::Affine(Affine { bits, group_size: 64, scales: ScaleFormat::F32 })
}

/// A matrix of some values; which ones does not change the time.
fn matrix(rows: usize, cols: usize, format: Format) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols, format);
    for (i, word) in matrix.words.iter_mut().enumerate() {
        // As f16 or integers this is a small ordinary number.
        *word = 0x2e66_2e66 ^ (i as u32 & 0xff);
    }
    matrix.scales.fill(0.01f32.to_bits());
    matrix
}

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("matmul");
    for (name, rows, cols) in [("qkv", 960, 576), ("down", 576, 1536), ("head", 32000, 576)] {
        for batch in [1, 32] {
            if batch > 1 && name == "head" {
                continue;
            }
            let x = vec![0.5; batch * cols];
            let mut out = vec![0.0; batch * rows];
            group.throughput(Throughput::Elements((rows * cols * batch) as u64));
            for bits in [4, 8] {
                let weight = matrix(rows, cols, affine(bits));
                let Some(kind) = int8::affine_of(&weight) else { continue };
                group.bench_function(BenchmarkId::new(format!("{name}/q{bits}"), batch), |b| {
                    b.iter(|| {
                        let x = int8::Activations::new(&x, cols, kind);
                        int8::matmul(&weight, kind, 0..rows, &x, &mut out);
                    });
                });
            }
            let weight = matrix(rows, cols, Format::F16);
            group.bench_function(BenchmarkId::new(format!("{name}/f16"), batch), |b| {
                b.iter(|| matmul::matmul(&weight, 0..rows, &x, &mut out));
            });
        }
    }
    group.finish();
}

fn attend(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    let heads = Heads { num_heads: 9, num_kv_heads: 3, head_dim: 64 };
    for positions in [128, 1024] {
        let cache = vec![0.1; positions * 3 * 64];
        let query = vec![0.2; 9 * 64];
        let mut out = vec![0.0; 9 * 64];
        group.bench_function(BenchmarkId::new("decode", positions), |b| {
            b.iter(|| attention(heads, positions - 1, &query, &cache, &cache, &mut out));
        });
    }
    group.finish();
}

fn norm(c: &mut Criterion) {
    let (x, weight) = (vec![0.5; 576], vec![1.0; 576]);
    let mut out = vec![0.0; 576];
    c.bench_function("rms_norm/576", |b| b.iter(|| rms_norm::rms_norm(&x, &weight, 1e-5, &mut out)));
}

criterion_group!(benches, products, attend, norm);
criterion_main!(benches);
