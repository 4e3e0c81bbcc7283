//! The gated activation of the feed-forward part (arXiv 2002.05202).

use super::exp::exp;
use super::wide::wide;
use crate::model::decoder::ActivationFunction;

/// `out[i] = activation(pairs[2i]) * pairs[2i + 1]`: gate and up values alternate.
pub fn gated(activation: ActivationFunction, pairs: &[f32], out: &mut [f32]) {
    match activation {
        ActivationFunction::Silu => silu_gated(pairs, out),
        ActivationFunction::GeluTanh => gelu_gated(pairs, out),
    }
}

wide! {
    fn silu_gated(pairs: &[f32], out: &mut [f32]) {
        for ([gate, up], o) in pairs.as_chunks().0.iter().zip(out) {
            *o = gate / (1.0 + exp(-gate)) * up;
        }
    }
}

wide! {
    fn gelu_gated(pairs: &[f32], out: &mut [f32]) {
        for ([gate, up], o) in pairs.as_chunks().0.iter().zip(out) {
            *o = gate / (1.0 + exp(-twice_inner(*gate))) * up;
        }
    }
}

/// `2 * sqrt(2 / pi) * (x + 0.044715 * x^3)`: `x / 2 * (1 + tanh(y))` is `x / (1 + exp(-2 y))`.
#[inline(always)]
fn twice_inner(x: f32) -> f32 {
    1.595_769 * (x + 0.044_715 * x * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_is_its_tanh_form() {
        for i in -2000..=2000 {
            let x = f64::from(i) / 100.0;
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            let expected = 0.5 * x * (1.0 + inner.tanh()) * 2.0;
            let mut out = [0.0];
            gated(ActivationFunction::GeluTanh, &[x as f32, 2.0], &mut out);
            assert!(
                (f64::from(out[0]) - expected).abs() <= 1e-6 * x.abs().max(0.1),
                "{x}: {} {expected}",
                out[0]
            );
        }
    }

    #[test]
    fn the_ends_stay_finite() {
        let mut out = [f32::NAN; 2];
        gated(ActivationFunction::GeluTanh, &[1e4, 1.0, -1e4, 1.0], &mut out);
        assert_eq!(out[0], 1e4);
        assert!(out[1].abs() < 1e-30);
    }
}
