//! The exponential function and the hyperbolic tangent, with operations that every vector instruction set has.

/// Below this range the result is almost zero, and above it an f32 overflows.
const RANGE: std::ops::RangeInclusive<f32> = -86.0..=88.0;

/// Added to an f32, it rounds the value to the nearest integer, which is then in the lowest bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// `e^x` within two units in the last place; an `x` outside -86..=88 is replaced by the nearest end of the range. There
/// are no branches, so the compiler vectorises loops over it, and the bits are the same on every machine.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // ln 2 as a sum of two parts. The first has so few bits that its products with the exponents are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(*RANGE.start(), *RANGE.end());
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let exponent = shifted - ROUND;
    let r = x - exponent * LN_2[0] - exponent * LN_2[1];
    // A minimax polynomial for (e^r - 1 - r) / r^2 where |r| <= ln 2 / 2 (Cephes, expf).
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5] {
        p = p * r + coefficient;
    }
    let fraction = p * (r * r) + r + 1.0;
    f32::from_bits(fraction.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `tanh(x)` within a few units in the last place; no branches, as [`exp`].
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    // Near zero a polynomial (Cephes, tanhf): the quotient would lose what is small.
    let z = x * x;
    let mut p = -5.704_988_7e-3;
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = p * z + coefficient;
    }
    let small = p * z * x + x;
    let large = (1.0 - 2.0 / (exp(2.0 * size) + 1.0)).copysign(x);
    if size < 0.625 { small } else { large }
}

#[cfg(test)]
mod tests {
    use super::{exp, tanh};

    #[test]
    fn is_the_hyperbolic_tangent() {
        for i in -200_000..=200_000 {
            let x = i as f32 / 10_000.0;
            let expected = f64::from(x).tanh();
            let error = (f64::from(tanh(x)) - expected).abs();
            assert!(error <= 3e-7 * expected.abs(), "{x}: {error}");
        }
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn exp_is_accurate() {
        for i in -860_000..=880_000 {
            let x = i as f32 / 10_000.0;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 2.5e-7, "{x}: {error}");
        }
    }

    #[test]
    fn values_outside_the_range_stay_extreme() {
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::INFINITY) > 1e38);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }
}
