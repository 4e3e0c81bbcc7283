//! What a decoder computes, whatever its family: a family makes it from its configuration, and the network is written from it.

/// All that the network's calls depend on, but for sizes and numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderSpec {
    /// What each block computes; all blocks are alike.
    pub block: BlockSpec,
    /// The output matrix is the embedding.
    pub tied_embeddings: bool,
    /// Which values of a head are a pair in the checkpoint; while it is loaded, they become neighbours.
    pub rotary_pairs: RotaryPairs,
}

/// Which values of a head are turned together, as a checkpoint stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RotaryPairs {
    /// Values `i` and `i + head_dim / 2`.
    Halves,
    /// Values `2 i` and `2 i + 1`.
    Neighbours,
}

/// What a block computes: a norm, attention and an addition, then a norm, a gated feed-forward part and an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSpec {
    /// Query, key and value projections have biases.
    pub qkv_bias: bool,
    /// The output projection has a bias.
    pub output_bias: bool,
    /// Feed-forward projections have biases.
    pub mlp_bias: bool,
    /// How often it runs in a row with the same weights: 2 is MobileLLM-LS.
    pub runs: usize,
    /// Runs after the first attend to its keys and values instead of their own.
    pub shared_kv: bool,
}

impl BlockSpec {
    /// Key/value caches that a block needs.
    pub fn num_caches(self) -> usize {
        if self.shared_kv { 1 } else { self.runs }
    }
}
