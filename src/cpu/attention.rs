//! Causal grouped-query attention over a key/value cache (arXiv 2305.13245).

use super::matmul::dot;
use super::parallel::{for_each_chunk, threads};
use super::wide::wide;

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
    // Every (row, head) is on its own; a thread takes some that lie side by side.
    let chunk = (query.len() / head_dim).div_ceil(4 * threads()) * head_dim;
    for_each_chunk(out, chunk, |index, out| {
        for (at, out) in out.chunks_exact_mut(head_dim).enumerate() {
            let from = index * chunk + at * head_dim;
            let (row, head) = (from / (num_heads * head_dim), from / head_dim % num_heads);
            let offset = head / (num_heads / num_kv_heads) * head_dim;
            let visible = (start + row + 1) * kv_width;
            let query = &query[from..from + head_dim];
            attend(query, &keys[..visible], &values[..visible], kv_width, offset, out);
        }
    });
}

wide! {
    /// One query head over all positions of its key/value head, which lies at `offset` of each row of the cache.
    fn attend(query: &[f32], keys: &[f32], values: &[f32], kv_width: usize, offset: usize, out: &mut [f32]) {
        let scale = 1.0 / (query.len() as f32).sqrt();
        let head = offset..offset + query.len();
        let mut scores: Vec<f32> =
            keys.chunks_exact(kv_width).map(|key| dot(query, &key[head.clone()]) * scale).collect();
        softmax(&mut scores);
        out.fill(0.0);
        for (value, score) in values.chunks_exact(kv_width).zip(&scores) {
            for (o, v) in out.iter_mut().zip(&value[head.clone()]) {
                *o += score * v;
            }
        }
    }
}

/// `scores = exp(scores - max) / sum`.
#[inline]
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
