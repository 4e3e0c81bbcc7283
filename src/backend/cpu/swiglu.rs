//! The gated activation of the feed-forward part (arXiv 2002.05202).

use super::exp::exp;
use super::wide::wide;

wide! {
    /// `out[i] = silu(pairs[2i]) * pairs[2i + 1]`: gate and up values alternate.
    pub fn swiglu(pairs: &[f32], out: &mut [f32]) {
        for ([gate, up], o) in pairs.as_chunks().0.iter().zip(out) {
            *o = gate / (1.0 + exp(-gate)) * up;
        }
    }
}
