//! The products: a loop over panels, tiles of activations and groups.

use super::activations::{Activations, Row};
use super::panels::{Panels, Record};
use crate::cpu::simd::{Kernel, LANES, Simd};

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
        match self.weight.affine.bits {
            4 => self.panels::<S, 4>(simd),
            _ => self.panels::<S, 8>(simd),
        }
    }
}

impl Products<'_, '_> {
    #[inline(always)]
    fn panels<S: Simd, const BITS: usize>(self, simd: S) {
        let Self { weight, x, first_panel, out } = self;
        debug_assert_eq!(out.len(), x.rows());
        let width = out.first().map_or(0, |out| out.len());
        let (tiles, rest) = out.as_chunks_mut::<TILE>();
        let tiled = tiles.len() * TILE;
        for panel in 0..width.div_ceil(LANES) {
            let columns = panel * LANES..width.min((panel + 1) * LANES);
            for (tile, out) in tiles.iter_mut().enumerate() {
                let x: [_; TILE] = std::array::from_fn(|t| x.row(tile * TILE + t));
                let products = products::<S, BITS, TILE>(simd, weight.panel(first_panel + panel), x);
                for (out, products) in out.iter_mut().zip(&products) {
                    out[columns.clone()].copy_from_slice(&products[..columns.len()]);
                }
            }
            for (row, out) in rest.iter_mut().enumerate() {
                let x = [x.row(tiled + row)];
                let [products] = products::<S, BITS, 1>(simd, weight.panel(first_panel + panel), x);
                out[columns.clone()].copy_from_slice(&products[..columns.len()]);
            }
        }
    }
}

/// Products of a panel's eight rows with `T` activation rows: `scale * d * sum(q * x8) + bias * sum(x)` over all groups.
#[inline(always)]
fn products<'a, S: Simd, const BITS: usize, const T: usize>(
    simd: S,
    panel: impl Iterator<Item = Record<'a>>,
    x: [Row<'a>; T],
) -> [[f32; LANES]; T] {
    let mut sums = [simd.splat(0.0); T];
    let mut unit = 0;
    for (group, Record { head, vectors }) in panel.enumerate() {
        let mut ints = [simd.no_ints(); T];
        for vectors in vectors.as_chunks::<BITS>().0 {
            simd.multiply::<BITS, T>(vectors, x.map(|x| &x.values[unit]), &mut ints);
            unit += 1;
        }
        let (scales, biases) = (simd.load(&head.scales), simd.load(&head.biases));
        for t in 0..T {
            let x = x[t].scales[group];
            let scales = simd.mul(scales, simd.splat(x.scale));
            let biases = simd.mul(biases, simd.splat(x.sum));
            sums[t] = simd.add(simd.add(sums[t], simd.mul(simd.to_floats(ints[t]), scales)), biases);
        }
    }
    sums.map(|sums| simd.store(sums))
}
