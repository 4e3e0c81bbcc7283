//! Each instruction set against the plain product, on random matrices.

use super::*;

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

fn isas() -> Vec<Isa> {
    let mut isas = vec![Isa::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            isas.push(Isa::Avx2);
        }
        if Isa::detect() == Isa::Avx512 {
            isas.push(Isa::Avx512);
        }
    }
    isas
}

#[test]
fn every_instruction_set_gives_the_plain_product() {
    for (bits, group_size, cols) in [4, 8]
        .into_iter()
        .flat_map(|bits| [(bits, 32, 32), (bits, 32, 96), (bits, 64, 576), (bits, 64, 64), (bits, 128, 1536)])
    {
        let affine = Affine { bits, group_size, scales: ScaleFormat::F32 };
        let matrix = random_matrix(7, cols, affine, 1 + cols as u32);
        for batch in [1, 4, 6] {
            let mut next = random(99);
            let x: Vec<f32> = (0..batch * cols).map(|_| next() as f32 / u32::MAX as f32 - 0.5).collect();
            let mut expected = vec![0.0; batch * 5];
            crate::cpu::matmul::matmul(&matrix, 1..6, &x, &mut expected);
            let largest = expected.iter().fold(0.0f32, |max, v| max.max(v.abs()));
            let mut first = None;
            for isa in isas() {
                let activations = Activations::new(&x, cols, affine);
                let mut out = vec![f32::NAN; batch * 5];
                matmul_with(isa, &matrix, affine, 1..6, &activations, &mut out);
                for (o, e) in out.iter().zip(&expected) {
                    assert!((o - e).abs() <= 0.02 * largest, "{isa:?} {affine:?} {cols}: {o} {e}");
                }
                // The integers are exact: between instruction sets only the order of float sums differs.
                let first = first.get_or_insert_with(|| out.clone());
                for (o, e) in out.iter().zip(first.iter()) {
                    assert!((o - e).abs() <= 1e-5 * largest, "{isa:?} {affine:?} {cols}: {o} {e}");
                }
            }
        }
    }
}

#[test]
fn extremes_do_not_overflow() {
    for bits in [4, 8] {
        let affine = Affine { bits, group_size: 128, scales: ScaleFormat::F32 };
        let mut matrix = random_matrix(1, 256, affine, 3);
        matrix.words.fill(u32::MAX);
        let x = [-1.0; 256];
        let mut expected = [0.0];
        crate::cpu::matmul::matmul(&matrix, 0..1, &x, &mut expected);
        for isa in isas() {
            let mut out = [f32::NAN];
            matmul_with(isa, &matrix, affine, 0..1, &Activations::new(&x, 256, affine), &mut out);
            assert!((out[0] - expected[0]).abs() <= 1e-4 * expected[0].abs(), "{isa:?} {bits}");
        }
    }
}

#[test]
fn zeros_and_infinities_stay_where_they_are() {
    let affine = Affine { bits: 4, group_size: 32, scales: ScaleFormat::F32 };
    let matrix = random_matrix(1, 64, affine, 5);
    let mut out = [f32::NAN];
    matmul(&matrix, affine, 0..1, &Activations::new(&[0.0; 64], 64, affine), &mut out);
    assert_eq!(out, [0.0]);
    let mut x = [0.0; 64];
    x[3] = f32::INFINITY;
    matmul(&matrix, affine, 0..1, &Activations::new(&x, 64, affine), &mut out);
    assert!(!out[0].is_finite(), "an overflow must show, not vanish");
}
