//! Activations as 8-bit integers.

use super::panels::Panels;
use crate::backend::cpu::simd::{UNIT, Values};
use crate::backend::cpu::wide::wide;

/// Rows of activations, rounded unit by unit to `x[c] ~ scale * value[c]`; a unit is 32 columns.
///
/// A few activations of a trained model are thousands of times larger than the others of their row, and the steps of their
/// unit as much coarser. So where the largest of a unit exceeds `OUTLIER` times the root mean square of its row, what the
/// first rounding left over is rounded too, to a second integer that counts 254ths of the first. No activation is then off
/// by more than a 63rd of its row's root mean square, whatever the model.
///
/// It keeps its memory, so that rounding the next batch allocates nothing.
#[derive(Default)]
pub struct Activations {
    cols: usize,
    /// Columns that share a scale of the weights.
    group_size: usize,
    /// `[rows, cols / UNIT]`.
    units: Vec<Unit>,
    /// Sums of the rounded values, `[rows, cols / group_size]`.
    sums: Vec<f32>,
    /// Second integers, row by row.
    rests: Vec<Rest>,
    /// Where the rests of each row end.
    ends: Vec<usize>,
}

/// Columns that share a step.
#[derive(Clone, Copy, Default)]
pub(super) struct Unit {
    /// What an integer counts.
    pub(super) step: f32,
    pub(super) values: Values,
}

/// The second integers of a unit.
#[derive(Clone, Copy)]
pub(super) struct Rest {
    /// Which unit of its row.
    pub(super) index: usize,
    pub(super) unit: Unit,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) units: &'a [Unit],
    pub(super) sums: &'a [f32],
    pub(super) rests: &'a [Rest],
}

/// How many times the root mean square of its row an activation has to be for its unit to get second integers. On
/// SmolLM2-135M in its 4-bit file, the mean KL divergence is 0.0008 nats with 6, 0.0004 with 4, and 0.0003 with 3.
const OUTLIER: f32 = 4.0;

/// Steps of the second integers in one of the first: half of it to each side.
const STEPS: f32 = 254.0;

impl Activations {
    /// Rounds rows of activations for their products with `weight`.
    pub fn round(&mut self, x: &[f32], weight: &Panels) {
        (self.cols, self.group_size) = (weight.cols, weight.affine.group_size as usize);
        self.units.resize(x.len() / UNIT, Unit::default());
        self.sums.resize(x.len() / self.group_size, 0.0);
        self.rests.clear();
        self.ends.clear();
        let units = self.units.chunks_exact_mut(self.cols / UNIT);
        let sums = self.sums.chunks_exact_mut(self.cols / self.group_size);
        for ((x, units), sums) in x.chunks_exact(self.cols).zip(units).zip(sums) {
            round(x, units, sums, &mut self.rests);
            self.ends.push(self.rests.len());
        }
    }

    /// The rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let units = self.units.chunks_exact(self.cols / UNIT);
        let sums = self.sums.chunks_exact(self.cols / self.group_size);
        let mut first = 0;
        units.zip(sums).zip(&self.ends).map(move |((units, sums), end)| {
            let rests = &self.rests[first..*end];
            first = *end;
            Row { units, sums, rests }
        })
    }
}

/// Adding it leaves an f32's nearest integer in the lowest bits of the sum, ties to even.
const ROUND: f32 = 12_582_912.0;

/// Running sums of a row.
const LANES: usize = 16;

wide! {
    /// Rounds one row. A group is a few units, or half of one.
    fn round(x: &[f32], units: &mut [Unit], sums: &mut [f32], rests: &mut Vec<Rest>) {
        // Above it a unit gets second integers; where squares are infinite none does.
        let limit = OUTLIER * OUTLIER * sum_of_squares(x) / x.len() as f32;
        let (num_units, num_groups) = (units.len(), sums.len());
        sums.fill(0.0);
        for (index, (x, unit)) in x.as_chunks().0.iter().zip(units).enumerate() {
            let largest = largest(x);
            let step = largest / 127.0;
            // A denormal's inverse is infinite; all such values are as good as zero.
            let inverse = if largest > f32::MIN_POSITIVE { 127.0 / largest } else { 0.0 };
            let sum = round_unit(x, step, inverse, unit);
            add_to_groups(sums, index, sum, unit, num_units, num_groups);
            if largest * largest > limit {
                let mut rest = [0.0; UNIT];
                let values: &[i8; UNIT] = bytemuck::cast_ref(&unit.values);
                for ((rest, x), value) in rest.iter_mut().zip(x).zip(values) {
                    *rest = x - f32::from(*value) * step;
                }
                let mut unit = Unit::default();
                let sum = round_unit(&rest, step / STEPS, STEPS * inverse, &mut unit);
                add_to_groups(sums, index, sum, &unit, num_units, num_groups);
                rests.push(Rest { index, unit });
            }
        }
    }
}

/// The largest absolute value; whatever is not a number is larger than all numbers.
#[inline(always)]
fn largest(x: &[f32; UNIT]) -> f32 {
    let mut bits = x.map(|x| x.abs().to_bits());
    let mut half = UNIT / 2;
    while half > 0 {
        for lane in 0..half {
            bits[lane] = bits[lane].max(bits[lane + half]);
        }
        half /= 2;
    }
    f32::from_bits(bits[0])
}

#[inline(always)]
fn sum_of_squares(x: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for chunk in x.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sums[lane] += chunk[lane] * chunk[lane];
        }
    }
    sums.into_iter().sum()
}

/// Rounds to the nearest multiples of `step`, whose inverse is given, and returns the sum of the integers.
#[inline(always)]
fn round_unit(x: &[f32; UNIT], step: f32, inverse: f32, unit: &mut Unit) -> i32 {
    let mut sum = 0i32;
    let values: &mut [i8; UNIT] = bytemuck::cast_mut(&mut unit.values);
    for (value, x) in values.iter_mut().zip(x) {
        let bits = (x * inverse + ROUND).to_bits();
        *value = bits as i8;
        sum = sum.wrapping_add(bits.wrapping_sub(ROUND.to_bits()).cast_signed());
    }
    unit.step = step;
    sum
}

/// Adds a unit's sum to that of its group, or of its two groups.
#[inline(always)]
fn add_to_groups(sums: &mut [f32], index: usize, sum: i32, unit: &Unit, num_units: usize, num_groups: usize) {
    if num_groups > num_units {
        let values: &[i8; UNIT] = bytemuck::cast_ref(&unit.values);
        let low: i32 = values[..UNIT / 2].iter().map(|value| i32::from(*value)).sum();
        sums[2 * index] += unit.step * low as f32;
        sums[2 * index + 1] += unit.step * sum.wrapping_sub(low) as f32;
    } else {
        sums[index * num_groups / num_units] += unit.step * sum as f32;
    }
}
