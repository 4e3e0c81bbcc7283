//! Each instruction set against the plain product and against the others, on random matrices.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::matrix::{Affine, Format, Matrix, ScaleFormat};

/// A cheap stream of pseudo-random words (xorshift32).
fn random(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    }
}

fn random_matrix(rows: usize, cols: usize, affine: Affine, seed: u32) -> Matrix {
    let mut next = random(seed);
    let mut matrix = Matrix::zeros(rows, cols, Format::Affine(affine));
    matrix.words.iter_mut().for_each(|word| *word = next());
    for pair in matrix.scales.chunks_exact_mut(2) {
        pair[0] = (0.01 + next() as f32 / u32::MAX as f32 / 50.0).to_bits();
        pair[1] = (-0.1 - next() as f32 / u32::MAX as f32 / 10.0).to_bits();
    }
    matrix
}

fn random_values(len: usize) -> Vec<f32> {
    let mut next = random(99);
    (0..len).map(|_| next() as f32 / u32::MAX as f32 - 0.5).collect()
}

fn products(isa: Isa, weight: &Panels, width: usize, x: &[f32]) -> Vec<f32> {
    let mut rounded = Activations::default();
    rounded.round(x, weight);
    let mut out = vec![f32::NAN; x.len() / weight.cols * width];
    matmul_with(isa, weight, width, &rounded, &mut out);
    out
}

/// Bits, group size, rows, columns: full panels and not, every group, more than one block of rows.
const SHAPES: [(u32, u32, usize, usize); 10] = [
    (4, 32, 7, 32),
    (8, 32, 7, 32),
    (4, 32, 9, 96),
    (8, 32, 9, 96),
    (4, 64, 200, 576),
    (8, 64, 200, 576),
    (4, 64, 8, 64),
    (8, 64, 1, 64),
    (4, 128, 17, 1536),
    (8, 128, 17, 1536),
];

fn matrices() -> impl Iterator<Item = (Matrix, Panels)> {
    SHAPES.into_iter().map(|(bits, group_size, rows, cols)| {
        let affine = Affine { bits, group_size, scales: ScaleFormat::F32 };
        let matrix = random_matrix(rows, cols, affine, 1 + cols as u32);
        let panels = Panels::new(&matrix).unwrap();
        (matrix, panels)
    })
}

#[test]
fn panels_hold_the_matrix() {
    for (matrix, panels) in matrices() {
        let (mut expected, mut got) = (vec![0.0; matrix.cols], vec![f32::NAN; matrix.cols]);
        for row in 0..matrix.rows {
            matrix.dequantize_row(row, &mut expected);
            panels.dequantize_row(row, &mut got);
            assert_eq!(got, expected, "{:?} row {row}", matrix.format);
        }
    }
}

#[test]
fn every_instruction_set_gives_the_plain_product() {
    for (matrix, panels) in matrices() {
        for batch in [1, 4, 6] {
            let x = random_values(batch * matrix.cols);
            // A prefix of the rows, as layer sharing asks for.
            let width = matrix.rows.div_ceil(2);
            let mut expected = vec![0.0; batch * width];
            crate::cpu::matmul::matmul(&matrix, 0..width, &x, &mut expected);
            let largest = expected.iter().fold(0.0f32, |max, v| max.max(v.abs()));
            let portable = products(Isa::all()[0], &panels, width, &x);
            for (got, expected) in portable.iter().zip(&expected) {
                assert!((got - expected).abs() <= 0.02 * largest, "{:?}: {got} {expected}", matrix.format);
            }
            for isa in Isa::all() {
                assert_eq!(products(isa, &panels, width, &x), portable, "{isa:?} {:?}", matrix.format);
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    for (matrix, panels) in matrices() {
        let x = random_values(11 * matrix.cols);
        for isa in Isa::all() {
            let rows: Vec<_> = x.chunks_exact(matrix.cols).collect();
            let singles: Vec<f32> =
                rows.iter().flat_map(|row| products(isa, &panels, matrix.rows, row)).collect();
            for batch in [2, 3, 4, 5, 8, 11] {
                let got = products(isa, &panels, matrix.rows, &x[..batch * matrix.cols]);
                let same = got.iter().zip(&singles).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{isa:?} {:?} {batch} rows", matrix.format);
            }
        }
    }
}

#[test]
fn extremes_do_not_overflow() {
    for (bits, largest) in [(4, 15.0), (8, 255.0)] {
        let affine = Affine { bits, group_size: 128, scales: ScaleFormat::F32 };
        let mut matrix = random_matrix(1, 256, affine, 3);
        matrix.words.fill(u32::MAX);
        matrix.scales.chunks_exact_mut(2).for_each(|pair| pair.copy_from_slice(&[1f32.to_bits(), 0]));
        let panels = Panels::new(&matrix).unwrap();
        for (x, sign) in [([1.0; 256], 1.0), ([-1.0; 256], -1.0)] {
            for isa in Isa::all() {
                let [got] = products(isa, &panels, 1, &x)[..] else { panic!("one product") };
                let expected = sign * largest * 256.0;
                assert!((got - expected).abs() <= 1e-4 * expected.abs(), "{isa:?} {bits}: {got} {expected}");
            }
        }
    }
}

#[test]
fn zeros_and_infinities_stay_where_they_are() {
    let affine = Affine { bits: 4, group_size: 32, scales: ScaleFormat::F32 };
    let panels = Panels::new(&random_matrix(1, 64, affine, 5)).unwrap();
    for isa in Isa::all() {
        assert_eq!(products(isa, &panels, 1, &[0.0; 64]), [0.0]);
        for bad in [f32::INFINITY, f32::NAN] {
            let mut x = [0.0; 64];
            x[3] = bad;
            assert!(!products(isa, &panels, 1, &x)[0].is_finite(), "{isa:?}: {bad} must show, not vanish");
        }
    }
}
