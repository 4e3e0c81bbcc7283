//! Affine group quantisation in the MLX layout: the rule that finds a group's scale and bias, and packing.
//!
//! With scale and bias as [`scale_and_bias`] gives them, the packed words equal those of `mx.quantize` bit for bit.
//! A caller that stores them rounded may round first and quantise against the rounded pair, which loses less.

use half::{bf16, f16};

use crate::model::matrix::ScaleFormat;

/// The least scale: keeps a group of equal values from a division by zero.
const MIN_SCALE: f32 = 1e-7;

/// The scale and the bias of a group of weights at `bits` bits: `w = scale * q + bias` with `q` in `0..2^bits`.
///
/// The end of the range that is farther from zero is kept exactly, as the bias, and the scale is stretched so that
/// zero, too, is a whole number of steps away.
pub fn scale_and_bias(group: &[f32], bits: u32) -> (f32, f32) {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &weight in group {
        low = low.min(weight);
        high = high.max(weight);
    }
    let magnitude = ((high - low) / max_q(bits)).max(MIN_SCALE);
    let (edge, scale) = if low.abs() > high.abs() { (low, magnitude) } else { (high, -magnitude) };
    let steps = (edge / scale).round_ties_even();
    if steps == 0.0 { (scale, 0.0) } else { (edge / steps, edge) }
}

/// Quantises a group against a scale and a bias and appends it, packed, to `words`.
///
/// The group's length is a multiple of `32 / bits`; `bits` is 4 or 8.
pub fn pack(group: &[f32], bits: u32, (scale, bias): (f32, f32), words: &mut Vec<u32>) {
    // A float in [2^23, 2^24) has no fraction bits left: adding 2^23 rounds to a whole number, ties to even, and
    // leaves it in the low bits. Clamping first gives the same result as clamping last, the ends being whole.
    const SHIFT: f32 = 8_388_608.0;
    let max = max_q(bits);
    let mask = (1 << bits) - 1;
    words.extend(group.chunks_exact((32 / bits) as usize).map(|chunk| {
        chunk.iter().rev().fold(0, |word, weight| {
            // A division, not a product with the reciprocal, which would round differently from mlx.
            let q = ((weight - bias) / scale).clamp(0.0, max) + SHIFT;
            word << bits | (q.to_bits() & mask)
        })
    }));
}

/// Appends the values packed in `words` at `bits` bits to `out`: `scale * q + bias`, both operations rounded.
pub fn unpack(words: &[u32], bits: u32, (scale, bias): (f32, f32), out: &mut Vec<f32>) {
    out.extend(quantized(words, bits).map(|q| scale * q as f32 + bias));
}

/// Appends integers below `2^bits`, packed, to `words`: `bits` is 4 or 8, and their number a multiple of `32 / bits`.
pub fn pack_integers(integers: &[u8], bits: u32, words: &mut Vec<u32>) {
    if bits == 8 {
        words.extend(integers.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)));
    } else {
        let byte = |pair: [u8; 2]| pair[0] | pair[1] << 4;
        words.extend(integers.as_chunks::<8>().0.iter().map(|[a, b, c, d, e, f, g, h]| {
            u32::from_le_bytes([byte([*a, *b]), byte([*c, *d]), byte([*e, *f]), byte([*g, *h])])
        }));
    }
}

/// The integers packed in `words` at `bits` bits, in order.
pub fn quantized(words: &[u32], bits: u32) -> impl Iterator<Item = u32> {
    let mask = (1 << bits) - 1;
    words.iter().flat_map(move |word| (0..32 / bits).map(move |i| word >> (i * bits) & mask))
}

fn max_q(bits: u32) -> f32 {
    ((1u32 << bits) - 1) as f32
}

impl ScaleFormat {
    /// The nearest value that the format can hold, ties to even; infinite where it is too large.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }

    /// Appends a group's scale and bias.
    pub fn push(self, (scale, bias): (f32, f32), scales: &mut Vec<u32>) {
        let pair = |scale: u16, bias: u16| u32::from(bias) << 16 | u32::from(scale);
        match self {
            Self::F32 => scales.extend([scale.to_bits(), bias.to_bits()]),
            Self::F16 => scales.push(pair(f16::from_f32(scale).to_bits(), f16::from_f32(bias).to_bits())),
            Self::Bf16 => scales.push(pair(bf16::from_f32(scale).to_bits(), bf16::from_f32(bias).to_bits())),
        }
    }
}
