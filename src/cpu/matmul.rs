//! Matrix products with weights in any format.

use std::ops::Range;

use crate::matrix::Matrix;

/// `out[t][r] = dot(weight row rows.start + r, x[t])` for the batch's `t` and the chosen `rows`.
///
/// `x` is `[batch, weight.cols]`, `out` is `[batch, rows.len()]`. A weight row is unpacked once for the whole batch.
pub fn matmul(weight: &Matrix, rows: Range<usize>, x: &[f32], out: &mut [f32]) {
    let width = rows.len();
    let mut unpacked = vec![0.0; weight.cols];
    for (r, row) in rows.enumerate() {
        weight.dequantize_row(row, &mut unpacked);
        for (t, x) in x.chunks_exact(weight.cols).enumerate() {
            out[t * width + r] = dot(&unpacked, x);
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
