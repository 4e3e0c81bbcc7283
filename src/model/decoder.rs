//! What a decoder computes, whatever its family: a family makes it from its configuration, and the network is written from it.

/// All that the network's calls depend on, but for sizes and numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderSpec {
    /// What each block computes; all blocks are alike.
    pub block: BlockSpec,
    /// The output matrix is the embedding.
    pub tied_embeddings: bool,
}

/// What a block computes: a norm, attention and an addition, then a norm, a gated feed-forward part and an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSpec {
    /// Which projections have biases.
    pub biases: Biases,
    /// How often it runs in a row with the same weights: 2 is MobileLLM-LS.
    pub runs: usize,
    /// Runs after the first attend to its keys and values instead of their own.
    pub shared_kv: bool,
}

/// Which projections have biases. A projection that is made of several stored matrices has a flag for each: where only
/// some of them have a bias, the others' part of it is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Biases {
    /// Query, key, value.
    pub qkv: [bool; 3],
    /// The output of attention.
    pub output: [bool; 1],
    /// Gate, up.
    pub gate_up: [bool; 2],
    /// The output of the feed-forward part.
    pub down: [bool; 1],
}

impl Biases {
    /// All of attention, or none; all of the feed-forward part, or none.
    pub fn new(attention: bool, feed_forward: bool) -> Self {
        Self { qkv: [attention; 3], output: [attention], gate_up: [feed_forward; 2], down: [feed_forward] }
    }
}

impl BlockSpec {
    /// Key/value caches that a block needs.
    pub fn num_caches(self) -> usize {
        if self.shared_kv { 1 } else { self.runs }
    }
}
