//! Activations as 8-bit integers.

use super::panels::Panels;
use crate::cpu::simd::Values;
use crate::cpu::wide::wide;

/// Rows of activations, rounded group by group: `x[c] ~ scale * value[c]`.
///
/// It keeps its memory, so that rounding the next batch allocates nothing.
#[derive(Default)]
pub struct Activations {
    rows: usize,
    groups: usize,
    group_size: usize,
    /// `[rows, groups * group_size]`.
    values: Vec<i8>,
    /// `[rows, groups]`.
    scales: Vec<Scale>,
}

/// Of one group.
#[derive(Clone, Copy, Default)]
pub(super) struct Scale {
    /// What an integer counts.
    pub(super) scale: f32,
    /// Sum of the unrounded values.
    pub(super) sum: f32,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) values: &'a [Values],
    pub(super) scales: &'a [Scale],
}

impl Activations {
    /// Rounds rows of activations for their products with `weight`.
    pub fn round(&mut self, x: &[f32], weight: &Panels) {
        let (cols, group_size) = (weight.cols, weight.affine.group_size as usize);
        (self.rows, self.groups, self.group_size) = (x.len() / cols, cols / group_size, group_size);
        self.values.resize(x.len(), 0);
        self.scales.resize(self.rows * self.groups, Scale::default());
        round(x, group_size, &mut self.values, &mut self.scales);
    }

    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    #[inline]
    pub(super) fn row(&self, row: usize) -> Row<'_> {
        let cols = self.groups * self.group_size;
        let (quads, _) = self.values[row * cols..(row + 1) * cols].as_chunks();
        Row { values: quads.as_chunks().0, scales: &self.scales[row * self.groups..(row + 1) * self.groups] }
    }
}

/// Adding it leaves an f32's nearest integer in the lowest bits of the sum, ties to even.
const ROUND: f32 = 12_582_912.0;

/// Running maxima and sums of a group.
const LANES: usize = 16;

wide! {
    fn round(x: &[f32], group_size: usize, values: &mut [i8], scales: &mut [Scale]) {
        let groups = x.chunks_exact(group_size).zip(values.chunks_exact_mut(group_size));
        for ((group, values), scale) in groups.zip(scales) {
            let mut largest = [0.0f32; LANES];
            let mut sums = [0.0f32; LANES];
            for chunk in group.as_chunks::<LANES>().0 {
                for lane in 0..LANES {
                    largest[lane] = largest[lane].max(chunk[lane].abs());
                    sums[lane] += chunk[lane];
                }
            }
            let largest = largest.into_iter().fold(0.0, f32::max);
            // A denormal's inverse is infinite; all such values are as good as zero.
            let inverse = if largest > f32::MIN_POSITIVE { 127.0 / largest } else { 0.0 };
            for (value, v) in values.iter_mut().zip(group) {
                *value = (v * inverse + ROUND).to_bits() as i8;
            }
            *scale = Scale { scale: largest / 127.0, sum: sums.iter().sum() };
        }
    }
}
