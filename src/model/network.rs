//! The decoder, written once: the list of kernel calls that turns token ids into logits.
//!
//! A backend does not know what a transformer is; it runs these calls in order. This module does not know
//! which backend runs them. Two conventions make a block of Llama's kind five calls long on every backend:
//!
//! - **Pairs are neighbours.** The rows of the query and key projections are ordered so that the two values
//!   that rotary embedding turns together are adjacent, and the gate and up projections alternate row by row.
//!   So whoever computes two neighbouring outputs of a projection can finish them: rotate, or gate.
//! - **One matrix a projection.** Query, key and value are one matrix, gate and up are another.
//!
//! Sources: Llama (arXiv 2302.13971), MobileLLM (arXiv 2402.14905) section 3 for embedding sharing,
//! grouped-query attention and immediate block-wise layer sharing.

use crate::model::config::Config;
pub use crate::model::decoder::CacheSpec;
use crate::model::decoder::{
    ActivationFunction, AttentionSpec, Biases, BlockSpec, Mixer, QueryKeyNorm, Temperature,
};

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

/// The matrices of a block.
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
    /// `[3 * hidden_size, hidden_size]`: what a short convolution reads, as [`Slot::ConvolutionInput`] has it.
    ConvolutionIn,
    /// `[hidden_size, hidden_size]`.
    ConvolutionOut,
}

impl Projection {
    /// Which of its parts have biases, in the order of its rows.
    pub fn biases(self, biases: &Biases) -> &[bool] {
        match self {
            Self::Qkv => &biases.qkv,
            Self::Output => &biases.output,
            Self::GateUp => &biases.gate_up,
            Self::Down => &biases.down,
            Self::ConvolutionIn | Self::ConvolutionOut => &[],
        }
    }

    /// The same, to be changed.
    pub(crate) fn biases_mut(self, biases: &mut Biases) -> &mut [bool] {
        match self {
            Self::Qkv => &mut biases.qkv,
            Self::Output => &mut biases.output,
            Self::GateUp => &mut biases.gate_up,
            Self::Down => &mut biases.down,
            Self::ConvolutionIn | Self::ConvolutionOut => &mut [],
        }
    }
}

/// Names a weight vector, f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VectorId {
    /// RMSNorm weight before attention, or what stands in its place, of stored block `.0`, `[hidden_size]`.
    AttentionNorm(usize),
    /// RMSNorm weight of what it adds, `[hidden_size]`.
    AttentionPostNorm(usize),
    /// RMSNorm weight before the feed-forward part of stored block `.0`, `[hidden_size]`.
    FeedForwardNorm(usize),
    /// RMSNorm weight of what the feed-forward part adds, `[hidden_size]`.
    FeedForwardPostNorm(usize),
    /// RMSNorm weight of the queries, with rotary pairs adjacent: `[head_dim]`, or `[num_heads * head_dim]` where
    /// [`QueryKeyNorm::Rows`] asks for it.
    QueryNorm(usize),
    /// RMSNorm weight of the keys, with rotary pairs adjacent: `[head_dim]`, or `[num_kv_heads * head_dim]`.
    KeyNorm(usize),
    /// Taps of a short convolution, `[hidden_size, kernel_size]`, the oldest position's first.
    Convolution(usize),
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
    /// Queries, keys and values that are not rotated yet, `(num_heads + 2 * num_kv_heads) * head_dim` wide.
    Qkv,
    /// Rotated queries, `num_heads * head_dim` wide.
    Query,
    /// What attention read, `num_heads * head_dim` wide.
    Context,
    /// The gated feed-forward activation, `intermediate_size` wide.
    Gated,
    /// What a part of a block adds to the residual stream, before its norm, `hidden_size` wide.
    Branch,
    /// Gate before a convolution, gate after it, and what it reads: three times `hidden_size` wide.
    ConvolutionInput,
    /// What a convolution gives, `hidden_size` wide.
    Convolved,
    /// One score a token of the vocabulary, `vocab_size` wide.
    Logits,
}

impl Slot {
    /// How many there are.
    pub const COUNT: usize = Self::Logits as usize + 1;
}

/// What happens to the products of a projection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Epilogue {
    /// They become the slot's values.
    Write(Slot),
    /// They become [`Slot::Logits`]: times `scale`, then `softcap * tanh(x / softcap)`.
    Logits {
        /// 1 is no multiplication.
        scale: f32,
        /// None where logits are not bounded.
        softcap: Option<f32>,
    },
    /// They are added to the slot's values.
    Add {
        /// Where.
        slot: Slot,
        /// Multiplied onto products and bias first; 1 is no multiplication.
        scale: f32,
    },
    /// Neighbours (g, u) become `activation(g) * u`; the slot is half as wide as the matrix has rows.
    Gated {
        /// Where.
        slot: Slot,
        /// Of the gate.
        activation: ActivationFunction,
    },
    /// Queries and keys are rotated; queries go to [`Slot::Query`], keys and values to the cache. Where they have a norm or a
    /// temperature, [`Op::RotateAndCache`] does it.
    RotateAndCache {
        /// Which of the state's caches.
        cache: usize,
        /// Which rotation; none leaves them as they are.
        rotary: Option<usize>,
    },
    /// Only the query rows, the first of the matrix, are computed: rotated, to [`Slot::Query`].
    Rotate {
        /// Which rotation; none leaves them as they are.
        rotary: Option<usize>,
    },
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// `Hidden[t] = scale * Embedding[token[t]]`.
    Embed {
        /// 1 is no multiplication.
        scale: f32,
    },
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
    /// Norms, rotates and tempers the queries of [`Slot::Qkv`], to [`Slot::Query`]; norms and rotates its keys, to the cache
    /// with its values.
    RotateAndCache {
        /// Whose norms ([`VectorId::QueryNorm`], [`VectorId::KeyNorm`]).
        block: usize,
        /// Which of the state's caches.
        cache: usize,
        /// Which rotation; none leaves them as they are.
        rotary: Option<usize>,
        /// Which norms of queries and keys.
        norm: Option<QueryKeyNorm>,
        /// Which factor of the queries, last of all.
        temperature: Option<Temperature>,
    },
    /// `Context = softmax(scale * Query * K^T) * V`, causal, over the positions that the cache's window shows; query head h
    /// reads key/value head `h / (num_heads / num_kv_heads)`.
    Attend {
        /// Which cache.
        cache: usize,
        /// Of the products.
        scale: f32,
    },
    /// `Hidden += scale * rms_norm(input)`.
    AddNormed {
        /// RMSNorm weight.
        norm: VectorId,
        /// Where the rows are.
        input: Slot,
        /// 1 is no multiplication.
        scale: f32,
    },
    /// A gated short convolution: with gates B and C and inputs x in [`Slot::ConvolutionInput`] and `s = B * x`, which the cache
    /// keeps, `Convolved[t][c] = C[t][c] * sum over k of taps[c][k] * s[t - K + 1 + k][c]`; positions before the text are zero.
    Convolve {
        /// Whose taps ([`VectorId::Convolution`]).
        block: usize,
        /// Which of the state's caches.
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
        let decoder = &config.decoder;
        let mut ops = vec![Op::Embed { scale: decoder.embedding_scale }];
        let mut cache = 0;
        for (index, block) in decoder.blocks.iter().enumerate() {
            for run in 0..block.runs {
                let reuses = run > 0 && block.shared_kv;
                Calls { index, block, ops: &mut ops }.run(cache - usize::from(reuses), reuses);
                cache += usize::from(!reuses);
            }
        }
        ops.push(head(&config));
        Self { config, ops }
    }

    /// Caches that a state needs.
    pub fn caches(&self) -> Vec<CacheSpec> {
        self.config.decoder.caches()
    }

    /// The matrices that the calls use, with their `(rows, cols)`.
    pub fn matrices(&self) -> Vec<(MatrixId, usize, usize)> {
        let c = &self.config;
        let mut ids = vec![(MatrixId::Embedding, c.vocab_size, c.hidden_size)];
        for (index, block) in c.decoder.blocks.iter().enumerate() {
            let mixer = match block.mixer {
                Mixer::Attention(_) => [
                    (Projection::Qkv, c.qkv_width(), c.hidden_size),
                    (Projection::Output, c.hidden_size, c.query_width()),
                ],
                Mixer::ShortConvolution { .. } => [
                    (Projection::ConvolutionIn, 3 * c.hidden_size, c.hidden_size),
                    (Projection::ConvolutionOut, c.hidden_size, c.hidden_size),
                ],
            };
            let feed_forward = [
                (Projection::GateUp, 2 * c.intermediate_size, c.hidden_size),
                (Projection::Down, c.hidden_size, c.intermediate_size),
            ];
            for (part, rows, cols) in mixer.into_iter().chain(feed_forward) {
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
            Slot::Hidden | Slot::Branch | Slot::Convolved => self.config.hidden_size,
            Slot::Qkv => self.config.qkv_width(),
            Slot::Query | Slot::Context => self.config.query_width(),
            Slot::Gated => self.config.intermediate_size,
            Slot::ConvolutionInput => 3 * self.config.hidden_size,
            Slot::Logits => self.config.vocab_size,
        }
    }
}

/// Writes the calls of a block.
struct Calls<'a> {
    index: usize,
    block: &'a BlockSpec,
    ops: &'a mut Vec<Op>,
}

impl Calls<'_> {
    /// Mixer and feed-forward part of one run; a block like Llama's is five calls. One that `reuses` the cache only adds queries.
    fn run(&mut self, cache: usize, reuses: bool) {
        let index = self.index;
        let norms = self.block.norms;
        let before = norms.before().then_some(VectorId::AttentionNorm(index));
        let after = norms.after().then_some(VectorId::AttentionPostNorm(index));
        match self.block.mixer {
            Mixer::Attention(attention) => {
                self.attend(&attention, before, cache, reuses);
                self.branch(Projection::Output, Slot::Context, after);
            }
            Mixer::ShortConvolution { .. } => {
                let input = Epilogue::Write(Slot::ConvolutionInput);
                self.project(before, Projection::ConvolutionIn, Slot::Hidden, input);
                self.ops.push(Op::Convolve { block: index, cache });
                self.branch(Projection::ConvolutionOut, Slot::Convolved, after);
            }
        }
        let before = norms.before().then_some(VectorId::FeedForwardNorm(index));
        let after = norms.after().then_some(VectorId::FeedForwardPostNorm(index));
        let gated = Epilogue::Gated { slot: Slot::Gated, activation: self.block.activation };
        self.project(before, Projection::GateUp, Slot::Hidden, gated);
        self.branch(Projection::Down, Slot::Gated, after);
    }

    fn attend(&mut self, attention: &AttentionSpec, before: Option<VectorId>, cache: usize, reuses: bool) {
        let AttentionSpec { rotary, query_key_norm: norm, temperature, scale, .. } = *attention;
        let fused = norm.is_none() && temperature.is_none();
        let epilogue = match (reuses, fused) {
            (true, _) => Epilogue::Rotate { rotary },
            (false, true) => Epilogue::RotateAndCache { cache, rotary },
            (false, false) => Epilogue::Write(Slot::Qkv),
        };
        self.project(before, Projection::Qkv, Slot::Hidden, epilogue);
        if !fused {
            self.ops.push(Op::RotateAndCache { block: self.index, cache, rotary, norm, temperature });
        }
        self.ops.push(Op::Attend { cache, scale });
    }

    /// What a part adds to the residual stream: at once, or by way of its norm.
    fn branch(&mut self, part: Projection, input: Slot, norm: Option<VectorId>) {
        let scale = self.block.residual_scale;
        match norm {
            None => self.project(None, part, input, Epilogue::Add { slot: Slot::Hidden, scale }),
            Some(norm) => {
                self.project(None, part, input, Epilogue::Write(Slot::Branch));
                self.ops.push(Op::AddNormed { norm, input: Slot::Branch, scale });
            }
        }
    }

    fn project(&mut self, norm: Option<VectorId>, part: Projection, input: Slot, epilogue: Epilogue) {
        let biased = part.biases(&self.block.biases).contains(&true);
        self.ops.push(Op::Project {
            norm,
            weight: MatrixId::Block(self.index, part),
            bias: biased.then_some(VectorId::Bias(self.index, part)),
            input,
            epilogue,
            rows: Rows::All,
        });
    }
}

fn head(config: &Config) -> Op {
    let decoder = &config.decoder;
    let plain = decoder.logit_scale == 1.0 && decoder.logit_softcap.is_none();
    Op::Project {
        norm: Some(VectorId::FinalNorm),
        weight: if decoder.tied_embeddings { MatrixId::Embedding } else { MatrixId::Head },
        bias: None,
        input: Slot::Hidden,
        epilogue: if plain {
            Epilogue::Write(Slot::Logits)
        } else {
            Epilogue::Logits { scale: decoder.logit_scale, softcap: decoder.logit_softcap }
        },
        rows: Rows::Wanted,
    }
}
