//! Runs the network's calls on one batch.

use super::add_normed::add_normed;
use super::attention::{Heads, Span, attention};
use super::convolve::convolve;
use super::embed::embed;
use super::gated::gated;
use super::int8;
use super::logits::finish_logits;
use super::matmul::{Unpack as _, add, add_bias, matmul};
use super::memory::{Memory, Scratch};
use super::rms_norm::rms_norm;
use super::rotate_and_cache::{Turn, rotate_and_cache, rotate_query};
use super::weights::{CpuWeights, Weight};
use crate::backend::{Products, Wanted};
use crate::error::Result;
use crate::model::decoder::{QueryKeyNorm, Temperature};
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
                Op::Embed { scale } => self.embed(tokens, scale)?,
                Op::RotateAndCache { block, cache, rotary, norm, temperature } => {
                    self.rotate_and_cache(block, cache, rotary, norm, temperature)?;
                }
                Op::Attend { cache, scale } => self.attend(cache, scale),
                Op::AddNormed { norm, input, scale } => self.add_normed(norm, input, scale)?,
                Op::Convolve { block, cache } => self.convolve(block, cache)?,
                Op::Project { rows: Rows::Wanted, .. } if self.wanted == Wanted::None => {}
                Op::Project { norm, weight, bias, input, epilogue, rows } => {
                    self.project(norm, self.weights.matrix(weight)?, bias, (input, rows), epilogue)?;
                }
            }
        }
        Ok(())
    }

    fn embed(&mut self, tokens: &[u32], scale: f32) -> Result<()> {
        let table = self.weights.matrix(MatrixId::Embedding)?;
        let hidden = self.memory.slot(Slot::Hidden);
        hidden.resize(tokens.len() * table.cols(), 0.0);
        embed(tokens, table, scale, hidden);
        Ok(())
    }

    fn heads(&self) -> Heads {
        let config = &self.network.config;
        Heads { num_heads: config.num_heads, num_kv_heads: config.num_kv_heads, head_dim: config.head_dim }
    }

    fn attend(&mut self, cache: usize, scale: f32) {
        let query = self.memory.take(Slot::Query);
        let mut context = self.memory.take(Slot::Context);
        context.resize(query.len(), 0.0);
        let cache = &self.memory.caches[cache];
        let span =
            Span { start: self.memory.len, window: cache.spec.window(), capacity: cache.capacity, scale };
        attention(self.heads(), span, &query, cache.keys.rows(), cache.values.rows(), &mut context);
        self.memory.put(Slot::Query, query);
        self.memory.put(Slot::Context, context);
    }

    fn add_normed(&mut self, norm: VectorId, input: Slot, scale: f32) -> Result<()> {
        let weight = self.weights.vector(norm)?;
        let branch = self.memory.take(input);
        let mut normed = std::mem::take(&mut self.memory.scratch.normed);
        let eps = self.network.config.rms_norm_eps;
        add_normed(&branch, weight, eps, scale, &mut normed, self.memory.slot(Slot::Hidden));
        self.memory.scratch.normed = normed;
        self.memory.put(input, branch);
        Ok(())
    }

    fn convolve(&mut self, block: usize, cache: usize) -> Result<()> {
        let taps = self.weights.vector(VectorId::Convolution(block))?;
        let kernel_size = taps.len() / self.network.config.hidden_size;
        let input = self.memory.take(Slot::ConvolutionInput);
        let mut convolved = self.memory.take(Slot::Convolved);
        convolved.resize(input.len() / 3, 0.0);
        let ring = &mut self.memory.caches[cache].keys;
        convolve(taps, kernel_size, self.memory.len, &input, ring, &mut convolved);
        self.memory.put(Slot::ConvolutionInput, input);
        self.memory.put(Slot::Convolved, convolved);
        Ok(())
    }

    fn rotate_and_cache(
        &mut self,
        block: usize,
        cache: usize,
        rotary: Option<usize>,
        norm: Option<QueryKeyNorm>,
        temperature: Option<Temperature>,
    ) -> Result<()> {
        let has_weights = matches!(norm, Some(QueryKeyNorm::Heads | QueryKeyNorm::Rows));
        let weight = |id| if has_weights { self.weights.vector(id) } else { Ok(&[][..]) };
        let (query_norm, key_norm) = (weight(VectorId::QueryNorm(block))?, weight(VectorId::KeyNorm(block))?);
        let turn = Turn { norm, query_norm, key_norm, temperature, ..self.turn() };
        let mut qkv = self.memory.take(Slot::Qkv);
        self.turn_rows(turn, rotary, &mut qkv, Some(cache));
        self.memory.put(Slot::Qkv, qkv);
        Ok(())
    }

    /// Nothing at all.
    fn turn(&self) -> Turn<'static> {
        Turn {
            heads: self.heads(),
            table: None,
            norm: None,
            query_norm: &[],
            key_norm: &[],
            eps: self.network.config.rms_norm_eps,
            temperature: None,
        }
    }

    /// Turns rows of queries, keys and values, or of queries alone where there is no cache.
    fn turn_rows(&mut self, turn: Turn, rotary: Option<usize>, rows: &mut [f32], cache: Option<usize>) {
        let config = &self.network.config;
        let query_width = config.query_width();
        let width = if cache.is_some() { config.qkv_width() } else { query_width };
        let mut query = self.memory.take(Slot::Query);
        query.resize(rows.len() / width * query_width, 0.0);
        let Memory { caches, rotary_tables, len, .. } = &mut *self.memory;
        let turn = Turn { table: rotary.map(|index| &rotary_tables[index][..]), ..turn };
        if let Some(cache) = cache {
            rotate_and_cache(&turn, *len, rows, &mut query, &mut caches[cache]);
        } else {
            let both = rows.chunks_exact_mut(width).zip(query.chunks_exact_mut(width));
            for (t, (row, query)) in both.enumerate() {
                rotate_query(&turn, *len + t, row, query);
            }
        }
        self.memory.put(Slot::Query, query);
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
        let width = match epilogue {
            Epilogue::Rotate { .. } => config.query_width(),
            _ => weight.rows(),
        };
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
        self.finish(epilogue, &mut products);
        self.memory.scratch = Scratch { normed, rounded, products };
        Ok(())
    }

    fn finish(&mut self, epilogue: Epilogue, products: &mut [f32]) {
        match epilogue {
            Epilogue::Write(slot) => self.write(slot, products),
            Epilogue::Logits { scale, softcap } => {
                finish_logits(scale, softcap, products);
                self.write(Slot::Logits, products);
            }
            Epilogue::Add { slot, scale } => {
                if scale != 1.0 {
                    for product in products.iter_mut() {
                        *product *= scale;
                    }
                }
                add(products, self.memory.slot(slot));
            }
            Epilogue::Gated { slot, activation } => {
                let rows = self.memory.slot(slot);
                rows.resize(products.len() / 2, 0.0);
                gated(activation, products, rows);
            }
            Epilogue::RotateAndCache { cache, rotary } => {
                self.turn_rows(self.turn(), rotary, products, Some(cache));
            }
            Epilogue::Rotate { rotary } => self.turn_rows(self.turn(), rotary, products, None),
        }
    }

    fn write(&mut self, slot: Slot, products: &[f32]) {
        let rows = self.memory.slot(slot);
        rows.clear();
        rows.extend_from_slice(products);
    }
}
