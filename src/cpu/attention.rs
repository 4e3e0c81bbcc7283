//! Causal grouped-query attention over a key/value cache (arXiv 2305.13245).

use super::matmul::dot;

/// The shape of attention.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub num_heads: usize,
    /// Key/value heads; query head h reads key/value head `h / (num_heads / num_kv_heads)`.
    pub num_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

/// `out = softmax(query * K^T / sqrt(head_dim)) * V` for each row and head.
///
/// `query` and `out` are `[batch, num_heads * head_dim]`; `keys` and `values` are `[positions, num_kv_heads * head_dim]`
/// with the batch's own rows already appended. Row t stands at position `start + t` and sees positions up to its own.
pub fn attention(heads: Heads, start: usize, query: &[f32], keys: &[f32], values: &[f32], out: &mut [f32]) {
    let Heads { num_heads, num_kv_heads, head_dim } = heads;
    let kv_width = num_kv_heads * head_dim;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let mut scores = Vec::new();
    let rows = query.chunks_exact(num_heads * head_dim).zip(out.chunks_exact_mut(num_heads * head_dim));
    for (t, (query, out)) in rows.enumerate() {
        let visible = start + t + 1;
        let heads = query.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim));
        for (head, (query, out)) in heads.enumerate() {
            let offset = head / (num_heads / num_kv_heads) * head_dim;
            let row = |cache, position: usize| slice_of(cache, position * kv_width + offset, head_dim);
            scores.clear();
            scores.extend((0..visible).map(|position| dot(query, row(keys, position)) * scale));
            softmax(&mut scores);
            out.fill(0.0);
            for (position, score) in scores.iter().enumerate() {
                for (o, v) in out.iter_mut().zip(row(values, position)) {
                    *o += score * v;
                }
            }
        }
    }
}

fn slice_of(cache: &[f32], at: usize, len: usize) -> &[f32] {
    &cache[at..at + len]
}

/// `scores = exp(scores - max) / sum`.
fn softmax(scores: &mut [f32]) {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - max).exp();
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}
