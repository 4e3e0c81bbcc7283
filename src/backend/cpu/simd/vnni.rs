//! AVX-512 with VNNI, on 256-bit registers: one instruction multiplies 32 pairs of bytes and adds them in groups of
//! four.

use std::arch::x86_64::{__m256, __m256i, _mm256_dpbusd_epi32, _mm256_loadu_si256};

use super::avx2::Avx2;
use super::compiled_for::compiled_for;
use super::{Bytes, LANES, Simd};

/// Proof that the machine has AVX-512 VNNI on 256-bit registers. Everything except products of bytes is done with AVX2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vnni(Avx2);

impl Vnni {
    /// The proof, if this machine has the instructions.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vl");
        Avx2::detect().filter(|_| found).map(Self)
    }
}

compiled_for!(Vnni, "avx2,avx512f,avx512vl,avx512vnni");

impl Simd for Vnni {
    type Ints = __m256i;
    type Floats = __m256;

    #[inline(always)]
    fn no_ints(self) -> __m256i {
        self.0.no_ints()
    }

    #[inline(always)]
    fn multiply<const BITS: usize, const VECTORS: usize, const QUADS: usize, const T: usize>(
        self,
        weights: &[Bytes; VECTORS],
        x: [&[[i8; 4]; QUADS]; T],
        sums: &mut [__m256i; T],
    ) {
        // SAFETY: `self` exists, and the load is of 32 bytes.
        unsafe {
            for v in 0..VECTORS {
                if BITS == 4 {
                    let [lower, upper] = self.0.nibbles(&weights[v]);
                    for t in 0..T {
                        sums[t] = _mm256_dpbusd_epi32(sums[t], lower, self.0.broadcast(x[t][2 * v]));
                        sums[t] = _mm256_dpbusd_epi32(sums[t], upper, self.0.broadcast(x[t][2 * v + 1]));
                    }
                } else {
                    let bytes = _mm256_loadu_si256(weights[v].as_ptr().cast());
                    for t in 0..T {
                        sums[t] = _mm256_dpbusd_epi32(sums[t], bytes, self.0.broadcast(x[t][v]));
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn to_floats(self, ints: __m256i) -> __m256 {
        self.0.to_floats(ints)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        self.0.splat(value)
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> __m256 {
        self.0.load(values)
    }

    #[inline(always)]
    fn store(self, floats: __m256) -> [f32; LANES] {
        self.0.store(floats)
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        self.0.add(a, b)
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        self.0.mul(a, b)
    }

    #[inline(always)]
    fn sum(self, floats: __m256) -> f32 {
        self.0.sum(floats)
    }
}
