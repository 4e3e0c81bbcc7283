//! WebAssembly's 128-bit SIMD, which every browser of today has.

use std::arch::wasm32::{
    f32x4_add, f32x4_convert_i32x4, f32x4_extract_lane, f32x4_mul, f32x4_splat, i16x8_add,
    i16x8_extend_high_i8x16, i16x8_extend_high_u8x16, i16x8_extend_low_i8x16, i16x8_extend_low_u8x16,
    i16x8_extmul_high_i8x16, i16x8_extmul_low_i8x16, i32x4_add, i32x4_dot_i16x8, i32x4_extadd_pairwise_i16x8,
    i32x4_splat, u8x16_shr, u8x16_splat, v128, v128_and, v128_load,
};
use std::ops::Range;

use super::{BLOCK, Row, WeightRow, bias_part, rows_loop};
use crate::matrix::{Affine, Matrix};

/// Products of `rows` with a tile of activations; see [`super::portable::rows`].
pub(super) fn rows<const T: usize>(
    weight: &Matrix,
    affine: Affine,
    rows: Range<usize>,
    x: &[Row; T],
    out: &mut [f32],
) {
    rows_loop!(weight, affine, rows, x, out);
}

#[inline]
fn dot<const BITS: usize, const T: usize>(w: WeightRow<'_>, group_size: usize, x: &[Row; T]) -> [f32; T] {
    let mut sums = [f32x4_splat(0.0); T];
    for (group, (bytes, [scale, _])) in w.bytes.chunks_exact(group_size * BITS / 8).zip(w.scales).enumerate()
    {
        let mut products = [i32x4_splat(0); T];
        for (block, bytes) in bytes.chunks_exact(BLOCK * BITS / 8).enumerate() {
            let at = group * group_size + block * BLOCK;
            for (products, x) in products.iter_mut().zip(x) {
                let values: &[u8] = bytemuck::cast_slice(&x.values[at..at + BLOCK]);
                let block = if BITS == 4 { products4(bytes, values) } else { products8(bytes, values) };
                *products = i32x4_add(*products, block);
            }
        }
        for ((sum, products), x) in sums.iter_mut().zip(products).zip(x) {
            let scale = f32x4_splat(scale * x.scales[group]);
            *sum = f32x4_add(*sum, f32x4_mul(f32x4_convert_i32x4(products), scale));
        }
    }
    let bias = bias_part(w.scales, x);
    std::array::from_fn(|t| horizontal_sum(sums[t]) + bias[t])
}

/// Sums of a block's products; four products of a nibble and a signed byte stay within 16 bits.
#[inline]
fn products4(bytes: &[u8], values: &[u8]) -> v128 {
    let packed = load(bytes, 0);
    let (even, odd) = (load(values, 0), load(values, BLOCK / 2));
    let (low, high) = (v128_and(packed, u8x16_splat(15)), u8x16_shr(packed, 4));
    let low = i16x8_add(i16x8_extmul_low_i8x16(low, even), i16x8_extmul_high_i8x16(low, even));
    let high = i16x8_add(i16x8_extmul_low_i8x16(high, odd), i16x8_extmul_high_i8x16(high, odd));
    i32x4_extadd_pairwise_i16x8(i16x8_add(low, high))
}

/// Sums of a block's products in 32 bits.
#[inline]
fn products8(bytes: &[u8], values: &[u8]) -> v128 {
    let half = |at: usize| {
        let (q, v) = (load(bytes, at), load(values, at));
        let low = i32x4_dot_i16x8(i16x8_extend_low_u8x16(q), i16x8_extend_low_i8x16(v));
        i32x4_add(low, i32x4_dot_i16x8(i16x8_extend_high_u8x16(q), i16x8_extend_high_i8x16(v)))
    };
    i32x4_add(half(0), half(BLOCK / 2))
}

/// Sixteen bytes.
#[inline]
fn load(bytes: &[u8], at: usize) -> v128 {
    let bytes = &bytes[at..at + 16];
    // SAFETY: the slice has sixteen bytes, and the load asks for no alignment.
    unsafe { v128_load(bytes.as_ptr().cast()) }
}

#[inline]
fn horizontal_sum(v: v128) -> f32 {
    f32x4_extract_lane::<0>(v)
        + f32x4_extract_lane::<1>(v)
        + f32x4_extract_lane::<2>(v)
        + f32x4_extract_lane::<3>(v)
}
