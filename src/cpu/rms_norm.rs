//! Root mean square normalisation (arXiv 1910.07467).

use super::matmul::dot;
use super::wide::wide;

wide! {
    /// `out = x / sqrt(mean(x^2) + eps) * weight` for each row of `x`, `[rows, weight.len()]`.
    pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        let width = weight.len();
        for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let scale = 1.0 / (dot(row, row) / width as f32 + eps).sqrt();
            for ((o, v), w) in out.iter_mut().zip(row).zip(weight) {
                *o = v * scale * w;
            }
        }
    }
}
