//! Plain Rust: the specification of the other files, and the code for all other machines.

use super::{Bytes, LANES, Simd};

/// Any machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Portable;

impl Simd for Portable {
    type Ints = [i32; LANES];
    type Floats = [f32; LANES];

    #[inline(always)]
    fn no_ints(self) -> Self::Ints {
        [0; LANES]
    }

    #[inline(always)]
    fn multiply<const BITS: usize, const VECTORS: usize, const QUADS: usize, const T: usize>(
        self,
        weights: &[Bytes; VECTORS],
        x: [&[[i8; 4]; QUADS]; T],
        sums: &mut [Self::Ints; T],
    ) {
        let product = |q: u8, v: i8| i32::from(q) * i32::from(v);
        for (v, vector) in weights.iter().enumerate() {
            for (row, bytes) in vector.as_chunks::<4>().0.iter().enumerate() {
                for (x, sums) in x.iter().zip(sums.iter_mut()) {
                    for (j, byte) in bytes.iter().enumerate() {
                        sums[row] += if BITS == 4 {
                            product(byte & 15, x[2 * v][j]) + product(byte >> 4, x[2 * v + 1][j])
                        } else {
                            product(*byte, x[v][j])
                        };
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn to_floats(self, ints: Self::Ints) -> Self::Floats {
        ints.map(|int| int as f32)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Floats {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Self::Floats {
        *values
    }

    #[inline(always)]
    fn store(self, floats: Self::Floats) -> [f32; LANES] {
        floats
    }

    #[inline(always)]
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn sum(self, f: Self::Floats) -> f32 {
        ((f[0] + f[4]) + (f[2] + f[6])) + ((f[1] + f[5]) + (f[3] + f[7]))
    }
}
