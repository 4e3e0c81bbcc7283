//! The products in plain Rust: the specification, and what runs where no other file does.

use std::ops::Range;

use super::{BLOCK, Row, WeightRow, bias_part, rows_loop};
use crate::matrix::{Affine, Matrix};

/// Products of `rows` with a tile of activations; `out` is `[T, rows.len()]`.
pub(super) fn rows<const T: usize>(
    weight: &Matrix,
    affine: Affine,
    rows: Range<usize>,
    x: &[Row; T],
    out: &mut [f32],
) {
    rows_loop!(weight, affine, rows, x, out);
}

fn dot<const BITS: usize, const T: usize>(w: WeightRow<'_>, group_size: usize, x: &[Row; T]) -> [f32; T] {
    let mut sums = bias_part(w.scales, x);
    for (group, (bytes, [scale, _])) in w.bytes.chunks_exact(group_size * BITS / 8).zip(w.scales).enumerate()
    {
        for (sum, x) in sums.iter_mut().zip(x) {
            let values = &x.values[group * group_size..(group + 1) * group_size];
            let blocks = bytes.chunks_exact(BLOCK * BITS / 8).zip(values.chunks_exact(BLOCK));
            let product: i32 = blocks.map(|(bytes, values)| products::<BITS>(bytes, values)).sum();
            *sum += scale * x.scales[group] * product as f32;
        }
    }
    sums
}

/// The sum of one block's products.
fn products<const BITS: usize>(bytes: &[u8], values: &[i8]) -> i32 {
    let product = |(q, v): (u8, &i8)| i32::from(q) * i32::from(*v);
    if BITS == 8 {
        return bytes.iter().copied().zip(values).map(product).sum();
    }
    let (even, odd) = values.split_at(BLOCK / 2);
    let low: i32 = bytes.iter().map(|byte| byte & 15).zip(even).map(product).sum();
    let high: i32 = bytes.iter().map(|byte| byte >> 4).zip(odd).map(product).sum();
    low + high
}
