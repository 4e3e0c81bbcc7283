//! Whether a device computes what the CPU does: a tiny network through every kernel of its tier.
//!
//! Drivers miscompile shaders; users then see gibberish and no error. This takes a few milliseconds at opening.

mod beyond_llama;

use std::rc::Rc;

use super::device::Gpu;
use super::plan::Plan;
use super::state::GpuState;
use super::weights::GpuWeights;
use crate::backend::cpu;
use crate::backend::{Products, Wanted, WeightSink};
use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::matrix::{Affine, Format, Matrix, ScaleFormat};
use crate::model::network::{MatrixId, Network, Projection, VectorId};

/// Small, and with nothing that tiles divide but what quantisation groups demand.
const CONFIG: &str = r#"{"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
    "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 37}"#;

/// More tokens than decode's kernels take at once, so that those of prefill are tested too.
const TOKENS: [u32; 19] = [1, 36, 0, 17, 9, 5, 30, 2, 11, 8, 23, 4, 19, 35, 6, 28, 14, 3, 21];

/// Those that come one by one.
const DECODED: usize = 4;

/// Keys and values pass through f16; what drivers get wrong is off by far more.
const TOLERANCE: f32 = 0.02;

/// Between them, every weight decoder.
fn format(id: MatrixId) -> Format {
    let affine = |bits, scales| Format::Affine(Affine { bits, group_size: 32, scales });
    match id {
        MatrixId::Embedding | MatrixId::Head => Format::F32,
        MatrixId::Block(_, Projection::Qkv) => affine(4, ScaleFormat::F16),
        MatrixId::Block(_, Projection::Output | Projection::ConvolutionIn | Projection::ConvolutionOut) => {
            Format::F16
        }
        MatrixId::Block(_, Projection::GateUp) => affine(8, ScaleFormat::Bf16),
        MatrixId::Block(_, Projection::Down) => Format::Bf16,
    }
}

/// Runs the network on both backends and compares.
pub(super) async fn self_test(gpu: &Gpu) -> Result<()> {
    llama(gpu).await?;
    beyond_llama::test(gpu).await
}

async fn llama(gpu: &Gpu) -> Result<()> {
    let network = Rc::new(Network::new(Config::parse(CONFIG.as_bytes())?));
    let mut cpu_weights = cpu::CpuWeights::default();
    let mut gpu_weights = GpuWeights::new(gpu, &network);
    for (seed, (id, rows, cols)) in network.matrices().into_iter().enumerate() {
        let matrix = matrix(seed, rows, cols, format(id));
        cpu_weights.put_matrix(id, in_f32(&matrix))?;
        gpu_weights.put_matrix(id, matrix)?;
    }
    for id in [VectorId::AttentionNorm(0), VectorId::FeedForwardNorm(0), VectorId::FinalNorm] {
        let weight: Vec<_> =
            (0..network.config.hidden_size).map(|i| 0.5 + noise(i) as f32 / 65536.0).collect();
        cpu_weights.put_vector(id, weight.clone())?;
        gpu_weights.put_vector(id, weight)?;
    }
    for call in Plan::new(&network, gpu_weights.layouts(), gpu_weights.target())?.calls() {
        gpu.compile_ahead(&call.shader);
    }
    gpu.compiled().await;
    let mut cpu = cpu::CpuState::new(network.clone(), Rc::new(cpu_weights), TOKENS.len(), Products::Exact)?;
    let mut gpu = GpuState::new(network, Rc::new(gpu_weights), TOKENS.len(), Products::Fast)?;
    let expected = cpu.forward(&TOKENS, Wanted::All)?;
    let mut decoded = Vec::new();
    for token in &TOKENS[..DECODED] {
        decoded.extend(gpu.forward(&[*token], Wanted::Last).await?);
    }
    compare("decode", &decoded, &expected[..decoded.len()])?;
    gpu.truncate(0);
    let mut read = Vec::new();
    for piece in TOKENS.chunks(gpu.max_logit_rows()) {
        read.extend(gpu.forward(piece, Wanted::All).await?);
    }
    compare("prefill", &read, &expected)
}

fn compare(what: &str, got: &[f32], expected: &[f32]) -> Result<()> {
    let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let off = got.iter().zip(expected).fold(0.0f32, |a, (x, y)| {
        // A NaN is infinitely far off; `max` would overlook it.
        let difference = (x - y).abs();
        if difference.is_nan() { f32::INFINITY } else { a.max(difference) }
    });
    if got.len() == expected.len() && off <= TOLERANCE * largest {
        return Ok(());
    }
    Err(Error::device(format!("{what} is off by {off} of {largest}"), "Update the graphics driver"))
}

/// 16 bits without a pattern.
fn noise(seed: usize) -> u32 {
    let mixed = (seed as u32).wrapping_add(1).wrapping_mul(0x9e37_79b9);
    (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b) >> 16
}

/// A matrix of noise around zero, its rows about 1 long.
fn matrix(seed: usize, rows: usize, cols: usize, format: Format) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols, format);
    let size = (3.0 / cols as f32).sqrt();
    let value = |i: usize| (noise(seed * 7919 + i) as f32 / 32768.0 - 1.0) * size;
    for (i, word) in matrix.words.iter_mut().enumerate() {
        *word = match format {
            Format::F32 => value(i).to_bits(),
            Format::F16 => pair(
                half::f16::from_f32(value(2 * i)),
                half::f16::from_f32(value(2 * i + 1)),
                half::f16::to_bits,
            ),
            Format::Bf16 => pair(
                half::bf16::from_f32(value(2 * i)),
                half::bf16::from_f32(value(2 * i + 1)),
                half::bf16::to_bits,
            ),
            Format::Affine(_) => noise(seed + 2 * i) | noise(seed + 2 * i + 1) << 16,
        };
    }
    if let Format::Affine(Affine { bits, scales, .. }) = format {
        let scale = 2.0 * size / ((1 << bits) - 1) as f32;
        let word = match scales {
            ScaleFormat::Bf16 => {
                pair(half::bf16::from_f32(scale), half::bf16::from_f32(-size), half::bf16::to_bits)
            }
            _ => pair(half::f16::from_f32(scale), half::f16::from_f32(-size), half::f16::to_bits),
        };
        matrix.scales.fill(word);
    }
    matrix
}

fn pair<T>(low: T, high: T, bits: impl Fn(T) -> u16) -> u32 {
    u32::from(bits(low)) | u32::from(bits(high)) << 16
}

/// The same weights unpacked: the CPU rounds the activations that quantised weights meet, the GPU does not.
fn in_f32(matrix: &Matrix) -> Matrix {
    let mut unpacked = Matrix::zeros(matrix.rows, matrix.cols, Format::F32);
    let mut values = vec![0.0; matrix.cols];
    for (row, words) in unpacked.words.chunks_mut(Format::F32.row_words(matrix.cols)).enumerate() {
        matrix.dequantize_row(row, &mut values);
        words.iter_mut().zip(&values).for_each(|(word, value)| *word = value.to_bits());
    }
    unpacked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_fails_and_so_does_one_that_is_no_number() {
        let expected = [1.0, -2.0, 0.5];
        assert!(compare("right", &[1.0, -2.01, 0.5], &expected).is_ok());
        for wrong in
            [[1.0, -2.0, 0.6], [f32::NAN, -2.0, 0.5], [1.0, -2.0, f32::NAN], [f32::INFINITY, -2.0, 0.5]]
        {
            assert!(compare("wrong", &wrong, &expected).is_err(), "{wrong:?}");
        }
        assert!(compare("short", &expected[..2], &expected).is_err());
    }

    #[test]
    fn tiers_step_down_to_the_one_that_demands_nothing() {
        use crate::backend::gpu::Tier;
        assert_eq!(Tier::F16.lower(), Some(Tier::Subgroups));
        assert_eq!(Tier::Subgroups.lower(), Some(Tier::Portable));
        assert_eq!(Tier::Portable.lower(), Some(Tier::Software));
        assert_eq!(Tier::Software.lower(), None);
    }
}
