//! AVX2: multiplies 32 pairs of bytes at once. The products of a unit of columns are summed in 16 bits.

use std::arch::x86_64::{
    __m256, __m256i, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps, _mm256_add_epi16,
    _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256, _mm256_castps256_ps128, _mm256_cvtepi32_ps,
    _mm256_extractf128_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
    _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_si256, _mm256_srli_epi16, _mm256_storeu_ps,
};

use super::compiled_for::compiled_for;
use super::{Bytes, LANES, Simd};

/// Proof that the machine has AVX2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx2(());

#[allow(clippy::unused_self, reason = "self proves that the machine has AVX2")]
impl Avx2 {
    /// The proof, if this machine has AVX2. The standard library caches the detection.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Four activations for all eight rows.
    #[inline(always)]
    pub(super) fn broadcast(self, x: [i8; 4]) -> __m256i {
        // SAFETY: `self` exists.
        unsafe { _mm256_set1_epi32(i32::from_ne_bytes(x.map(i8::cast_unsigned))) }
    }

    /// The lower and the upper halves of 32 bytes, each as bytes of its own.
    #[inline(always)]
    pub(super) fn nibbles(self, bytes: &Bytes) -> [__m256i; 2] {
        // SAFETY: `self` exists, and the load is of 32 bytes.
        unsafe {
            let (packed, mask) = (_mm256_loadu_si256(bytes.as_ptr().cast()), _mm256_set1_epi8(15));
            [_mm256_and_si256(packed, mask), _mm256_and_si256(_mm256_srli_epi16(packed, 4), mask)]
        }
    }
}

compiled_for!(Avx2, "avx2");

impl Simd for Avx2 {
    type Ints = __m256i;
    type Floats = __m256;

    #[inline(always)]
    fn no_ints(self) -> __m256i {
        // SAFETY: `self` exists.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn multiply<const BITS: usize, const VECTORS: usize, const QUADS: usize, const T: usize>(
        self,
        weights: &[Bytes; VECTORS],
        x: [&[[i8; 4]; QUADS]; T],
        sums: &mut [__m256i; T],
    ) {
        // The sum of two products of a nibble and a signed byte is at most 3810, and eight such sums fit into 16 bits.
        // With 4 bits `low` sums both halves of its four vectors. With 8 bits the upper halves count 16 times as much
        // and have sums of their own.
        // SAFETY: `self` exists.
        unsafe {
            let mut low = [_mm256_setzero_si256(); T];
            let mut high = [_mm256_setzero_si256(); T];
            for v in 0..VECTORS {
                let [lower, upper] = self.nibbles(&weights[v]);
                for t in 0..T {
                    if BITS == 4 {
                        let products = _mm256_maddubs_epi16(lower, self.broadcast(x[t][2 * v]));
                        low[t] = _mm256_add_epi16(low[t], products);
                        let products = _mm256_maddubs_epi16(upper, self.broadcast(x[t][2 * v + 1]));
                        low[t] = _mm256_add_epi16(low[t], products);
                    } else {
                        let x = self.broadcast(x[t][v]);
                        low[t] = _mm256_add_epi16(low[t], _mm256_maddubs_epi16(lower, x));
                        high[t] = _mm256_add_epi16(high[t], _mm256_maddubs_epi16(upper, x));
                    }
                }
            }
            for t in 0..T {
                sums[t] = _mm256_add_epi32(sums[t], _mm256_madd_epi16(low[t], _mm256_set1_epi16(1)));
                if BITS == 8 {
                    sums[t] = _mm256_add_epi32(sums[t], _mm256_madd_epi16(high[t], _mm256_set1_epi16(16)));
                }
            }
        }
    }

    #[inline(always)]
    fn to_floats(self, ints: __m256i) -> __m256 {
        // SAFETY: `self` exists.
        unsafe { _mm256_cvtepi32_ps(ints) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: `self` exists.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> __m256 {
        // SAFETY: `self` exists, and the load is of eight f32.
        unsafe { _mm256_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, floats: __m256) -> [f32; LANES] {
        let mut values = [0.0; LANES];
        // SAFETY: `self` exists, and the array has eight f32.
        unsafe { _mm256_storeu_ps(values.as_mut_ptr(), floats) };
        values
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` exists.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` exists.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn sum(self, floats: __m256) -> f32 {
        // SAFETY: `self` exists.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(floats), _mm256_extractf128_ps(floats, 1));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}
