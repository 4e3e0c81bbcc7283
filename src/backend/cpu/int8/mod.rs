//! Products of affine weights with 8-bit activations: what makes the CPU fast.
//!
//! A row of activations is rounded to integers `x8` that count steps `d`, one for every 32 columns. With `w = s * q + b` the sum over
//! a group is `s * sum(d * sum(q * x8)) + b * sum(d * sum(x8))`. Both inner sums are exact, and both are of the rounded values: else
//! rounding errors would be multiplied by the stored integers, which lie far from zero, and not by the weights, which lie
//! around it. The rounding is that of the W8A8 scheme of arXiv 2402.14905 (section 4), by 32 columns instead of by token, with
//! second integers for outliers (see [`Activations`]).
//!
//! A row's products are the same to the bit whatever batch it is in and however the work is divided.

mod activations;
mod kernel;
mod panels;

pub use activations::Activations;
pub use panels::Panels;

use super::matmul::MIN_ROWS;
use super::parallel::{for_each_block, threads};
use super::simd::{Isa, LANES};
use kernel::Products;

/// `out[t][r] = dot(weight row r, x[t])` for the first `width` rows; `out` is `[batch, width]`. The contract of
/// [`super::matmul::matmul`] but for the rounding of `x`.
pub fn matmul(weight: &Panels, width: usize, x: &Activations, out: &mut [f32]) {
    matmul_with(Isa::detect(), weight, width, x, out);
}

fn matmul_with(isa: Isa, weight: &Panels, width: usize, x: &Activations, out: &mut [f32]) {
    let block = width.div_ceil(threads()).max(MIN_ROWS).next_multiple_of(LANES);
    for_each_block(out, width, block, |index, out| {
        isa.run(Products { weight, x, first_panel: index * block / LANES, out });
    });
}

#[cfg(test)]
mod tests;
