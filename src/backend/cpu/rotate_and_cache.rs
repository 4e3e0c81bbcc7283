//! Queries and keys made ready for attention: normed, turned, and, for queries, scaled by their position.

use super::attention::Heads;
use super::cache::Cache;
use super::rms_norm::rms_norm;
use super::rotary::rotary;
use crate::model::decoder::{QueryKeyNorm, Temperature};

/// What is done to queries and keys.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// The shape of attention.
    pub heads: Heads,
    /// Rows of [`super::rotary::rotary_table`], from the first position on; none where nothing is turned.
    pub table: Option<&'a [[f32; 2]]>,
    /// Which norm.
    pub norm: Option<QueryKeyNorm>,
    /// Weight of the queries' norm; empty where it has none.
    pub query_norm: &'a [f32],
    /// Weight of the keys' norm; empty where it has none.
    pub key_norm: &'a [f32],
    /// Epsilon of both.
    pub eps: f32,
    /// The factor of the queries.
    pub temperature: Option<Temperature>,
}

/// Norms, turns and scales each row of `qkv`, `[batch, (num_heads + 2 * num_kv_heads) * head_dim]`; row t stands at position
/// `start + t`. Queries go to `query`, `[batch, num_heads * head_dim]`, keys and values to the cache.
pub fn rotate_and_cache(turn: &Turn, start: usize, qkv: &mut [f32], query: &mut [f32], cache: &mut Cache) {
    let Heads { num_heads, num_kv_heads, head_dim } = turn.heads;
    let (query_width, kv_width) = (num_heads * head_dim, num_kv_heads * head_dim);
    let rows = qkv.chunks_exact_mut(query_width + 2 * kv_width).zip(query.chunks_exact_mut(query_width));
    for (t, (row, query)) in rows.enumerate() {
        let (row_query, rest) = row.split_at_mut(query_width);
        let (key, value) = rest.split_at_mut(kv_width);
        rotate_query(turn, start + t, row_query, query);
        turn.apply(start + t, key, turn.key_norm);
        cache.keys.write(start + t, key);
        cache.values.write(start + t, value);
    }
}

/// The same for a row of queries alone.
pub fn rotate_query(turn: &Turn, position: usize, row: &mut [f32], query: &mut [f32]) {
    turn.apply(position, row, turn.query_norm);
    match turn.temperature {
        None => query.copy_from_slice(row),
        Some(temperature) => {
            let factor = temperature.at(position);
            for (query, value) in query.iter_mut().zip(row) {
                *query = *value * factor;
            }
        }
    }
}

impl Turn<'_> {
    fn apply(&self, position: usize, row: &mut [f32], weight: &[f32]) {
        let head_dim = self.heads.head_dim;
        match self.norm {
            Some(QueryKeyNorm::Heads | QueryKeyNorm::Rows) => norm(row, weight, self.eps),
            Some(QueryKeyNorm::HeadsAfterRotation) | None => {}
        }
        if let Some(table) = self.table {
            let pairs = head_dim / 2;
            rotary(row, &table[position * pairs..(position + 1) * pairs]);
        }
        if self.norm == Some(QueryKeyNorm::HeadsAfterRotation) {
            norm(row, &vec![1.0; head_dim], self.eps);
        }
    }
}

/// RMS norm in place, of each part that is as wide as the weight.
fn norm(row: &mut [f32], weight: &[f32], eps: f32) {
    let before = row.to_vec();
    rms_norm(&before, weight, eps, row);
}
