//! Runs the network's calls on one batch.

use super::attention::{Heads, attention};
use super::embed::embed;
use super::int8;
use super::matmul::{Unpack as _, add, add_bias, matmul};
use super::memory::{Memory, Scratch};
use super::rms_norm::rms_norm;
use super::rotary::rotary;
use super::swiglu::swiglu;
use super::weights::{CpuWeights, Weight};
use crate::backend::{Products, Wanted};
use crate::error::Result;
use crate::model::network::{Epilogue, MatrixId, Network, Op, Rows, Slot, VectorId};

/// A batch on its way through the network.
pub(super) struct Pass<'a> {
    pub(super) network: &'a Network,
    pub(super) weights: &'a CpuWeights,
    pub(super) memory: &'a mut Memory,
    pub(super) products: Products,
    /// Rows that get logits.
    pub(super) wanted: Wanted,
}

impl Pass<'_> {
    /// Extends the caches by `tokens` and leaves the wanted logits in their slot.
    pub(super) fn run(&mut self, tokens: &[u32]) -> Result<()> {
        for op in &self.network.ops {
            match *op {
                Op::Embed => self.embed(tokens)?,
                Op::Attend { cache } => self.attend(cache),
                Op::Project { rows: Rows::Wanted, .. } if self.wanted == Wanted::None => {}
                Op::Project { norm, weight, bias, input, epilogue, rows } => {
                    self.project(norm, self.weights.matrix(weight)?, bias, (input, rows), epilogue)?;
                }
            }
        }
        Ok(())
    }

    fn embed(&mut self, tokens: &[u32]) -> Result<()> {
        let table = self.weights.matrix(MatrixId::Embedding)?;
        let hidden = self.memory.slot(Slot::Hidden);
        hidden.resize(tokens.len() * table.cols(), 0.0);
        embed(tokens, table, hidden);
        Ok(())
    }

    fn attend(&mut self, cache: usize) {
        let config = &self.network.config;
        let heads = Heads {
            num_heads: config.num_heads,
            num_kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
        };
        let query = self.memory.take(Slot::Query);
        let mut context = self.memory.take(Slot::Context);
        context.resize(query.len(), 0.0);
        let cache = &self.memory.caches[cache];
        attention(heads, self.memory.len, &query, &cache.keys, &cache.values, &mut context);
        self.memory.put(Slot::Query, query);
        self.memory.put(Slot::Context, context);
    }

    fn project(
        &mut self,
        norm: Option<VectorId>,
        weight: &Weight,
        bias: Option<VectorId>,
        (input, rows): (Slot, Rows),
        epilogue: Epilogue,
    ) -> Result<()> {
        let config = &self.network.config;
        let Scratch { mut normed, mut rounded, mut products } = std::mem::take(&mut self.memory.scratch);
        let all_rows = self.memory.take(input);
        let input_rows = match rows {
            Rows::Wanted if self.wanted == Wanted::Last => &all_rows[all_rows.len() - weight.cols()..],
            _ => &all_rows[..],
        };
        let x = match norm {
            Some(norm) => {
                normed.resize(input_rows.len(), 0.0);
                rms_norm(input_rows, self.weights.vector(norm)?, config.rms_norm_eps, &mut normed);
                &normed
            }
            None => input_rows,
        };
        let width = if epilogue == Epilogue::Rotate { config.query_width() } else { weight.rows() };
        products.resize(x.len() / weight.cols() * width, 0.0);
        match weight {
            Weight::Integers(panels) if self.products == Products::Fast => {
                rounded.round(x, panels);
                int8::matmul(panels, width, &rounded, &mut products);
            }
            _ => matmul(weight, 0..width, x, &mut products),
        }
        if let Some(bias) = bias {
            add_bias(&self.weights.vector(bias)?[..width], &mut products);
        }
        self.memory.put(input, all_rows);
        self.finish(epilogue, &mut products, width);
        self.memory.scratch = Scratch { normed, rounded, products };
        Ok(())
    }

    fn finish(&mut self, epilogue: Epilogue, products: &mut [f32], width: usize) {
        match epilogue {
            Epilogue::Write(slot) => {
                let rows = self.memory.slot(slot);
                rows.clear();
                rows.extend_from_slice(products);
            }
            Epilogue::Add(slot) => add(products, self.memory.slot(slot)),
            Epilogue::SwiGlu(slot) => {
                let gated = self.memory.slot(slot);
                gated.resize(products.len() / 2, 0.0);
                swiglu(products, gated);
            }
            Epilogue::RotateAndCache { cache } => self.rotate(products, width, Some(cache)),
            Epilogue::Rotate => self.rotate(products, width, None),
        }
    }

    /// Splits rows of query, key and value, rotates the first two and appends the last two to the cache.
    fn rotate(&mut self, products: &mut [f32], width: usize, cache: Option<usize>) {
        let config = &self.network.config;
        let (query_width, kv_width) = (config.query_width(), config.kv_width());
        let pairs = config.head_dim / 2;
        let mut query = self.memory.take(Slot::Query);
        query.clear();
        for (t, row) in products.chunks_exact_mut(width).enumerate() {
            let position = self.memory.len + t;
            let angles = &self.memory.rotary_table[position * pairs..(position + 1) * pairs];
            let (row_query, rest) = row.split_at_mut(query_width);
            rotary(row_query, angles);
            query.extend_from_slice(row_query);
            if let Some(cache) = cache {
                let (key, value) = rest.split_at_mut(kv_width);
                rotary(key, angles);
                let cache = &mut self.memory.caches[cache];
                cache.keys.extend_from_slice(key);
                cache.values.extend_from_slice(value);
            }
        }
        self.memory.put(Slot::Query, query);
    }
}
