//! What a part of a block adds to the residual stream by way of a norm.

use super::rms_norm::rms_norm;

/// `out += scale * rms_norm(x)` for each row of `x`, `[rows, weight.len()]`; `normed` is room for the norm.
pub fn add_normed(x: &[f32], weight: &[f32], eps: f32, scale: f32, normed: &mut Vec<f32>, out: &mut [f32]) {
    normed.resize(x.len(), 0.0);
    rms_norm(x, weight, eps, normed);
    for (o, v) in out.iter_mut().zip(normed) {
        *o += scale * *v;
    }
}
