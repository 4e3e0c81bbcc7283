//! The products: a loop over panels, tiles of activations and groups.

use super::activations::{Activations, Rest, Row};
use super::panels::{Panel, Panels, Record};
use crate::backend::cpu::simd::{Kernel, LANES, Simd, UNIT};
use crate::model::matrix::Affine;

/// Activation rows that share one reading of a panel.
const TILE: usize = 4;

/// Products of the weight rows from panel `first_panel` on with every row of `x`.
pub(super) struct Products<'a, 'b> {
    pub(super) weight: &'a Panels,
    pub(super) x: &'a Activations,
    pub(super) first_panel: usize,
    /// A slice for each row of `x`, all equally long.
    pub(super) out: &'a mut [&'b mut [f32]],
}

impl Kernel for Products<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Affine { bits, group_size, .. } = self.weight.affine;
        match (bits, group_size as usize >= UNIT) {
            (4, true) => self.panels::<S, 4, 4, 8>(simd),
            (4, false) => self.panels::<S, 4, 2, 4>(simd),
            (_, true) => self.panels::<S, 8, 8, 8>(simd),
            (_, false) => self.panels::<S, 8, 4, 4>(simd),
        }
    }
}

impl Products<'_, '_> {
    /// A piece is a unit, or half a unit where groups are no longer: `VECTORS` vectors of weights, and `QUADS` times four activations.
    #[inline(always)]
    fn panels<S: Simd, const BITS: usize, const VECTORS: usize, const QUADS: usize>(self, simd: S) {
        let Self { weight, x, first_panel, out } = self;
        let x: Vec<_> = x.rows().collect();
        debug_assert_eq!(out.len(), x.len());
        let width = out.first().map_or(0, |out| out.len());
        let (x_tiles, x_rest) = x.as_chunks();
        let (out_tiles, out_rest) = out.as_chunks_mut::<TILE>();
        for panel in 0..width.div_ceil(LANES) {
            let columns = panel * LANES..width.min((panel + 1) * LANES);
            let panel = weight.panel(first_panel + panel);
            for (x, out) in x_tiles.iter().zip(&mut *out_tiles) {
                let products = products::<S, BITS, VECTORS, QUADS, TILE>(simd, panel, x);
                for (out, products) in out.iter_mut().zip(&products) {
                    out[columns.clone()].copy_from_slice(&products[..columns.len()]);
                }
            }
            for (x, out) in x_rest.as_chunks().0.iter().zip(&mut *out_rest) {
                let [products] = products::<S, BITS, VECTORS, QUADS, 1>(simd, panel, x);
                out[columns.clone()].copy_from_slice(&products[..columns.len()]);
            }
        }
    }
}

/// Products of a panel's eight rows with `T` activation rows: over all groups `scale * sum(step * q * x8) + bias * sum(step * x8)`.
#[inline(always)]
fn products<S: Simd, const BITS: usize, const VECTORS: usize, const QUADS: usize, const T: usize>(
    simd: S,
    panel: Panel<'_>,
    x: &[Row<'_>; T],
) -> [[f32; LANES]; T] {
    let mut sums = [simd.splat(0.0); T];
    let pieces_per_unit = BITS / VECTORS;
    let pieces_per_group = panel.vectors_per_group() / VECTORS;
    for (group, Record { head, vectors }) in panel.records().enumerate() {
        let pieces = vectors.as_chunks::<VECTORS>().0;
        let first_unit = group * pieces_per_group / pieces_per_unit;
        let num_units = pieces.len().div_ceil(pieces_per_unit);
        let units: [_; T] = std::array::from_fn(|t| &x[t].units[first_unit..][..num_units]);
        let mut products = [simd.splat(0.0); T];
        for (index, piece) in pieces.iter().enumerate() {
            let (unit, part) =
                (index / pieces_per_unit, (group * pieces_per_group + index) % pieces_per_unit);
            let mut ints = [simd.no_ints(); T];
            let x = units.map(|units| &units[unit].values.as_chunks::<QUADS>().0[part]);
            simd.multiply::<BITS, VECTORS, QUADS, T>(piece, x, &mut ints);
            for t in 0..T {
                let scaled = simd.mul(simd.to_floats(ints[t]), simd.splat(units[t][unit].step));
                products[t] = simd.add(products[t], scaled);
            }
        }
        let (scales, biases) = (simd.load(&head.scales), simd.load(&head.biases));
        for t in 0..T {
            let biases = simd.mul(biases, simd.splat(x[t].sums[group]));
            sums[t] = simd.add(simd.add(sums[t], simd.mul(products[t], scales)), biases);
        }
    }
    for t in 0..T {
        for Rest { index, unit } in x[t].rests {
            for part in 0..pieces_per_unit {
                let piece = index * pieces_per_unit + part;
                let Record { head, vectors } = panel.record(piece / pieces_per_group);
                let vectors = &vectors.as_chunks::<VECTORS>().0[piece % pieces_per_group];
                let mut ints = [simd.no_ints()];
                let x = &unit.values.as_chunks::<QUADS>().0[part];
                simd.multiply::<BITS, VECTORS, QUADS, 1>(vectors, [x], &mut ints);
                let scales = simd.mul(simd.load(&head.scales), simd.splat(unit.step));
                sums[t] = simd.add(sums[t], simd.mul(simd.to_floats(ints[0]), scales));
            }
        }
    }
    sums.map(|sums| simd.store(sums))
}
