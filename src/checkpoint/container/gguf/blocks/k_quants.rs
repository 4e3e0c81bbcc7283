//! The types of `_K`: blocks of 256 columns in groups of 16 or 32, whose scales are small integers times one of f16.
//!
//! With a minimum, `w = d * scale * q - dmin * min`; without, `w = d * scale * (q - zero)`. Both products are exact in f32.

use super::{Block, centered, half};

/// 2 bits, groups of 16, scale and minimum of 4 bits each. A byte has four columns that lie 32 apart.
pub(super) fn q2_k(bytes: &[u8], block: &mut Block) {
    let (scales, rest) = bytes.split_at(16);
    let (packed, head) = rest.split_at(64);
    two_bits(packed, &mut block.integers);
    let (d, dmin) = (half(head), half(&head[2..]));
    for (pair, scale) in block.pairs.iter_mut().zip(scales) {
        *pair = (d * f32::from(scale & 15), -dmin * f32::from(scale >> 4));
    }
}

/// 3 bits, zero at 4, groups of 16, scales of 6 bits, zero at 32. The third bits come first: a byte has eight columns that lie
/// 32 apart.
pub(super) fn q3_k(bytes: &[u8], block: &mut Block) {
    let (third, rest) = bytes.split_at(32);
    let (packed, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(12);
    two_bits(packed, &mut block.integers);
    for (index, integers) in block.integers.chunks_exact_mut(32).enumerate() {
        for (integer, third) in integers.iter_mut().zip(third) {
            *integer |= (third >> index & 1) << 2;
        }
    }
    let d = half(d);
    for (group, pair) in block.pairs.iter_mut().enumerate() {
        let low = scales[group % 8] >> (4 * (group / 8)) & 15;
        let high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
        *pair = centered(d * (f32::from(low | high << 4) - 32.0), 4.0);
    }
}

/// 4 bits, groups of 32, scale and minimum of 6 bits each.
pub(super) fn q4_k(bytes: &[u8], block: &mut Block) {
    let (head, packed) = bytes.split_at(16);
    halves(packed, &mut block.integers);
    scales_and_minima(head, block);
}

/// 5 bits, groups of 32, scale and minimum of 6 bits each. A byte of the fifth bits has eight columns that lie 32 apart.
pub(super) fn q5_k(bytes: &[u8], block: &mut Block) {
    let (head, rest) = bytes.split_at(16);
    let (fifth, packed) = rest.split_at(32);
    halves(packed, &mut block.integers);
    for (index, integers) in block.integers.chunks_exact_mut(32).enumerate() {
        for (integer, fifth) in integers.iter_mut().zip(fifth) {
            *integer |= (fifth >> index & 1) << 4;
        }
    }
    scales_and_minima(head, block);
}

/// 6 bits, zero at 32, groups of 16, scales of signed bytes. Of each 128 columns a byte has four bits of two columns that lie 64
/// apart, and the upper two bits of four that lie 32 apart.
pub(super) fn q6_k(bytes: &[u8], block: &mut Block) {
    let (low, rest) = bytes.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let halves = low.chunks_exact(64).zip(high.chunks_exact(32)).zip(block.integers.chunks_exact_mut(128));
    for ((low, high), integers) in halves {
        super::nibbles(low, integers);
        for (index, integers) in integers.chunks_exact_mut(32).enumerate() {
            for (integer, high) in integers.iter_mut().zip(high) {
                *integer |= (high >> (2 * index) & 3) << 4;
            }
        }
    }
    let d = half(d);
    for (pair, scale) in block.pairs.iter_mut().zip(scales) {
        *pair = centered(d * f32::from(scale.cast_signed()), 32.0);
    }
}

/// Of each 128 columns a byte has two bits of four that lie 32 apart.
fn two_bits(packed: &[u8], integers: &mut [u8]) {
    for (packed, integers) in packed.chunks_exact(32).zip(integers.chunks_exact_mut(128)) {
        for (index, integers) in integers.chunks_exact_mut(32).enumerate() {
            for (integer, byte) in integers.iter_mut().zip(packed) {
                *integer = byte >> (2 * index) & 3;
            }
        }
    }
}

/// Of each 64 columns a byte has two that lie 32 apart.
fn halves(packed: &[u8], integers: &mut [u8]) {
    for (packed, integers) in packed.chunks_exact(32).zip(integers.chunks_exact_mut(64)) {
        super::nibbles(packed, integers);
    }
}

/// `d`, `dmin`, and twelve bytes: the first four groups have their 6 bits in a byte each, the others 4 bits in the last four bytes
/// and 2 bits above those of the first.
fn scales_and_minima(head: &[u8], block: &mut Block) {
    let (d, dmin) = (half(head), half(&head[2..]));
    let packed = &head[4..16];
    for (group, pair) in block.pairs[..8].iter_mut().enumerate() {
        let (scale, min) = if group < 4 {
            (packed[group] & 63, packed[group + 4] & 63)
        } else {
            let both = packed[group + 4];
            (both & 15 | packed[group - 4] >> 6 << 4, both >> 4 | packed[group] >> 6 << 4)
        };
        *pair = (d * f32::from(scale), -dmin * f32::from(min));
    }
}
