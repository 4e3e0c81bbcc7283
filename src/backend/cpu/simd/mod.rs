//! Vector registers: the operations that kernels need, and the choice of an instruction set when the program runs.
//!
//! A kernel is written once, for any [`Simd`]. There is one file per instruction set, and `portable` is the
//! specification of the others. All give the same bits: integer sums are exact, and all use the same float operations
//! in the same order, without fused products.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod compiled_for;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub(crate) use isa::Isa;

/// Lanes of a register, or of two registers if they have only four lanes.
pub(crate) const LANES: usize = 8;

/// Columns of integer weights that one call of [`Simd::multiply`] handles.
pub(crate) const UNIT: usize = 32;

/// Four columns of eight rows of weights: `[row][column]`.
pub(crate) type Bytes = [u8; UNIT];

/// A unit of activations, in groups of four, as the products with the weights need them.
pub(crate) type Values = [[i8; 4]; UNIT / 4];

/// The operations of an instruction set. A value of the type proves that the machine has it.
pub(crate) trait Simd: Copy {
    /// Eight i32.
    type Ints: Copy;
    /// Eight f32.
    type Floats: Copy;

    fn no_ints(self) -> Self::Ints;

    /// Adds to `sums[t]` the products of a piece of a unit of weights (eight rows) with the activations `x[t]`. `x[t]` has as
    /// many quads as the vectors have columns.
    ///
    /// With 8 bits, vector `v` holds columns `4 v..4 v + 4`. With 4 bits, it holds columns `8 v..8 v + 4` in the lower
    /// halves of its bytes and the next four columns in the upper halves.
    fn multiply<const BITS: usize, const VECTORS: usize, const QUADS: usize, const T: usize>(
        self,
        weights: &[Bytes; VECTORS],
        x: [&[[i8; 4]; QUADS]; T],
        sums: &mut [Self::Ints; T],
    );

    fn to_floats(self, ints: Self::Ints) -> Self::Floats;

    fn splat(self, value: f32) -> Self::Floats;

    fn load(self, values: &[f32; LANES]) -> Self::Floats;

    fn store(self, floats: Self::Floats) -> [f32; LANES];

    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;

    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// The sum of all lanes: the two halves are added until one value is left.
    fn sum(self, floats: Self::Floats) -> f32;
}

/// Work that is compiled for every instruction set; see [`Isa::run`]. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The dot product of two slices of the same length.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    // Two running sums, because an addition takes longer than a load.
    let mut sums = [simd.splat(0.0); 2];
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        sums[i % 2] = simd.add(sums[i % 2], simd.mul(simd.load(a), simd.load(b)));
    }
    if !a_rest.is_empty() {
        let product = simd.mul(simd.load(&padded(a_rest)), simd.load(&padded(b_rest)));
        sums[0] = simd.add(sums[0], product);
    }
    simd.sum(simd.add(sums[0], sums[1]))
}

/// Fewer values than a register has, padded with zeros.
#[inline(always)]
fn padded(values: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}
