//! Runs the network's calls over one conversation's caches.

use std::collections::HashMap;
use std::rc::Rc;

use super::attention::{Heads, attention};
use super::embed::embed;
use super::int8;
use super::matmul::{add, add_bias, matmul};
use super::rms_norm::rms_norm;
use super::rotary::{rotary, rotary_table};
use super::swiglu::swiglu;
use super::weights::Weights;
use crate::backend::{Wanted, check_batch};
use crate::error::Result;
use crate::network::{Epilogue, MatrixId, Network, Op, Rows, Slot};

/// Tokens a call: enough to unpack each weight row rarely, few enough to look at a cancel flag often.
const MAX_BATCH: usize = 32;

/// Keys and values of every position so far, `[positions, kv_width]` each.
#[derive(Default, Clone)]
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// One conversation on the CPU. Caches grow with it.
pub struct State {
    network: Rc<Network>,
    weights: Rc<Weights>,
    caches: Vec<Cache>,
    slots: HashMap<Slot, Vec<f32>>,
    rotary_table: Vec<[f32; 2]>,
    len: usize,
    max_positions: usize,
}

impl State {
    /// An empty state with room for `max_positions` tokens.
    ///
    /// # Errors
    /// None today; the GPU's twin can run out of memory.
    pub fn new(network: Rc<Network>, weights: Rc<Weights>, max_positions: usize) -> Result<Self> {
        let caches = vec![Cache::default(); network.num_caches()];
        let rotary_table = rotary_table(&network.config.rotary_frequencies(), max_positions);
        Ok(Self { network, weights, caches, slots: HashMap::new(), rotary_table, len: 0, max_positions })
    }

    /// Positions filled.
    #[expect(clippy::len_without_is_empty, reason = "backend::State has it")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Positions that there is room for.
    pub fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Tokens that one call of [`State::forward`] takes at most.
    pub fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        let kept = self.len * self.network.config.kv_width();
        for cache in &mut self.caches {
            cache.keys.truncate(kept);
            cache.values.truncate(kept);
        }
    }

    /// Runs the network; see [`crate::backend::State::forward`].
    ///
    /// # Errors
    /// [`crate::Error::Request`] for a batch that cannot run.
    pub fn forward(&mut self, tokens: &[u32], wanted: Wanted) -> Result<Vec<f32>> {
        let room = self.max_positions - self.len;
        check_batch(tokens, self.network.config.vocab_size, MAX_BATCH, room)?;
        // A batch that failed half-way must not leave keys behind.
        let run = self.run(tokens, wanted);
        match run {
            Ok(()) => self.len += tokens.len(),
            Err(_) => self.truncate(self.len),
        }
        run.map(|()| if wanted == Wanted::None { Vec::new() } else { self.take(Slot::Logits) })
    }

    fn run(&mut self, tokens: &[u32], wanted: Wanted) -> Result<()> {
        let network = self.network.clone();
        for op in &network.ops {
            match *op {
                Op::Embed => self.embed(tokens)?,
                Op::Attend { cache } => self.attend(cache),
                Op::Project { rows: Rows::Wanted, .. } if wanted == Wanted::None => {}
                Op::Project { .. } => self.project(op, wanted)?,
            }
        }
        Ok(())
    }

    /// Takes a slot's buffer, to be put back: two slots are borrowed at once in most calls.
    fn take(&mut self, slot: Slot) -> Vec<f32> {
        self.slots.remove(&slot).unwrap_or_default()
    }

    fn embed(&mut self, tokens: &[u32]) -> Result<()> {
        let mut hidden = self.take(Slot::Hidden);
        let table = self.weights.matrix(MatrixId::Embedding)?;
        hidden.resize(tokens.len() * table.cols, 0.0);
        embed(tokens, table, &mut hidden);
        self.slots.insert(Slot::Hidden, hidden);
        Ok(())
    }

    fn attend(&mut self, cache: usize) {
        let config = &self.network.config;
        let heads = Heads {
            num_heads: config.num_heads,
            num_kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
        };
        let query = self.take(Slot::Query);
        let mut context = self.take(Slot::Context);
        context.resize(query.len(), 0.0);
        let cache = &self.caches[cache];
        attention(heads, self.len, &query, &cache.keys, &cache.values, &mut context);
        self.slots.insert(Slot::Query, query);
        self.slots.insert(Slot::Context, context);
    }

    fn project(&mut self, op: &Op, wanted: Wanted) -> Result<()> {
        let Op::Project { norm, weight, bias, input, epilogue, rows } = *op else { return Ok(()) };
        let weights = self.weights.clone();
        let matrix = weights.matrix(weight)?;
        let input_rows = self.take(input);
        let wanted_rows = match rows {
            Rows::Wanted if wanted == Wanted::Last => &input_rows[input_rows.len() - matrix.cols..],
            _ => &input_rows[..],
        };
        let mut normed = Vec::new();
        let x = match norm {
            Some(norm) => {
                normed.resize(wanted_rows.len(), 0.0);
                rms_norm(wanted_rows, weights.vector(norm)?, self.network.config.rms_norm_eps, &mut normed);
                &normed
            }
            None => wanted_rows,
        };
        let range = match epilogue {
            Epilogue::Rotate => 0..self.network.config.query_width(),
            _ => 0..matrix.rows,
        };
        let width = range.len();
        let mut out = vec![0.0; x.len() / matrix.cols * width];
        match int8::affine_of(matrix) {
            Some(affine) => {
                let x = int8::Activations::new(x, matrix.cols, affine);
                int8::matmul(matrix, affine, range, &x, &mut out);
            }
            None => matmul(matrix, range, x, &mut out),
        }
        if let Some(bias) = bias {
            add_bias(&weights.vector(bias)?[..width], &mut out);
        }
        self.slots.insert(input, input_rows);
        self.finish(epilogue, out, width);
        Ok(())
    }

    fn finish(&mut self, epilogue: Epilogue, out: Vec<f32>, width: usize) {
        match epilogue {
            Epilogue::Write(slot) => {
                self.slots.insert(slot, out);
            }
            Epilogue::Add(slot) => add(&out, self.slots.entry(slot).or_default()),
            Epilogue::SwiGlu(slot) => {
                let mut gated = self.take(slot);
                gated.resize(out.len() / 2, 0.0);
                swiglu(&out, &mut gated);
                self.slots.insert(slot, gated);
            }
            Epilogue::RotateAndCache { cache } => self.rotate(out, width, Some(cache)),
            Epilogue::Rotate => self.rotate(out, width, None),
        }
    }

    /// Splits rows of query, key and value, rotates the first two and appends the last two to the cache.
    fn rotate(&mut self, mut out: Vec<f32>, width: usize, cache: Option<usize>) {
        let config = &self.network.config;
        let (query_width, kv_width) = (config.query_width(), config.kv_width());
        let pairs = config.head_dim / 2;
        let mut query = self.slots.remove(&Slot::Query).unwrap_or_default();
        query.clear();
        for (t, row) in out.chunks_exact_mut(width).enumerate() {
            let position = self.len + t;
            let angles = &self.rotary_table[position * pairs..(position + 1) * pairs];
            let (row_query, rest) = row.split_at_mut(query_width);
            rotary(row_query, angles);
            query.extend_from_slice(row_query);
            if let Some(cache) = cache {
                let (key, value) = rest.split_at_mut(kv_width);
                rotary(key, angles);
                self.caches[cache].keys.extend_from_slice(key);
                self.caches[cache].values.extend_from_slice(value);
            }
        }
        self.slots.insert(Slot::Query, query);
    }
}
