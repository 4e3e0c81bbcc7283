//! Rotary position embedding (arXiv 2104.09864) on adjacent pairs.

/// Cosines and sines of every position, made once: `[positions, head_dim / 2]` pairs of (cos, sin).
///
/// Computed in f64: an f32 angle is off by 1e-4 after a thousand positions.
pub fn rotary_table(frequencies: &[f64], positions: usize) -> Vec<[f32; 2]> {
    (0..positions)
        .flat_map(|position| {
            frequencies.iter().map(move |frequency| {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                [cos as f32, sin as f32]
            })
        })
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
