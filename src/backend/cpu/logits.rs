//! The last thing done to logits: a factor, and a bound.

use super::exp::tanh;
use super::wide::wide;

/// `logits = scale * logits`, then `softcap * tanh(logits / softcap)` where there is a bound.
pub fn finish_logits(scale: f32, softcap: Option<f32>, logits: &mut [f32]) {
    if scale != 1.0 {
        for logit in logits.iter_mut() {
            *logit *= scale;
        }
    }
    if let Some(softcap) = softcap {
        bound(softcap, logits);
    }
}

wide! {
    fn bound(softcap: f32, logits: &mut [f32]) {
        for logit in logits {
            *logit = softcap * tanh(*logit / softcap);
        }
    }
}
