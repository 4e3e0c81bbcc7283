//! Rotary position embedding (arXiv 2104.09864) on adjacent pairs.

use crate::model::decoder::Rotary;

/// Cosines and sines of every position, made once: `[positions, head_dim / 2]` pairs of (cos, sin), times the attention factor.
/// A pair that does not turn has (1, 0). `long` chooses the frequencies of long texts, where there are others.
///
/// Computed in f64: an f32 angle is off by 1e-4 after a thousand positions.
pub fn rotary_table(rotary: &Rotary, long: bool, positions: usize) -> Vec<[f32; 2]> {
    let frequencies = match &rotary.long {
        Some(other) if long => &other.frequencies,
        _ => &rotary.frequencies,
    };
    let turn = |position: usize, frequency: f64| {
        if frequency == 0.0 {
            return [1.0, 0.0];
        }
        let (sin, cos) = (position as f64 * frequency).sin_cos();
        [(cos * rotary.attention_factor) as f32, (sin * rotary.attention_factor) as f32]
    };
    (0..positions)
        .flat_map(|position| frequencies.iter().map(move |frequency| turn(position, *frequency)))
        .collect()
}

/// Turns each pair `(x[2i], x[2i + 1])` of every head of one row by its angle at the row's position.
///
/// `angles` is that position's row of [`rotary_table`]; `x` is a whole number of heads.
pub fn rotary(x: &mut [f32], angles: &[[f32; 2]]) {
    for head in x.chunks_exact_mut(2 * angles.len()) {
        for (pair, [cos, sin]) in head.chunks_exact_mut(2).zip(angles) {
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
    }
}
