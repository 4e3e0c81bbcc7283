//! The gated activation of the feed-forward part (arXiv 2002.05202).

/// `out[i] = silu(pairs[2i]) * pairs[2i + 1]`: gate and up values alternate.
pub fn swiglu(pairs: &[f32], out: &mut [f32]) {
    for (pair, o) in pairs.chunks_exact(2).zip(out) {
        *o = silu(pair[0]) * pair[1];
    }
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}
