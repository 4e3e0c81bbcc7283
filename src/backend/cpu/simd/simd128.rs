//! WebAssembly's 128-bit SIMD, which every current browser has.
//!
//! Relaxed SIMD can multiply bytes, but a browser without it refuses the whole module. In Chromium on AVX2 it made
//! 4-bit products 1.1 to 1.5 times as fast, and 8-bit products half as fast because they need two of its products. This
//! is not worth a second module to download.

use std::arch::wasm32::{
    f32x4_add, f32x4_convert_i32x4, f32x4_extract_lane, f32x4_mul, f32x4_splat, i16x8_extend_high_u8x16,
    i16x8_extend_low_i8x16, i16x8_extend_low_u8x16, i32x4_add, i32x4_dot_i16x8, i32x4_shuffle, i32x4_splat,
    u8x16_shr, u8x16_splat, v128, v128_and, v128_load, v128_store,
};

use super::{Bytes, LANES, Simd};

/// Proof that the browser has the instructions: it accepted the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Simd128;

impl Simd for Simd128 {
    /// Rows 0 to 3, and 4 to 7.
    type Ints = [v128; 2];
    type Floats = [v128; 2];

    #[inline(always)]
    fn no_ints(self) -> [v128; 2] {
        [i32x4_splat(0); 2]
    }

    #[inline(always)]
    fn multiply<const BITS: usize, const VECTORS: usize, const QUADS: usize, const T: usize>(
        self,
        weights: &[Bytes; VECTORS],
        x: [&[[i8; 4]; QUADS]; T],
        sums: &mut [[v128; 2]; T],
    ) {
        for half in 0..2 {
            let mut unit = [Sums::none(); T];
            for v in 0..VECTORS {
                let packed = load(&weights[v], half);
                if BITS == 4 {
                    let lower = WideWeights::new(v128_and(packed, u8x16_splat(15)));
                    let upper = WideWeights::new(u8x16_shr(packed, 4));
                    for t in 0..T {
                        unit[t].add(lower, x[t][2 * v]);
                        unit[t].add(upper, x[t][2 * v + 1]);
                    }
                } else {
                    let bytes = WideWeights::new(packed);
                    for t in 0..T {
                        unit[t].add(bytes, x[t][v]);
                    }
                }
            }
            for (sums, unit) in sums.iter_mut().zip(unit) {
                sums[half] = i32x4_add(sums[half], unit.rows());
            }
        }
    }

    #[inline(always)]
    fn to_floats(self, ints: [v128; 2]) -> [v128; 2] {
        [f32x4_convert_i32x4(ints[0]), f32x4_convert_i32x4(ints[1])]
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [v128; 2] {
        [f32x4_splat(value); 2]
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> [v128; 2] {
        let bytes: &Bytes = bytemuck::cast_ref(values);
        [load(bytes, 0), load(bytes, 1)]
    }

    #[inline(always)]
    fn store(self, floats: [v128; 2]) -> [f32; LANES] {
        let mut values = [[0.0f32; LANES / 2]; 2];
        for (values, floats) in values.iter_mut().zip(floats) {
            // SAFETY: the array has sixteen bytes.
            unsafe { v128_store(values.as_mut_ptr().cast(), floats) };
        }
        bytemuck::cast(values)
    }

    #[inline(always)]
    fn add(self, a: [v128; 2], b: [v128; 2]) -> [v128; 2] {
        [f32x4_add(a[0], b[0]), f32x4_add(a[1], b[1])]
    }

    #[inline(always)]
    fn mul(self, a: [v128; 2], b: [v128; 2]) -> [v128; 2] {
        [f32x4_mul(a[0], b[0]), f32x4_mul(a[1], b[1])]
    }

    #[inline(always)]
    fn sum(self, floats: [v128; 2]) -> f32 {
        let four = f32x4_add(floats[0], floats[1]);
        let two = f32x4_add(four, i32x4_shuffle::<2, 3, 2, 3>(four, four));
        f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
    }
}

/// Half of 32 bytes: four weight rows, or their scales.
#[inline(always)]
fn load(bytes: &Bytes, half: usize) -> v128 {
    // SAFETY: both halves have sixteen bytes, and the load asks for no alignment.
    unsafe { v128_load(bytes.as_ptr().add(16 * half).cast()) }
}

/// Four rows of bytes as 16-bit integers, two rows per register, because there is no product of bytes.
#[derive(Clone, Copy)]
struct WideWeights([v128; 2]);

impl WideWeights {
    #[inline(always)]
    fn new(bytes: v128) -> Self {
        Self([i16x8_extend_low_u8x16(bytes), i16x8_extend_high_u8x16(bytes)])
    }
}

/// Running sums of the products of four rows, with two lanes per row.
#[derive(Clone, Copy)]
struct Sums([v128; 2]);

impl Sums {
    #[inline(always)]
    fn none() -> Self {
        Self([i32x4_splat(0); 2])
    }

    #[inline(always)]
    fn add(&mut self, weights: WideWeights, x: [i8; 4]) {
        let x = i16x8_extend_low_i8x16(i32x4_splat(i32::from_ne_bytes(x.map(i8::cast_unsigned))));
        for pair in 0..2 {
            self.0[pair] = i32x4_add(self.0[pair], i32x4_dot_i16x8(weights.0[pair], x));
        }
    }

    /// One sum per row.
    #[inline(always)]
    fn rows(self) -> v128 {
        let [low, high] = self.0;
        let even = i32x4_shuffle::<0, 2, 4, 6>(low, high);
        i32x4_add(even, i32x4_shuffle::<1, 3, 5, 7>(low, high))
    }
}
