//! AVX2: 32 pairs of bytes at once.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_loadu_si128, _mm_movehl_ps,
    _mm_shuffle_ps, _mm_srli_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_castps256_ps128,
    _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_extractf128_ps, _mm256_fmadd_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set_m128i, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_ps, _mm256_setzero_ps,
};
use std::ops::Range;

use super::{BLOCK, Row, WeightRow, bias_part, rows_loop};
use crate::matrix::{Affine, Matrix};

/// Products of `rows` with a tile of activations; see [`super::portable::rows`].
#[target_feature(enable = "avx2,fma")]
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
#[target_feature(enable = "avx2,fma")]
fn dot<const BITS: usize, const T: usize>(w: WeightRow<'_>, group_size: usize, x: &[Row; T]) -> [f32; T] {
    let mut sums = [_mm256_setzero_ps(); T];
    for (block, bytes) in w.bytes.chunks_exact(BLOCK * BITS / 8).enumerate() {
        let group = block * BLOCK / group_size;
        let Some([scale, _]) = w.scales.get(group) else { break };
        for (sum, x) in sums.iter_mut().zip(x) {
            let values: &[u8] = bytemuck::cast_slice(&x.values[block * BLOCK..(block + 1) * BLOCK]);
            let products = if BITS == 4 { products4(bytes, values) } else { products8(bytes, values) };
            let scale = _mm256_set1_ps(scale * x.scales[group]);
            *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products), scale, *sum);
        }
    }
    let bias = bias_part(w.scales, x);
    std::array::from_fn(|t| horizontal_sum(sums[t]) + bias[t])
}

/// Sums of four neighbours' products; a nibble times a signed byte, twice, stays within 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn products4(bytes: &[u8], values: &[u8]) -> __m256i {
    let packed = load128(bytes);
    let q = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(packed, 4), packed), _mm256_set1_epi8(15));
    // SAFETY: the caller passes a block of 32 values.
    let values = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
    _mm256_madd_epi16(_mm256_maddubs_epi16(q, values), _mm256_set1_epi16(1))
}

/// Sums of products in 32 bits; two products of full bytes do not fit into 16.
#[inline]
#[target_feature(enable = "avx2")]
fn products8(bytes: &[u8], values: &[u8]) -> __m256i {
    let half = |at: usize| {
        let q = _mm256_cvtepu8_epi16(load128(&bytes[at..]));
        _mm256_madd_epi16(q, _mm256_cvtepi8_epi16(load128(&values[at..])))
    };
    _mm256_add_epi32(half(0), half(BLOCK / 2))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load128(bytes: &[u8]) -> __m128i {
    assert!(bytes.len() >= 16);
    // SAFETY: just checked.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn horizontal_sum(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)))
}
