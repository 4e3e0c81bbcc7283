//! Turns token ids into rows of the embedding.

use super::matmul::Unpack as _;
use super::weights::Weight;

/// Writes row `tokens[t]` of `table`, times `scale`, to row t of `out`, `[tokens.len(), table.cols()]`.
pub fn embed(tokens: &[u32], table: &Weight, scale: f32, out: &mut [f32]) {
    for (token, row) in tokens.iter().zip(out.chunks_exact_mut(table.cols())) {
        table.dequantize_row(*token as usize, row);
        if scale != 1.0 {
            for value in row.iter_mut() {
                *value *= scale;
            }
        }
    }
}
