//! Random weights and one-call networks, on both backends at once.

use std::rc::Rc;

use half::{bf16, f16};
use mobilellm::Error;
use mobilellm::backend::cpu;
use mobilellm::backend::gpu::{self, Gpu, GpuOptions, Tier};
use mobilellm::backend::{Products, Wanted, WeightSink};
use mobilellm::model::config::Config;
use mobilellm::model::decoder::{Mixer, QueryKeyNorm};
use mobilellm::model::matrix::{Affine, Format, Matrix, ScaleFormat};
use mobilellm::model::network::{MatrixId, Network, Op, Projection, Slot, VectorId};

/// A quiet NaN with a payload that no arithmetic makes: what outputs hold before a kernel runs.
pub(crate) const POISON: f32 = f32::from_bits(0x7fc0_beef);

/// A device of each tier that this machine's adapter can run, or none: then the test says that it was skipped.
pub(crate) fn devices(test: &str) -> Vec<Gpu> {
    Tier::ALL.iter().filter_map(|tier| open(test, *tier, false)).collect()
}

/// The same, and each once more with tiles of integers, which all but the lowest tier can have.
pub(crate) fn devices_both_ways(test: &str) -> Vec<Gpu> {
    let with_tiles = Tier::ALL.iter().filter(|tier| **tier != Tier::Software);
    devices(test).into_iter().chain(with_tiles.filter_map(|tier| open(test, *tier, true))).collect()
}

fn open(test: &str, tier: Tier, int8_tiles: bool) -> Option<Gpu> {
    let int8_tiles = Some(int8_tiles);
    let options = GpuOptions { tier: Some(tier), int8_tiles, skip_self_test: true, ..GpuOptions::default() };
    match pollster::block_on(Gpu::open(options)) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            println!("skipped: gpu: {test} on tier {}: {error}", tier.name());
            None
        }
    }
}

/// splitmix64: the same numbers on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between -1 and 1.
    pub(crate) fn value(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.value()).collect()
    }

    pub(crate) fn token(&mut self, vocab_size: usize) -> u32 {
        (self.bits() % vocab_size as u64) as u32
    }

    /// A matrix in any format, its rows about 1 long so that deep networks neither fade nor explode.
    pub(crate) fn matrix(&mut self, rows: usize, cols: usize, format: Format) -> Matrix {
        let mut matrix = Matrix::zeros(rows, cols, format);
        let size = (3.0 / cols as f32).sqrt();
        let (row_words, row_scales) = (format.row_words(cols), format.row_scale_words(cols));
        for row in 0..rows {
            let words = &mut matrix.words[row * row_words..(row + 1) * row_words];
            match format {
                Format::F32 => words[..cols].fill_with(|| (self.value() * size).to_bits()),
                Format::F16 | Format::Bf16 => {
                    for col in 0..cols {
                        let value = self.value() * size;
                        let bits = match format {
                            Format::F16 => f16::from_f32(value).to_bits(),
                            _ => bf16::from_f32(value).to_bits(),
                        };
                        words[col / 2] |= u32::from(bits) << (16 * (col % 2));
                    }
                }
                Format::Affine(affine) => {
                    words.fill_with(|| self.bits() as u32);
                    let scales = &mut matrix.scales[row * row_scales..(row + 1) * row_scales];
                    self.scales(affine, size, scales);
                }
            }
        }
        matrix
    }

    /// Weights around zero whose stored integers lie far from it; those of column `zero` are zero.
    pub(crate) fn far_from_zero(&mut self, rows: usize, cols: usize, affine: Affine, zero: usize) -> Matrix {
        let mut matrix = Matrix::zeros(rows, cols, Format::Affine(affine));
        let bits = affine.bits as usize;
        let (spread, center) = if bits == 4 { (7, 12) } else { (41, 220) };
        let row_words = matrix.format.row_words(cols);
        for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
            let q = if col == zero { center } else { center - spread / 2 + self.bits() as u32 % spread };
            matrix.words[row * row_words + col * bits / 32] |= q << (col * bits % 32);
        }
        // A power of two, so that zero stays zero in every format of scales.
        for group in matrix.scales.chunks_mut(affine.scales.words()) {
            pack_scales(affine.scales, 1.0 / 64.0, center as f32 / -64.0, group);
        }
        matrix
    }

    fn scales(&mut self, affine: Affine, size: f32, scales: &mut [u32]) {
        let steps = ((1 << affine.bits) - 1) as f32;
        for group in scales.chunks_mut(affine.scales.words()) {
            let scale = 2.0 * size / steps * (1.0 + 0.25 * self.value());
            let bias = size * (-1.0 + 0.1 * self.value());
            pack_scales(affine.scales, scale, bias, group);
        }
    }
}

fn pack_scales(format: ScaleFormat, scale: f32, bias: f32, words: &mut [u32]) {
    match format {
        ScaleFormat::F32 => words.copy_from_slice(&[scale.to_bits(), bias.to_bits()]),
        ScaleFormat::F16 => {
            words[0] =
                u32::from(f16::from_f32(scale).to_bits()) | u32::from(f16::from_f32(bias).to_bits()) << 16;
        }
        ScaleFormat::Bf16 => {
            words[0] =
                u32::from(bf16::from_f32(scale).to_bits()) | u32::from(bf16::from_f32(bias).to_bits()) << 16;
        }
    }
}

/// Every weight format whose groups divide rows of `cols` values.
pub(crate) fn formats(cols: usize) -> Vec<Format> {
    let mut formats = vec![Format::F32, Format::F16, Format::Bf16];
    for (bits, group_size, scales) in [
        (4, 16, ScaleFormat::F32),
        (8, 16, ScaleFormat::F16),
        (4, 32, ScaleFormat::F16),
        (4, 64, ScaleFormat::Bf16),
        (4, 128, ScaleFormat::F32),
        (8, 32, ScaleFormat::Bf16),
        (8, 64, ScaleFormat::F32),
        (8, 128, ScaleFormat::F16),
    ] {
        // Two groups of 16 lie in each 32 columns.
        if cols.is_multiple_of(group_size.max(32) as usize) {
            formats.push(Format::Affine(Affine { bits, group_size, scales }));
        }
    }
    formats
}

/// The numbers of a config that kernels look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) hidden: usize,
    pub(crate) ffn: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) vocab: usize,
    pub(crate) extra: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        Self { hidden: 8, ffn: 8, layers: 1, heads: 1, kv_heads: 1, head_dim: 8, vocab: 64, extra: "" }
    }
}

impl Shape {
    pub(crate) fn config(self) -> Config {
        let Self { hidden, ffn, layers, heads, kv_heads, head_dim, vocab, extra } = self;
        let json = format!(
            r#"{{"model_type": "llama", "hidden_size": {hidden}, "intermediate_size": {ffn}, "num_hidden_layers": {layers},
                "num_attention_heads": {heads}, "num_key_value_heads": {kv_heads}, "head_dim": {head_dim},
                "vocab_size": {vocab}, "rms_norm_eps": 1e-5, "max_position_embeddings": 256 {extra}}}"#
        );
        Config::parse(json.as_bytes()).expect("a valid config")
    }

    /// A network of this shape that consists of the given calls.
    pub(crate) fn network(self, ops: Vec<Op>) -> Network {
        Network { config: self.config(), ops }
    }
}

/// Weights for a network on both backends.
pub(crate) struct Twins {
    pub(crate) cpu: cpu::CpuWeights,
    pub(crate) gpu: gpu::GpuWeights,
}

impl Twins {
    pub(crate) fn new(gpu: &Gpu, network: &Network) -> Self {
        Self { cpu: cpu::CpuWeights::default(), gpu: gpu::GpuWeights::new(gpu, network) }
    }

    pub(crate) fn matrix(&mut self, id: MatrixId, matrix: Matrix) {
        self.cpu.put_matrix(id, exact(&matrix)).expect("memory");
        self.gpu.put_matrix(id, matrix).expect("memory");
    }

    pub(crate) fn vector(&mut self, id: VectorId, values: Vec<f32>) {
        self.cpu.put_vector(id, values.clone()).expect("memory");
        self.gpu.put_vector(id, values).expect("memory");
    }

    /// Random weights for the whole of a network.
    pub(crate) fn random(
        gpu: &Gpu,
        network: &Network,
        seed: u64,
        format: impl Fn(MatrixId, usize) -> Format,
    ) -> Self {
        let mut random = Random::new(seed);
        let mut twins = Self::new(gpu, network);
        for (id, rows, cols) in network.matrices() {
            twins.matrix(id, random.matrix(rows, cols, format(id, cols)));
            if let MatrixId::Block(block, projection) = id {
                twins.vector(VectorId::Bias(block, projection), random.values(rows));
            }
        }
        let config = &network.config;
        let hidden = config.hidden_size;
        let mut norm =
            |id, width| twins.vector(id, random.values(width).iter().map(|v| 1.0 + 0.5 * v).collect());
        for (index, block) in config.decoder.blocks.iter().enumerate() {
            for id in [VectorId::AttentionNorm, VectorId::AttentionPostNorm] {
                norm(id(index), hidden);
            }
            for id in [VectorId::FeedForwardNorm, VectorId::FeedForwardPostNorm] {
                norm(id(index), hidden);
            }
            let (query, key) = match block.attention().and_then(|attention| attention.query_key_norm) {
                Some(QueryKeyNorm::Rows) => (config.query_width(), config.kv_width()),
                _ => (config.head_dim, config.head_dim),
            };
            norm(VectorId::QueryNorm(index), query);
            norm(VectorId::KeyNorm(index), key);
            if let Mixer::ShortConvolution { kernel_size } = block.mixer {
                norm(VectorId::Convolution(index), hidden * kernel_size);
            }
        }
        norm(VectorId::FinalNorm, hidden);
        twins
    }
}

/// The same weights in f32: the CPU backend rounds the activations that quantised weights meet, the GPU does not.
fn exact(matrix: &Matrix) -> Matrix {
    let mut exact = Matrix::zeros(matrix.rows, matrix.cols, Format::F32);
    let (words, mut values) = (Format::F32.row_words(matrix.cols), vec![0.0; matrix.cols]);
    for (row, words) in exact.words.chunks_mut(words).enumerate() {
        matrix.dequantize_row(row, &mut values);
        words.iter_mut().zip(&values).for_each(|(word, value)| *word = value.to_bits());
    }
    exact
}

/// One call of a network on the GPU: slots go in and come out.
pub(crate) struct Bench {
    pub(crate) state: gpu::GpuState,
    vocab: usize,
}

impl Bench {
    pub(crate) fn new(network: Network, weights: gpu::GpuWeights, max_positions: usize) -> Self {
        let vocab = network.config.vocab_size;
        let state = gpu::GpuState::new(Rc::new(network), Rc::new(weights), max_positions, Products::Fast)
            .expect("a state");
        Self { state, vocab }
    }

    /// Fills a slot's rows with poison.
    pub(crate) fn poison(&self, slot: Slot, width: usize) {
        let poison = vec![POISON; width * self.state.max_batch()];
        self.state.write_slot(slot, &poison).expect("a slot");
    }

    /// Runs a batch of `rows` tokens and returns what the slot holds for them. Rows that are not part of the batch
    /// must keep their poison.
    pub(crate) fn run(&mut self, rows: usize, slot: Slot, width: usize, poisoned: bool) -> Vec<f32> {
        let mut random = Random::new(7);
        let tokens: Vec<_> = (0..rows).map(|_| random.token(self.vocab)).collect();
        pollster::block_on(self.state.forward(&tokens, Wanted::None)).expect("a batch");
        let all = self.state.max_batch();
        let values = pollster::block_on(self.state.read_slot(slot, all)).expect("a slot");
        if poisoned {
            let untouched = &values[rows * width..];
            assert!(
                untouched.iter().all(|v| v.to_bits() == POISON.to_bits()),
                "rows outside of the batch were written"
            );
        }
        values[..rows * width].to_vec()
    }

    /// Fills positions without caring what is in them.
    pub(crate) fn advance(&mut self, positions: usize) {
        let mut left = positions;
        while left > 0 {
            let rows = left.min(self.state.max_batch());
            pollster::block_on(self.state.forward(&vec![0; rows], Wanted::None)).expect("a batch");
            left -= rows;
        }
    }
}

/// Panics where a value is not written, or differs by more than `tolerance` of the largest.
pub(crate) fn assert_close(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let largest = expected.iter().fold(0.0f32, |a, v| a.max(v.abs())).max(1e-6);
    for (index, (a, b)) in got.iter().zip(expected).enumerate() {
        assert_ne!(a.to_bits(), POISON.to_bits(), "{what}: value {index} was not written");
        assert!(
            (a - b).abs() <= tolerance * largest,
            "{what}: value {index} is {a}, not {b} (largest {largest})"
        );
    }
}

/// The projection that a bench runs, in block 0.
pub(crate) fn project(part: Projection, input: Slot, epilogue: mobilellm::model::network::Epilogue) -> Op {
    Op::Project {
        norm: None,
        weight: MatrixId::Block(0, part),
        bias: None,
        input,
        epilogue,
        rows: mobilellm::model::network::Rows::All,
    }
}

/// An expected failure, by its code.
pub(crate) fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("none", |error| error.code())
}
