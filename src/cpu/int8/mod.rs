//! Products of affine weights with 8-bit activations: what makes the CPU fast.
//!
//! A row of activations is rounded to i8 with one scale `d` per group of the weight's columns. With `w = s * q + b`
//! the sum over a group is `s * d * sum(q * x8) + b * sum(x)`: the first sum is integers, and the second is exact and made
//! once for all rows. The rounding is that of the W8A8 scheme of arXiv 2402.14905 (section 4), per group instead of per token.
//!
//! One file an instruction set; `portable` is the specification of the others.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;

use std::ops::Range;

use super::matmul::MIN_ROWS;
use super::parallel::{for_each_chunk, threads};
use crate::matrix::{Affine, Format, Matrix, ScaleFormat};

/// Columns that the 4-bit kernels take at once; [`Activations`] are ordered in blocks of as many.
const BLOCK: usize = 32;

/// Activation rows that share one reading of a weight row.
const TILE: usize = 4;

/// Rows of activations as 8-bit integers.
pub struct Activations {
    rows: Vec<Row>,
}

/// One row: `x[c] ~ scales[c / group_size] * values[c]`.
struct Row {
    /// For 4-bit weights each block of 32 columns is stored even columns first, as nibbles unpack.
    values: Vec<i8>,
    /// One a group.
    scales: Vec<f32>,
    /// Sum of the unrounded values of each group.
    sums: Vec<f32>,
}

/// One weight row: packed integers, and (scale, bias) of each group.
#[derive(Clone, Copy)]
struct WeightRow<'a> {
    bytes: &'a [u8],
    scales: &'a [[f32; 2]],
}

/// Brings a matrix into the form that [`matmul`] reads: scales as f32, so that no row converts them again.
pub fn prepare(mut matrix: Matrix) -> Matrix {
    let Format::Affine(affine) = matrix.format else { return matrix };
    if affine.scales != ScaleFormat::F32 {
        let groups = matrix.rows * (matrix.cols / affine.group_size as usize);
        let pairs = (0..groups).map(|group| affine.scales.get(&matrix.scales, group));
        matrix.scales = pairs.flat_map(|(scale, bias)| [scale.to_bits(), bias.to_bits()]).collect();
        matrix.format = Format::Affine(Affine { scales: ScaleFormat::F32, ..affine });
    }
    matrix
}

/// The integers of a matrix that [`prepare`] made; `None` for floats.
pub fn affine_of(matrix: &Matrix) -> Option<Affine> {
    match matrix.format {
        Format::Affine(affine) if affine.scales == ScaleFormat::F32 => Some(affine),
        _ => None,
    }
}

impl Activations {
    /// Rounds rows of `cols` activations for weights of that kind.
    pub fn new(x: &[f32], cols: usize, affine: Affine) -> Self {
        Self { rows: x.chunks_exact(cols).map(|row| Row::new(row, affine)).collect() }
    }
}

impl Row {
    fn new(x: &[f32], affine: Affine) -> Self {
        let mut row = Self { values: vec![0; x.len()], scales: Vec::new(), sums: Vec::new() };
        let group_size = affine.group_size as usize;
        for (group, values) in x.chunks_exact(group_size).zip(row.values.chunks_exact_mut(group_size)) {
            let largest = group.iter().fold(0.0f32, |max, v| max.max(v.abs()));
            let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            for (block, values) in group.chunks_exact(BLOCK).zip(values.chunks_exact_mut(BLOCK)) {
                for (c, v) in block.iter().enumerate() {
                    let at = if affine.bits == 4 { c / 2 + BLOCK / 2 * (c % 2) } else { c };
                    // The product is within 127 and half away from zero rounds to within it.
                    values[at] = (v * inverse).round() as i8;
                }
            }
            row.scales.push(largest / 127.0);
            row.sums.push(group.iter().sum());
        }
        row
    }
}

/// `out[t][r] = dot(weight row rows.start + r, x[t])`; `out` is `[batch, rows.len()]`. The contract of
/// [`super::matmul::matmul`] but for the rounding of `x`.
pub fn matmul(weight: &Matrix, affine: Affine, rows: Range<usize>, x: &Activations, out: &mut [f32]) {
    matmul_with(Isa::detect(), weight, affine, rows, x, out);
}

fn matmul_with(
    isa: Isa,
    weight: &Matrix,
    affine: Affine,
    rows: Range<usize>,
    x: &Activations,
    out: &mut [f32],
) {
    let width = rows.len();
    if let [row] = &x.rows[..] {
        let chunk = width.div_ceil(threads()).max(MIN_ROWS);
        for_each_chunk(out, chunk, |index, out| {
            let from = rows.start + index * chunk;
            isa.rows(weight, affine, from..from + out.len(), std::array::from_ref(row), out);
        });
        return;
    }
    for_each_chunk(out, TILE * width, |tile, out| {
        let x = &x.rows[tile * TILE..][..out.len() / width];
        if let Ok(x) = <&[Row; TILE]>::try_from(x) {
            isa.rows(weight, affine, rows.clone(), x, out);
        } else {
            for (row, out) in x.iter().zip(out.chunks_mut(width)) {
                isa.rows(weight, affine, rows.clone(), std::array::from_ref(row), out);
            }
        }
    });
}

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    #[cfg_attr(target_feature = "simd128", expect(dead_code, reason = "simd128 is certain in that build"))]
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
}

impl Isa {
    /// The best one. The standard library caches what it detected.
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        return Self::Simd128;
        #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
        Self::Portable
    }

    fn rows<const T: usize>(
        self,
        weight: &Matrix,
        affine: Affine,
        rows: Range<usize>,
        x: &[Row; T],
        out: &mut [f32],
    ) {
        match self {
            Self::Portable => portable::rows(weight, affine, rows, x, out),
            // SAFETY: `detect` found the instructions on this machine.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { avx2::rows(weight, affine, rows, x, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { avx512::rows(weight, affine, rows, x, out) },
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => simd128::rows(weight, affine, rows, x, out),
        }
    }
}

/// Row `row` of a prepared matrix.
fn weight_row(weight: &Matrix, row: usize) -> WeightRow<'_> {
    WeightRow {
        bytes: bytemuck::cast_slice(weight.row_words(row)),
        scales: bytemuck::cast_slice(weight.row_scales(row)),
    }
}

/// The loop over weight rows, made inside each instruction set's own function so that its dot product is inlined there.
macro_rules! rows_loop {
    ($weight:expr, $affine:expr, $rows:expr, $x:expr, $out:expr) => {{
        let (affine, width) = ($affine, $rows.len());
        for (r, row) in $rows.enumerate() {
            let weight_row = crate::cpu::int8::weight_row($weight, row);
            let sums = match affine.bits {
                4 => dot::<4, T>(weight_row, affine.group_size as usize, $x),
                _ => dot::<8, T>(weight_row, affine.group_size as usize, $x),
            };
            for (t, sum) in sums.into_iter().enumerate() {
                $out[t * width + r] = sum;
            }
        }
    }};
}
use rows_loop;

/// The exact part of each product: `sum over groups of bias * sum(x)`.
#[inline]
fn bias_part<const T: usize>(scales: &[[f32; 2]], x: &[Row; T]) -> [f32; T] {
    std::array::from_fn(|t| scales.iter().zip(&x[t].sums).map(|([_, bias], sum)| bias * sum).sum())
}

#[cfg(test)]
mod tests;
