//! NEON, which every 64-bit ARM processor has. The products of a unit of columns are summed in 16 bits.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int16x8_t, int32x4_t, vaddq_f32, vaddq_s32, vandq_u8, vcvtq_f32_s32, vdupq_n_f32,
    vdupq_n_s16, vdupq_n_s32, vdupq_n_u8, vget_low_s8, vgetq_lane_f32, vld1q_f32, vld1q_u8, vmlal_high_s8,
    vmlal_s8, vmulq_f32, vpaddlq_s16, vpaddq_s32, vreinterpretq_s8_s32, vreinterpretq_s8_u8, vshlq_n_s32,
    vshrq_n_u8, vst1q_f32,
};

use super::{Bytes, LANES, Simd};

/// Proof that the machine is a 64-bit ARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Neon;

/// Running sums of the products of four rows, with two 16-bit lanes per row.
#[derive(Clone, Copy)]
struct Sums([int16x8_t; 2]);

impl Sums {
    #[inline(always)]
    fn none() -> Self {
        // SAFETY: every aarch64 has NEON.
        unsafe { Self([vdupq_n_s16(0); 2]) }
    }

    /// Adds products. Eight of them fit into 16 bits, because a nibble times a signed byte is at most 1905.
    #[inline(always)]
    fn add(&mut self, nibbles: int8x16_t, x: [i8; 4]) {
        // SAFETY: every aarch64 has NEON.
        unsafe {
            let x = vreinterpretq_s8_s32(vdupq_n_s32(i32::from_ne_bytes(x.map(i8::cast_unsigned))));
            self.0[0] = vmlal_s8(self.0[0], vget_low_s8(nibbles), vget_low_s8(x));
            self.0[1] = vmlal_high_s8(self.0[1], nibbles, x);
        }
    }

    /// One sum per row.
    #[inline(always)]
    fn rows(self) -> int32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vpaddq_s32(vpaddlq_s16(self.0[0]), vpaddlq_s16(self.0[1])) }
    }
}

impl Simd for Neon {
    /// Rows 0 to 3, and 4 to 7.
    type Ints = [int32x4_t; 2];
    type Floats = [float32x4_t; 2];

    #[inline(always)]
    fn no_ints(self) -> Self::Ints {
        // SAFETY: every aarch64 has NEON.
        unsafe { [vdupq_n_s32(0); 2] }
    }

    #[inline(always)]
    fn multiply<const BITS: usize, const VECTORS: usize, const QUADS: usize, const T: usize>(
        self,
        weights: &[Bytes; VECTORS],
        x: [&[[i8; 4]; QUADS]; T],
        sums: &mut [Self::Ints; T],
    ) {
        for half in 0..2 {
            let mut low = [Sums::none(); T];
            let mut high = [Sums::none(); T];
            for v in 0..VECTORS {
                // SAFETY: every aarch64 has NEON, and both halves have sixteen bytes.
                let (lower, upper) = unsafe {
                    let packed = vld1q_u8(weights[v].as_ptr().add(16 * half));
                    let lower = vreinterpretq_s8_u8(vandq_u8(packed, vdupq_n_u8(15)));
                    (lower, vreinterpretq_s8_u8(vshrq_n_u8::<4>(packed)))
                };
                for t in 0..T {
                    if BITS == 4 {
                        low[t].add(lower, x[t][2 * v]);
                        low[t].add(upper, x[t][2 * v + 1]);
                    } else {
                        low[t].add(lower, x[t][v]);
                        high[t].add(upper, x[t][v]);
                    }
                }
            }
            for t in 0..T {
                // SAFETY: every aarch64 has NEON.
                unsafe {
                    sums[t][half] = vaddq_s32(sums[t][half], low[t].rows());
                    if BITS == 8 {
                        sums[t][half] = vaddq_s32(sums[t][half], vshlq_n_s32::<4>(high[t].rows()));
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn to_floats(self, ints: Self::Ints) -> Self::Floats {
        // SAFETY: every aarch64 has NEON.
        unsafe { [vcvtq_f32_s32(ints[0]), vcvtq_f32_s32(ints[1])] }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Floats {
        // SAFETY: every aarch64 has NEON.
        unsafe { [vdupq_n_f32(value); 2] }
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Self::Floats {
        // SAFETY: every aarch64 has NEON, and both halves have four f32.
        unsafe { [vld1q_f32(values.as_ptr()), vld1q_f32(values.as_ptr().add(4))] }
    }

    #[inline(always)]
    fn store(self, floats: Self::Floats) -> [f32; LANES] {
        let mut values = [0.0; LANES];
        // SAFETY: every aarch64 has NEON, and both halves have four f32.
        unsafe {
            vst1q_f32(values.as_mut_ptr(), floats[0]);
            vst1q_f32(values.as_mut_ptr().add(4), floats[1]);
        }
        values
    }

    #[inline(always)]
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: every aarch64 has NEON.
        unsafe { [vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: every aarch64 has NEON.
        unsafe { [vmulq_f32(a[0], b[0]), vmulq_f32(a[1], b[1])] }
    }

    #[inline(always)]
    fn sum(self, floats: Self::Floats) -> f32 {
        // SAFETY: every aarch64 has NEON.
        unsafe {
            let four = vaddq_f32(floats[0], floats[1]);
            (vgetq_lane_f32::<0>(four) + vgetq_lane_f32::<2>(four))
                + (vgetq_lane_f32::<1>(four) + vgetq_lane_f32::<3>(four))
        }
    }
}
