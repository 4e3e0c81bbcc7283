//! Each instruction set against the plain product and against the others, on random matrices.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::backend::cpu::matmul::Unpack as _;
use crate::model::matrix::{Affine, Format, Matrix, ScaleFormat};

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
const SHAPES: [(u32, u32, usize, usize); 16] = [
    (4, 16, 7, 32),
    (8, 16, 7, 32),
    (4, 16, 9, 96),
    (8, 16, 9, 96),
    (4, 16, 200, 576),
    (8, 16, 200, 576),
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
            crate::backend::cpu::matmul::matmul(&matrix, 0..width, &x, &mut expected);
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
    for (bits, largest, group_size) in [(4, 15.0, 128), (8, 255.0, 128), (4, 15.0, 16), (8, 255.0, 16)] {
        let affine = Affine { bits, group_size, scales: ScaleFormat::F32 };
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

/// Weights around zero whose stored integers lie far from it; those of column `zero` are zero.
fn far_from_zero(rows: usize, cols: usize, affine: Affine, zero: usize) -> Matrix {
    let mut next = random(7);
    let mut matrix = Matrix::zeros(rows, cols, Format::Affine(affine));
    let (per_word, spread, center) = match affine.bits {
        4 => (8, 7, 12),
        _ => (4, 41, 220),
    };
    for row in 0..rows {
        for col in 0..cols {
            let q = if col == zero { center } else { center - spread / 2 + next() % spread };
            let word = row * cols / per_word + col / per_word;
            matrix.words[word] |= q << (affine.bits as usize * (col % per_word));
        }
    }
    for pair in matrix.scales.chunks_exact_mut(2) {
        let scale = 0.01 + next() as f32 / u32::MAX as f32 / 100.0;
        pair.copy_from_slice(&[scale.to_bits(), (-scale * center as f32).to_bits()]);
    }
    matrix
}

/// What rounding may do to a product at most: no activation is off by more than itself, nor by more than half a step of its
/// unit, which is a 127th of the largest, or a 254th of that in units that lie far above the row's root mean square.
fn bound(weights: &[f32], x: &[f32]) -> f32 {
    let rms = (x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32).sqrt();
    let units = weights.chunks(32).zip(x.chunks(32));
    let of_unit = |(weights, x): (&[f32], &[f32])| {
        let largest = x.iter().fold(0.0f32, |max, v| max.max(v.abs()));
        let step = if largest > 6.01 * rms { largest / 127.0 / 254.0 } else { largest / 127.0 };
        weights.iter().zip(x).map(|(w, x)| 1.001 * w.abs() * x.abs().min(step / 2.0)).sum::<f32>()
    };
    units.map(of_unit).sum::<f32>()
}

#[test]
fn one_activation_of_three_thousand_leaves_the_others_what_they_are() {
    let zero = 21;
    for (bits, group_size, rows, cols) in SHAPES {
        let affine = Affine { bits, group_size, scales: ScaleFormat::F32 };
        let matrix = far_from_zero(rows, cols, affine, zero);
        let panels = Panels::new(&matrix).unwrap();
        let mut x: Vec<_> = random_values(4 * cols).iter().map(|v| v / 5.0).collect();
        x[zero] = 3000.0;
        x[cols + zero] = -3000.0;
        // The other two rows have none.
        let mut weights = vec![0.0; cols];
        for isa in Isa::all() {
            let got = products(isa, &panels, rows, &x);
            for (x, got) in x.chunks(cols).zip(got.chunks(rows)) {
                for (row, got) in got.iter().enumerate() {
                    matrix.dequantize_row(row, &mut weights);
                    let exact: f64 = weights.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                    // In f32, where the stored integers meet the sums.
                    let noise = 1e-6 * 0.02 * 255.0 * x.iter().map(|v| v.abs()).sum::<f32>();
                    let off = (f64::from(*got) - exact).abs();
                    let bound = f64::from(bound(&weights, x) + noise);
                    assert!(off <= bound, "{isa:?} {:?} row {row}: off by {off}, not {bound}", matrix.format);
                }
            }
        }
    }
}
