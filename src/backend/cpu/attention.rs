//! Causal grouped-query attention over a key/value cache (arXiv 2305.13245).

use super::exp::exp;
use super::parallel::{for_each_chunk, threads};
use super::simd::{Isa, Kernel, LANES, Simd, dot};
use crate::model::decoder::{RING_ALIGN, Window};

/// Positions whose scores are held at once; a longer context is taken block by block with a running maximum, as in
/// arXiv 2205.14135. Blocks begin at multiples of it, so that a row's result does not depend on its batch.
const BLOCK: usize = 64;

/// No block goes over the end of a ring.
const _: () = assert!(RING_ALIGN.is_multiple_of(BLOCK));

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

/// Where a batch stands, and what it sees.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The position of the batch's first row.
    pub start: usize,
    /// Which positions a row sees.
    pub window: Window,
    /// Rows of the caches: position `p` lies at row `p % capacity`. It is a multiple of [`RING_ALIGN`], or at least the number
    /// of positions.
    pub capacity: usize,
    /// Multiplied onto the products of queries and keys.
    pub scale: f32,
}

/// `out = softmax(scale * query * K^T) * V` for each row and head.
///
/// `query` and `out` are `[batch, num_heads * head_dim]`; `keys` and `values` are `[capacity, num_kv_heads * head_dim]`
/// with the batch's own rows already written. Row t stands at position `start + t` and sees those of the window up to its own.
pub fn attention(heads: Heads, span: Span, query: &[f32], keys: &[f32], values: &[f32], out: &mut [f32]) {
    let Heads { num_heads, num_kv_heads, head_dim } = heads;
    let kv_width = num_kv_heads * head_dim;
    let isa = Isa::detect();
    // Every (row, head) is on its own; a thread takes some that lie side by side.
    let chunk = (query.len() / head_dim).div_ceil(4 * threads()) * head_dim;
    for_each_chunk(out, chunk, |index, out| {
        for (at, out) in out.chunks_exact_mut(head_dim).enumerate() {
            let from = index * chunk + at * head_dim;
            let (row, head) = (from / (num_heads * head_dim), from / head_dim % num_heads);
            let offset = head / (num_heads / num_kv_heads) * head_dim;
            let query = &query[from..from + head_dim];
            isa.run(Attend { query, keys, values, kv_width, offset, span, position: span.start + row, out });
        }
    });
}

/// One query head at `position` over the positions that it sees of its key/value head, which lies at `offset` of each row of the
/// cache.
struct Attend<'a> {
    query: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    kv_width: usize,
    offset: usize,
    span: Span,
    position: usize,
    out: &'a mut [f32],
}

impl Kernel for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { query, keys, values, kv_width, offset, span, position, out } = self;
        let head = offset..offset + query.len();
        let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0);
        out.fill(0.0);
        let mut first = span.window.first(position);
        while first <= position {
            let end = (first / BLOCK * BLOCK + BLOCK).min(position + 1);
            let at = first % span.capacity;
            let rows = at * kv_width..(at + end - first) * kv_width;
            let (keys, values) = (&keys[rows.clone()], &values[rows]);
            first = end;
            let mut scores = [f32::NEG_INFINITY; BLOCK];
            for (score, key) in scores.iter_mut().zip(keys.chunks_exact(kv_width)) {
                *score = dot(simd, query, &key[head.clone()]) * span.scale;
            }
            let before = max;
            max = scores.iter().fold(max, |max, score| max.max(*score));
            let shrink = exp(before - max);
            for score in &mut scores {
                *score = exp(*score - max);
            }
            sum = sum * shrink + sum_of(simd, &scores);
            for o in out.iter_mut() {
                *o *= shrink;
            }
            add_values(simd, &scores, values, kv_width, offset, out);
        }
        for o in out {
            *o /= sum;
        }
    }
}

#[inline(always)]
fn sum_of<S: Simd>(simd: S, scores: &[f32; BLOCK]) -> f32 {
    let mut sums = simd.splat(0.0);
    for scores in scores.as_chunks::<LANES>().0 {
        sums = simd.add(sums, simd.load(scores));
    }
    simd.sum(sums)
}

/// `out += scores * values`: columns stay in registers while the positions go by.
#[inline(always)]
fn add_values<S: Simd>(
    simd: S,
    scores: &[f32; BLOCK],
    values: &[f32],
    kv_width: usize,
    offset: usize,
    out: &mut [f32],
) {
    const WIDE: usize = 4;
    let (chunks, rest) = out.as_chunks_mut::<LANES>();
    let (wide, narrow) = chunks.as_chunks_mut::<WIDE>();
    let mut at = offset;
    for chunks in wide {
        add_columns(simd, scores, values, kv_width, at, chunks);
        at += WIDE * LANES;
    }
    for chunk in narrow {
        add_columns(simd, scores, values, kv_width, at, std::array::from_mut(chunk));
        at += LANES;
    }
    for o in rest {
        for (value, score) in values.chunks_exact(kv_width).zip(scores) {
            *o += score * value[at];
        }
        at += 1;
    }
}

/// Some registers of columns, from column `at` on.
#[inline(always)]
fn add_columns<S: Simd, const N: usize>(
    simd: S,
    scores: &[f32; BLOCK],
    values: &[f32],
    kv_width: usize,
    at: usize,
    out: &mut [[f32; LANES]; N],
) {
    let mut sums = [simd.splat(0.0); N];
    for (sum, out) in sums.iter_mut().zip(out.iter()) {
        *sum = simd.load(out);
    }
    for (value, score) in values.chunks_exact(kv_width).zip(scores) {
        let (columns, score) = (value[at..at + N * LANES].as_chunks::<LANES>().0, simd.splat(*score));
        for (sum, columns) in sums.iter_mut().zip(columns) {
            *sum = simd.add(*sum, simd.mul(simd.load(columns), score));
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = simd.store(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize, factor: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * factor).sin()).collect()
    }

    fn span(heads: Heads, start: usize, window: Window, capacity: usize) -> Span {
        Span { start, window, capacity, scale: 1.0 / (heads.head_dim as f32).sqrt() }
    }

    /// In f64, without blocks and rings.
    fn expected(
        heads: Heads,
        (start, window): (usize, Window),
        query: &[f32],
        keys: &[f32],
        values: &[f32],
    ) -> Vec<f64> {
        let Heads { num_heads, num_kv_heads, head_dim } = heads;
        let mut out = Vec::new();
        for (at, query) in query.chunks_exact(head_dim).enumerate() {
            let (row, head) = (at / num_heads, at % num_heads);
            let offset = head / (num_heads / num_kv_heads) * head_dim;
            let lane = |cache: &[f32], p: usize, c: usize| {
                f64::from(cache[p * num_kv_heads * head_dim + offset + c])
            };
            let seen = window.first(start + row)..=start + row;
            let scores: Vec<f64> = seen
                .clone()
                .map(|p| {
                    let dot: f64 = (0..head_dim).map(|c| f64::from(query[c]) * lane(keys, p, c)).sum();
                    (dot / (head_dim as f64).sqrt()).exp()
                })
                .collect();
            let sum: f64 = scores.iter().sum();
            for c in 0..head_dim {
                let weighed = scores.iter().zip(seen.clone()).map(|(score, p)| score * lane(values, p, c));
                out.push(weighed.sum::<f64>() / sum);
            }
        }
        out
    }

    #[test]
    fn is_the_softmax_over_all_positions() {
        for (num_heads, num_kv_heads, head_dim) in [(9, 3, 64), (4, 4, 6), (2, 1, 40), (1, 1, 2)] {
            let heads = Heads { num_heads, num_kv_heads, head_dim };
            for (start, batch) in [(0, 1), (0, 5), (62, 4), (200, 3)] {
                let query = values(batch * num_heads * head_dim, 0.7);
                let keys = values((start + batch) * num_kv_heads * head_dim, 1.3);
                let cached = values(keys.len(), 0.9);
                let mut out = vec![f32::NAN; query.len()];
                let span = span(heads, start, Window::Full, start + batch);
                attention(heads, span, &query, &keys, &cached, &mut out);
                let expected = expected(heads, (start, Window::Full), &query, &keys, &cached);
                for (o, e) in out.iter().zip(&expected) {
                    assert!((f64::from(*o) - e).abs() < 3e-6, "{heads:?} {start} {batch}: {o} {e}");
                }
            }
        }
    }

    #[test]
    fn a_window_is_all_that_is_read_of_a_ring() {
        let heads = Heads { num_heads: 4, num_kv_heads: 2, head_dim: 6 };
        for window in [Window::Sliding(1), Window::Sliding(13), Window::Chunked(16), Window::Chunked(50)] {
            for (start, batch) in [(0, 3), (5, 20), (63, 2), (100, 40), (250, 17)] {
                let query = values(batch * 24, 0.7);
                let (keys, cached) = (values((start + batch) * 12, 1.3), values((start + batch) * 12, 0.9));
                let mut out = vec![f32::NAN; query.len()];
                // What is not seen is poison.
                let ring = |rows: &[f32]| {
                    let mut ring = vec![f32::NAN; 128 * 12];
                    for (p, row) in rows.chunks(12).enumerate().skip(window.first(start)) {
                        ring[p % 128 * 12..][..12].copy_from_slice(row);
                    }
                    ring
                };
                let span = span(heads, start, window, 128);
                attention(heads, span, &query, &ring(&keys), &ring(&cached), &mut out);
                let expected = expected(heads, (start, window), &query, &keys, &cached);
                for (o, e) in out.iter().zip(&expected) {
                    assert!((f64::from(*o) - e).abs() < 3e-6, "{window:?} {start} {batch}: {o} {e}");
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let (query, keys, values) = (values(70, 0.7), values(140 * 150, 1.3), values(140 * 150, 0.9));
        let attend = |isa: Isa| {
            let mut out = [f32::NAN; 70];
            isa.run(Attend {
                query: &query,
                keys: &keys,
                values: &values,
                kv_width: 140,
                offset: 70,
                span: Span { start: 149, window: Window::Full, capacity: 150, scale: 0.1 },
                position: 149,
                out: &mut out,
            });
            out.map(f32::to_bits)
        };
        for isa in Isa::all() {
            assert_eq!(attend(isa), attend(Isa::all()[0]), "{isa:?}");
        }
    }
}
