//! AVX-512 with VNNI: one instruction multiplies 64 pairs of bytes and adds them up four by four.

use std::arch::x86_64::{
    __m512, __m512i, _mm256_maskz_loadu_epi8, _mm512_and_si512, _mm512_castsi256_si512, _mm512_cvtepi32_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_mask_blend_ps, _mm512_maskz_loadu_epi8,
    _mm512_permutexvar_epi64, _mm512_reduce_add_ps, _mm512_set_epi64, _mm512_set1_epi8, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_srlv_epi16,
};
use std::ops::Range;

use super::{BLOCK, Row, WeightRow, bias_part, rows_loop};
use crate::matrix::{Affine, Matrix};

/// Columns of one 512-bit register of bytes.
const STEP: usize = 64;

/// Products of `rows` with a tile of activations; see [`super::portable::rows`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn dot<const BITS: usize, const T: usize>(w: WeightRow<'_>, group_size: usize, x: &[Row; T]) -> [f32; T] {
    let mut sums = [_mm512_setzero_ps(); T];
    let cols = x.first().map_or(0, |x| x.values.len());
    for from in (0..cols).step_by(STEP) {
        let to = cols.min(from + STEP);
        let bytes = &w.bytes[from * BITS / 8..to * BITS / 8];
        let q = if BITS == 4 { nibbles(bytes) } else { load(bytes) };
        for (sum, x) in sums.iter_mut().zip(x) {
            let values = load(bytemuck::cast_slice(&x.values[from..to]));
            let products = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q, values);
            *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scales(w, x, from, to, group_size), *sum);
        }
    }
    let bias = bias_part(w.scales, x);
    std::array::from_fn(|t| _mm512_reduce_add_ps(sums[t]) + bias[t])
}

/// The scales of a step's lanes: of one group, or of two groups of 32 columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn scales(w: WeightRow<'_>, x: &Row, from: usize, to: usize, group_size: usize) -> __m512 {
    let scale = |group: usize| _mm512_set1_ps(w.scales[group][0] * x.scales[group]);
    let first = scale(from / group_size);
    if group_size >= STEP { first } else { _mm512_mask_blend_ps(0xff00, first, scale((to - 1) / group_size)) }
}

/// At most 64 bytes, the rest zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(bytes: &[u8]) -> __m512i {
    debug_assert!(bytes.len() == BLOCK || bytes.len() == STEP);
    let mask = if bytes.len() >= STEP { u64::MAX } else { (1 << bytes.len()) - 1 };
    // SAFETY: the mask covers no byte beyond the slice.
    unsafe { _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().cast()) }
}

/// The nibbles of at most 32 bytes: of each 16 bytes first the lower ones, then the upper.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn nibbles(bytes: &[u8]) -> __m512i {
    debug_assert!(bytes.len() == BLOCK / 2 || bytes.len() == STEP / 2);
    let mask = if bytes.len() >= STEP / 2 { u32::MAX } else { (1 << bytes.len()) - 1 };
    // SAFETY: the mask covers no byte beyond the slice.
    let packed = unsafe { _mm256_maskz_loadu_epi8(mask, bytes.as_ptr().cast()) };
    let twice = _mm512_set_epi64(3, 2, 3, 2, 1, 0, 1, 0);
    let twice = _mm512_permutexvar_epi64(twice, _mm512_castsi256_si512(packed));
    let shift = 0x0004_0004_0004_0004;
    let shifted = _mm512_srlv_epi16(twice, _mm512_set_epi64(shift, shift, 0, 0, shift, shift, 0, 0));
    _mm512_and_si512(shifted, _mm512_set1_epi8(15))
}
