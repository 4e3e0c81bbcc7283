//! What a decoder computes, whatever its family: a family makes it from its configuration, and the network is written from it.

/// All that the network's calls depend on, but for sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderSpec {
    /// What each stored block computes.
    pub blocks: Vec<BlockSpec>,
    /// The output matrix is the embedding.
    pub tied_embeddings: bool,
    /// Multiplied onto the rows of the embedding; 1 leaves them as they are.
    pub embedding_scale: f32,
    /// Multiplied onto the logits; 1 leaves them as they are.
    pub logit_scale: f32,
    /// `c`, where logits become `c * tanh(logit / c)`.
    pub logit_softcap: Option<f32>,
    /// Added to every norm's weight while it is loaded: 1 where a checkpoint stores them so that 0 changes nothing.
    pub norm_offset: f32,
    /// The rotations that blocks choose from.
    pub rotary: Vec<Rotary>,
    /// Which values of a head are a pair in the checkpoint; while it is loaded, they become neighbours.
    pub rotary_pairs: RotaryPairs,
}

impl DecoderSpec {
    /// Divides the frequencies of all rotations, in order, by what a file has as a tensor of its own.
    pub fn divide_frequencies(&mut self, divisors: &[f32]) {
        for rotary in &mut self.rotary {
            for (frequency, divisor) in rotary.frequencies.iter_mut().zip(divisors) {
                *frequency /= f64::from(*divisor);
            }
        }
    }
}

/// What a block computes: a mixer of positions and an addition, then a gated feed-forward part and an addition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockSpec {
    /// How positions see each other.
    pub mixer: Mixer,
    /// Of the gate of the part that sees each position alone.
    pub activation: ActivationFunction,
    /// Where both parts have norms.
    pub norms: Norms,
    /// Which projections have biases.
    pub biases: Biases,
    /// Multiplied onto what each part adds to the residual stream.
    pub residual_scale: f32,
    /// How often it runs in a row with the same weights: 2 is MobileLLM-LS.
    pub runs: usize,
    /// Runs after the first attend to its keys and values instead of their own.
    pub shared_kv: bool,
}

/// How the positions of a block see each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mixer {
    /// Softmax attention over a cache of keys and values.
    Attention(AttentionSpec),
    /// A gated causal convolution over the latest positions (LFM2).
    ShortConvolution {
        /// Positions that it sees, its own included.
        kernel_size: usize,
    },
}

/// Attention of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionSpec {
    /// Which positions a position sees.
    pub window: Window,
    /// Which of [`DecoderSpec::rotary`] turns queries and keys; none where positions have no rotation.
    pub rotary: Option<usize>,
    /// Norms of queries and keys.
    pub query_key_norm: Option<QueryKeyNorm>,
    /// Multiplied onto the products of queries and keys.
    pub scale: f32,
    /// Multiplied onto queries, by their position.
    pub temperature: Option<Temperature>,
}

/// Which positions a position sees; never one after itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// All.
    Full,
    /// The latest so many, its own included: position `i` sees `i - n + 1..=i`.
    Sliding(usize),
    /// Those of its own chunk of so many: position `i` sees `i / n * n..=i`.
    Chunked(usize),
}

/// RMS norms of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryKeyNorm {
    /// Of each head, before the rotation; one weight of `head_dim` values for the queries and one for the keys.
    Heads,
    /// Of the whole row, before the rotation; a weight as wide as the row (`Olmo2`).
    Rows,
    /// Of each head, after the rotation, without weights (Llama 4).
    HeadsAfterRotation,
}

/// Queries grow with their position `i`: times `1 + attention_scale * ln(1 + floor((i + 1) / floor_scale))` (Llama 4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// Positions in which the factor stays the same.
    pub floor_scale: f32,
    /// How fast it grows.
    pub attention_scale: f32,
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

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActivationFunction {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// GELU by its tanh form: `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))` (arXiv 1606.08415).
    GeluTanh,
}

/// Where the parts of a block have RMS norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Norms {
    /// Of what they read.
    Before,
    /// Of what they add (`Olmo2`).
    After,
    /// Of both (Gemma).
    Both,
}

/// A rotation of queries and keys by their position.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Radians a position of each of the `head_dim / 2` pairs. A pair with 0 stays as it is.
    pub frequencies: Vec<f64>,
    /// Multiplied onto cosines and sines of the pairs that turn; 1 where the context was not stretched.
    pub attention_factor: f64,
    /// Other frequencies for long texts.
    pub long: Option<LongRotary>,
}

/// The frequencies of a text that is longer than some length.
#[derive(Debug, Clone, PartialEq)]
pub struct LongRotary {
    /// Positions up to which a text has the usual ones.
    pub max_short_positions: usize,
    /// In the place of [`Rotary::frequencies`].
    pub frequencies: Vec<f64>,
}

/// Which values of a head are turned together, as a checkpoint stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RotaryPairs {
    /// Values `i` and `i + width / 2` of the first `width`; what lies behind is not turned.
    Halves {
        /// The part of a head that is turned.
        width: usize,
    },
    /// Values `2 i` and `2 i + 1`.
    Neighbours,
}

/// What a state keeps of the positions of a text, for one run of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheSpec {
    /// Keys and values of the positions that are still seen.
    KeyValue {
        /// Which are.
        window: Window,
    },
    /// The inputs of a short convolution.
    Convolution {
        /// Positions that it sees, the newest included.
        kernel_size: usize,
    },
}

impl DecoderSpec {
    /// What a state keeps, in the order in which the blocks run.
    pub fn caches(&self) -> Vec<CacheSpec> {
        self.blocks.iter().flat_map(|block| std::iter::repeat_n(block.cache(), block.num_caches())).collect()
    }

    /// Whether a text of so many positions is turned by the frequencies of long ones.
    pub fn is_long(&self, positions: usize) -> bool {
        self.max_short_positions().is_some_and(|max| positions > max)
    }

    /// Positions up to which a text is turned by other frequencies than a longer one; `None` where all have the same.
    pub fn max_short_positions(&self) -> Option<usize> {
        self.rotary.iter().find_map(|rotary| rotary.long.as_ref()).map(|long| long.max_short_positions)
    }

    /// Whether some block runs more than once.
    pub fn shares_layers(&self) -> bool {
        self.blocks.iter().any(|block| block.runs > 1)
    }
}

impl BlockSpec {
    /// Caches that a block needs.
    pub fn num_caches(&self) -> usize {
        if self.shared_kv { 1 } else { self.runs }
    }

    /// What each of them keeps.
    pub fn cache(&self) -> CacheSpec {
        match self.mixer {
            Mixer::Attention(attention) => CacheSpec::KeyValue { window: attention.window },
            Mixer::ShortConvolution { kernel_size } => CacheSpec::Convolution { kernel_size },
        }
    }

    /// Its attention; `None` where it has another mixer.
    pub fn attention(&self) -> Option<&AttentionSpec> {
        match &self.mixer {
            Mixer::Attention(attention) => Some(attention),
            Mixer::ShortConvolution { .. } => None,
        }
    }
}

impl Norms {
    /// Whether what is read is normalised.
    pub fn before(self) -> bool {
        self != Self::After
    }

    /// Whether what is added is.
    pub fn after(self) -> bool {
        self != Self::Before
    }
}

impl Window {
    /// The first position that `position` sees.
    pub fn first(self, position: usize) -> usize {
        match self {
            Self::Full => 0,
            Self::Sliding(n) => (position + 1).saturating_sub(n),
            Self::Chunked(n) => position / n * n,
        }
    }

    /// Positions that one sees at most; `None` where there is no limit.
    #[expect(clippy::len_without_is_empty, reason = "no window is empty")]
    pub fn len(self) -> Option<usize> {
        match self {
            Self::Full => None,
            Self::Sliding(n) | Self::Chunked(n) => Some(n),
        }
    }
}

impl CacheSpec {
    /// Which positions the newest one sees.
    pub fn window(self) -> Window {
        match self {
            Self::KeyValue { window } => window,
            Self::Convolution { kernel_size } => Window::Sliding(kernel_size),
        }
    }

    /// Positions that it holds in a state of `max_positions`: position `p` lies at slot `p % capacity`. `slack` is what may be
    /// written beyond the newest position that counts: a batch, and work that may still be discarded.
    pub fn capacity(self, max_positions: usize, slack: usize) -> usize {
        let window = self.window().len();
        window
            .map_or(max_positions, |len| {
                len.saturating_add(slack).saturating_add(RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN
            })
            .min(max_positions)
    }

    /// Whether a ring of `capacity` that was written up to position `written` still holds all that position `len` sees of the past.
    pub fn holds(self, len: usize, written: usize, capacity: usize) -> bool {
        let first = self.window().first(len);
        first == len || first + capacity >= written
    }
}

/// A ring's capacity is a multiple of it, so that no block of so many positions goes over its end.
pub const RING_ALIGN: usize = 64;

impl Temperature {
    /// The factor of a query at `position`.
    pub fn at(self, position: usize) -> f32 {
        let grown = f64::from(self.attention_scale)
            * ((position as f64 + 1.0) / f64::from(self.floor_scale)).floor().ln_1p();
        (grown + 1.0) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: [Window; 6] = [
        Window::Full,
        Window::Sliding(1),
        Window::Sliding(5),
        Window::Sliding(100),
        Window::Chunked(7),
        Window::Chunked(64),
    ];

    #[test]
    fn a_ring_holds_what_it_was_not_written_over() {
        for window in WINDOWS {
            let spec = CacheSpec::KeyValue { window };
            let capacity = spec.capacity(1000, 8);
            for written in [0usize, 3, 64, 127, 128, 129, 300, 999] {
                for len in 0..=written {
                    let mut seen = window.first(len)..len;
                    let expected = seen.all(|position| position + capacity >= written);
                    assert_eq!(spec.holds(len, written, capacity), expected, "{window:?} {len} of {written}");
                }
            }
        }
    }

    #[test]
    fn a_ring_has_room_for_its_window_and_what_is_written_ahead() {
        for window in WINDOWS {
            let spec = CacheSpec::KeyValue { window };
            for (max_positions, slack) in [(16, 64), (1000, 1), (1000, 64), (100_000, 512)] {
                let capacity = spec.capacity(max_positions, slack);
                let enough = window.len().map_or(max_positions, |len| (len + slack).min(max_positions));
                assert!((enough..=max_positions).contains(&capacity), "{window:?} {max_positions} {slack}");
                assert!(capacity == max_positions || capacity.is_multiple_of(RING_ALIGN));
                assert!(window == Window::Full || capacity < enough + RING_ALIGN);
            }
        }
    }

    #[test]
    fn the_temperature_is_transformers() {
        let temperature = Temperature { floor_scale: 8192.0, attention_scale: 0.1 };
        assert_eq!(temperature.at(0), 1.0);
        assert_eq!(temperature.at(8190), 1.0);
        assert!((temperature.at(8191) - (0.1 * 2.0f32.ln() + 1.0)).abs() < 1e-6);
    }
}
