//! The decoder, written once: the list of kernel calls that turns token ids into logits.
//!
//! A backend does not know what a transformer is; it runs these calls in order. This module does not know
//! which backend runs them. Two conventions make a block five calls long on every backend:
//!
//! - **Pairs are neighbours.** The rows of the query and key projections are ordered so that the two values
//!   that rotary embedding turns together are adjacent, and the gate and up projections alternate row by row.
//!   So whoever computes two neighbouring outputs of a projection can finish them: rotate, or gate.
//! - **One matrix a projection.** Query, key and value are one matrix, gate and up are another.
//!
//! Sources: Llama (arXiv 2302.13971), MobileLLM (arXiv 2402.14905) section 3 for embedding sharing,
//! grouped-query attention and immediate block-wise layer sharing.

use crate::model::config::Config;
use crate::model::decoder::Biases;

/// Names a weight matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatrixId {
    /// `[vocab_size, hidden_size]`, one row a token.
    Embedding,
    /// `[vocab_size, hidden_size]`, the output matrix where it is not the embedding.
    Head,
    /// A projection of stored block `.0`.
    Block(usize, Projection),
}

/// The four matrices of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Projection {
    /// `[(num_heads + 2 * num_kv_heads) * head_dim, hidden_size]`: query, key, value rows; query and key
    /// rows with rotary pairs adjacent.
    Qkv,
    /// `[hidden_size, num_heads * head_dim]`.
    Output,
    /// `[2 * intermediate_size, hidden_size]`: gate row i, up row i, gate row i + 1, ...
    GateUp,
    /// `[hidden_size, intermediate_size]`.
    Down,
}

impl Projection {
    /// Which of its parts have biases, in the order of its rows.
    pub fn biases(self, biases: &Biases) -> &[bool] {
        match self {
            Self::Qkv => &biases.qkv,
            Self::Output => &biases.output,
            Self::GateUp => &biases.gate_up,
            Self::Down => &biases.down,
        }
    }

    /// The same, to be changed.
    pub(crate) fn biases_mut(self, biases: &mut Biases) -> &mut [bool] {
        match self {
            Self::Qkv => &mut biases.qkv,
            Self::Output => &mut biases.output,
            Self::GateUp => &mut biases.gate_up,
            Self::Down => &mut biases.down,
        }
    }
}

/// Names a weight vector, f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VectorId {
    /// RMSNorm weight before attention of stored block `.0`, `[hidden_size]`.
    AttentionNorm(usize),
    /// RMSNorm weight before the feed-forward part of stored block `.0`, `[hidden_size]`.
    FeedForwardNorm(usize),
    /// RMSNorm weight before the head, `[hidden_size]`.
    FinalNorm,
    /// Bias of a projection, as long as the matrix has rows and in the same order.
    Bias(usize, Projection),
}

/// Names an activation: a buffer of one row a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// The residual stream, `hidden_size` wide.
    Hidden,
    /// Rotated queries, `num_heads * head_dim` wide.
    Query,
    /// What attention read, `num_heads * head_dim` wide.
    Context,
    /// The gated feed-forward activation, `intermediate_size` wide.
    Gated,
    /// One score a token of the vocabulary, `vocab_size` wide.
    Logits,
}

/// What happens to the products of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// They become the slot's values.
    Write(Slot),
    /// They are added to the slot's values.
    Add(Slot),
    /// Neighbours (g, u) become `silu(g) * u`; the slot is half as wide as the matrix has rows.
    SwiGlu(Slot),
    /// Queries and keys are rotated; queries go to [`Slot::Query`], keys and values to the cache.
    RotateAndCache {
        /// Which of the state's caches.
        cache: usize,
    },
    /// Only the query rows, the first of the matrix, are computed: rotated, to [`Slot::Query`].
    Rotate,
}

/// Which rows of the batch a call computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    /// One a token.
    All,
    /// Those whose logits were asked for: the last, or all.
    Wanted,
}

/// One kernel call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `Hidden[t] = Embedding[token[t]]`.
    Embed,
    /// `epilogue(weight * rms_norm(input) + bias)`, without the norm or the bias where they are `None`.
    Project {
        /// RMSNorm weight applied to the input first.
        norm: Option<VectorId>,
        /// The matrix.
        weight: MatrixId,
        /// Added to the products.
        bias: Option<VectorId>,
        /// Where the input rows are.
        input: Slot,
        /// Where the products go.
        epilogue: Epilogue,
        /// For which rows.
        rows: Rows,
    },
    /// `Context = softmax(Query * K^T / sqrt(head_dim)) * V`, causal, over a cache; query head h reads
    /// key/value head `h / (num_heads / num_kv_heads)`.
    Attend {
        /// Which cache.
        cache: usize,
    },
}

/// A checkpoint's shape and its kernel calls.
#[derive(Debug, Clone)]
pub struct Network {
    /// The shape.
    pub config: Config,
    /// The calls, in order.
    pub ops: Vec<Op>,
}

impl Network {
    /// Writes down the calls for a checkpoint.
    pub fn new(config: Config) -> Self {
        let mut ops = vec![Op::Embed];
        let mut cache = 0;
        for index in 0..config.num_hidden_layers {
            for run in 0..config.decoder.block.runs {
                let epilogue = if run > 0 && config.decoder.block.shared_kv {
                    cache -= 1;
                    Epilogue::Rotate
                } else {
                    Epilogue::RotateAndCache { cache }
                };
                ops.extend(block(&config, index, cache, epilogue));
                cache += 1;
            }
        }
        ops.push(head(&config));
        Self { config, ops }
    }

    /// Key/value caches that a state needs.
    pub fn num_caches(&self) -> usize {
        self.config.num_caches()
    }

    /// The matrices that the calls use, with their `(rows, cols)`.
    pub fn matrices(&self) -> Vec<(MatrixId, usize, usize)> {
        let c = &self.config;
        let mut ids = vec![(MatrixId::Embedding, c.vocab_size, c.hidden_size)];
        for index in 0..c.num_hidden_layers {
            for (part, rows, cols) in [
                (Projection::Qkv, c.qkv_width(), c.hidden_size),
                (Projection::Output, c.hidden_size, c.query_width()),
                (Projection::GateUp, 2 * c.intermediate_size, c.hidden_size),
                (Projection::Down, c.hidden_size, c.intermediate_size),
            ] {
                ids.push((MatrixId::Block(index, part), rows, cols));
            }
        }
        if !c.decoder.tied_embeddings {
            ids.push((MatrixId::Head, c.vocab_size, c.hidden_size));
        }
        ids
    }

    /// How wide a row of a slot is.
    pub fn width(&self, slot: Slot) -> usize {
        match slot {
            Slot::Hidden => self.config.hidden_size,
            Slot::Query | Slot::Context => self.config.query_width(),
            Slot::Gated => self.config.intermediate_size,
            Slot::Logits => self.config.vocab_size,
        }
    }
}

/// Attention and feed-forward of one run of a block: five calls.
fn block(config: &Config, index: usize, cache: usize, attention_epilogue: Epilogue) -> [Op; 5] {
    let biased = |part: Projection| part.biases(&config.decoder.block.biases).contains(&true);
    let project = |norm, part, input, epilogue| Op::Project {
        norm,
        weight: MatrixId::Block(index, part),
        bias: biased(part).then_some(VectorId::Bias(index, part)),
        input,
        epilogue,
        rows: Rows::All,
    };
    let norm = VectorId::AttentionNorm(index);
    [
        project(Some(norm), Projection::Qkv, Slot::Hidden, attention_epilogue),
        Op::Attend { cache },
        project(None, Projection::Output, Slot::Context, Epilogue::Add(Slot::Hidden)),
        project(
            Some(VectorId::FeedForwardNorm(index)),
            Projection::GateUp,
            Slot::Hidden,
            Epilogue::SwiGlu(Slot::Gated),
        ),
        project(None, Projection::Down, Slot::Gated, Epilogue::Add(Slot::Hidden)),
    ]
}

fn head(config: &Config) -> Op {
    Op::Project {
        norm: Some(VectorId::FinalNorm),
        weight: if config.decoder.tied_embeddings { MatrixId::Embedding } else { MatrixId::Head },
        bias: None,
        input: Slot::Hidden,
        epilogue: Epilogue::Write(Slot::Logits),
        rows: Rows::Wanted,
    }
}
