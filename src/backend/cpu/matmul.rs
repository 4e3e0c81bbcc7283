//! Matrix products with weights in any format.

use std::ops::Range;

use super::parallel::{for_each_block, threads};
use super::simd::{Isa, Kernel, Simd, dot};
use crate::model::matrix::Matrix;

/// Weight rows that are worth waking a thread for.
pub(super) const MIN_ROWS: usize = 64;

/// Weights that give up their rows as f32, one by one.
pub trait Unpack: Sync {
    /// Values of a row.
    fn cols(&self) -> usize;

    /// Writes row `row` into `out`, `cols` values long.
    fn dequantize_row(&self, row: usize, out: &mut [f32]);
}

impl Unpack for Matrix {
    fn cols(&self) -> usize {
        self.cols
    }

    fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        self.dequantize_row(row, out);
    }
}

/// `out[t][r] = dot(weight row rows.start + r, x[t])` for the batch's `t` and the chosen `rows`.
///
/// `x` is `[batch, weight.cols()]`, `out` is `[batch, rows.len()]`.
pub fn matmul(weight: &impl Unpack, rows: Range<usize>, x: &[f32], out: &mut [f32]) {
    let isa = Isa::detect();
    let width = rows.len();
    let block = width.div_ceil(threads()).max(MIN_ROWS);
    for_each_block(out, width, block, |index, out| {
        isa.run(Products { weight, first_row: rows.start + index * block, x, out });
    });
}

/// Products of the weight rows from `first_row` on with every row of `x`; `out` has a slice for each, all equally long.
struct Products<'a, 'b, W> {
    weight: &'a W,
    first_row: usize,
    x: &'a [f32],
    out: &'a mut [&'b mut [f32]],
}

impl<W: Unpack> Kernel for Products<'_, '_, W> {
    type Output = ();

    /// A weight row is unpacked once for the whole batch.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { weight, first_row, x, out } = self;
        let mut unpacked = vec![0.0; weight.cols()];
        for r in 0..out.first().map_or(0, |out| out.len()) {
            weight.dequantize_row(first_row + r, &mut unpacked);
            for (x, out) in x.chunks_exact(weight.cols()).zip(out.iter_mut()) {
                out[r] = dot(simd, &unpacked, x);
            }
        }
    }
}

/// Adds `bias` to each row of `out`.
pub fn add_bias(bias: &[f32], out: &mut [f32]) {
    for row in out.chunks_exact_mut(bias.len()) {
        add(bias, row);
    }
}

/// `out += x`.
pub fn add(x: &[f32], out: &mut [f32]) {
    for (o, v) in out.iter_mut().zip(x) {
        *o += v;
    }
}
