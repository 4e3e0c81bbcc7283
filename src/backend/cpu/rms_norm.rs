//! Root mean square normalisation (arXiv 1910.07467).

use super::simd::{Isa, Kernel, Simd, dot};

/// `out = x / sqrt(mean(x^2) + eps) * weight` for each row of `x`, `[rows, weight.len()]`.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    Isa::detect().run(RmsNorm { x, weight, eps, out });
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        for (row, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let scale = 1.0 / (dot(simd, row, row) / width as f32 + self.eps).sqrt();
            for ((o, v), w) in out.iter_mut().zip(row).zip(self.weight) {
                *o = v * scale * w;
            }
        }
    }
}
