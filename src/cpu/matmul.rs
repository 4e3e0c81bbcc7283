//! Matrix products with weights in any format.

use std::ops::Range;

use super::parallel::{for_each_chunk, threads};
use super::wide::wide;
use crate::matrix::Matrix;

/// Weight rows that are worth waking a thread for.
pub(super) const MIN_ROWS: usize = 64;

/// `out[t][r] = dot(weight row rows.start + r, x[t])` for the batch's `t` and the chosen `rows`.
///
/// `x` is `[batch, weight.cols]`, `out` is `[batch, rows.len()]`.
pub fn matmul(weight: &Matrix, rows: Range<usize>, x: &[f32], out: &mut [f32]) {
    let width = rows.len();
    if x.len() == weight.cols {
        let chunk = width.div_ceil(threads()).max(MIN_ROWS);
        for_each_chunk(out, chunk, |index, out| {
            let from = rows.start + index * chunk;
            products(weight, from..from + out.len(), x, out);
        });
        return;
    }
    let tile = (x.len() / weight.cols).div_ceil(threads());
    for_each_chunk(out, tile * width, |index, out| {
        let x = &x[index * tile * weight.cols..][..out.len() / width * weight.cols];
        products(weight, rows.clone(), x, out);
    });
}

wide! {
    /// A weight row is unpacked once for the whole batch.
    fn products(weight: &Matrix, rows: Range<usize>, x: &[f32], out: &mut [f32]) {
        let width = rows.len();
        let mut unpacked = vec![0.0; weight.cols];
        for (r, row) in rows.enumerate() {
            weight.dequantize_row(row, &mut unpacked);
            for (t, x) in x.chunks_exact(weight.cols).enumerate() {
                out[t * width + r] = dot(&unpacked, x);
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

/// A dot product with as many running sums as a vector register has lanes, so that the compiler may use one.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + tail
}
