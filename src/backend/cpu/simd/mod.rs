//! Vector registers: what the kernels ask of an instruction set, and the choice of one when the program runs.
//!
//! A kernel is written once, over [`Simd`]; one file an instruction set says what its registers do, and `portable` is the
//! specification of the others. All give the same bits: integer sums are exact, and float operations are the same ones
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

/// Lanes of a register, or of two where registers are short.
pub(crate) const LANES: usize = 8;

/// Columns of integer weights that are multiplied at once.
pub(crate) const UNIT: usize = 32;

/// Four columns of eight rows of weights: `[row][column]`.
pub(crate) type Bytes = [u8; UNIT];

/// A unit of activations, four by four as they meet the weights.
pub(crate) type Values = [[i8; 4]; UNIT / 4];

/// What an instruction set does. A value of the type is the proof that the machine has it.
pub(crate) trait Simd: Copy {
    /// Eight i32.
    type Ints: Copy;
    /// Eight f32.
    type Floats: Copy;

    fn no_ints(self) -> Self::Ints;

    /// Adds to `sums[t]` the products of a piece of a unit of weights, eight rows of it, with the activations `x[t]`: as many
    /// quads as the vectors have columns.
    ///
    /// With 8 bits, vector `v` holds columns `4 v..4 v + 4`; with 4 bits it holds columns `8 v..8 v + 4` in the lower halves of its
    /// bytes and the next four in the upper.
    fn multiply<const BITS: usize, const VECTORS: usize, const T: usize>(
        self,
        weights: &[Bytes; VECTORS],
        x: [&[[i8; 4]]; T],
        sums: &mut [Self::Ints; T],
    );

    fn to_floats(self, ints: Self::Ints) -> Self::Floats;

    fn splat(self, value: f32) -> Self::Floats;

    fn load(self, values: &[f32; LANES]) -> Self::Floats;

    fn store(self, floats: Self::Floats) -> [f32; LANES];

    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;

    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// The sum of all lanes: halves are added until one is left.
    fn sum(self, floats: Self::Floats) -> f32;
}

/// Work that is compiled for every instruction set; see [`Isa::run`]. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The dot product of two slices of one length.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    // Two running sums: an addition takes longer than a load.
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

/// Less than a register of values, and zeros.
#[inline(always)]
fn padded(values: &[f32]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}
