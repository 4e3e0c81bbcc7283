//! A gated causal convolution over the latest positions: the short convolution of LFM2 (arXiv 2511.23404).

use super::cache::Ring;

/// Gates and convolves each row of `input`, `[batch, 3 * width]`: gate B, gate C, inputs x. Row t stands at position `start + t`.
///
/// `s = B * x` goes to `ring`; `out[t][c] = C[t][c] * sum over k of taps[c][k] * s[start + t - K + 1 + k][c]`, oldest position
/// first, where positions before the text are zero. `taps` are `[width, kernel_size]`.
pub fn convolve(
    taps: &[f32],
    kernel_size: usize,
    start: usize,
    input: &[f32],
    ring: &mut Ring,
    out: &mut [f32],
) {
    let width = taps.len() / kernel_size;
    let mut gated = vec![0.0; width];
    for (t, (row, out)) in input.chunks_exact(3 * width).zip(out.chunks_exact_mut(width)).enumerate() {
        let position = start + t;
        let (before, rest) = row.split_at(width);
        let (after, x) = rest.split_at(width);
        for ((gated, gate), x) in gated.iter_mut().zip(before).zip(x) {
            *gated = gate * x;
        }
        ring.write(position, &gated);
        out.fill(0.0);
        for tap in (kernel_size - 1).saturating_sub(position)..kernel_size {
            let seen = ring.row(position + 1 + tap - kernel_size);
            for ((out, seen), taps) in out.iter_mut().zip(seen).zip(taps.chunks_exact(kernel_size)) {
                *out += taps[tap] * seen;
            }
        }
        for (out, gate) in out.iter_mut().zip(after) {
            *out *= gate;
        }
    }
}
