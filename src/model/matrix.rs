//! A weight matrix at rest: packed words, the same bytes on the CPU and on the GPU.
//!
//! Rows are output features, columns input features, as in a checkpoint. Every row starts on a 16-byte
//! border and is padded with zero words, so that kernels load four words at a time without a tail case.

use half::{bf16, f16};

/// Words (u32) that every row is padded to a multiple of.
pub const ROW_ALIGN_WORDS: usize = 4;

/// How one weight is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// IEEE single precision, one value a word.
    F32,
    /// IEEE half precision, two values a word, the lower column in the lower bits.
    F16,
    /// bfloat16, two values a word, the lower column in the lower bits.
    Bf16,
    /// Affine integers, `w = scale * q + bias` per group of columns.
    Affine(Affine),
}

/// The affine group quantisation of the MLX layout.
///
/// `q` is unsigned, packed little-endian: column `c` lies at bits `bits * (c % (32 / bits))` of word `c * bits / 32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Affine {
    /// Bits a weight: 4 or 8.
    pub bits: u32,
    /// Columns that share a scale and a bias: 16, 32, 64 or 128. It divides the number of columns.
    pub group_size: u32,
    /// How scales and biases are stored.
    pub scales: ScaleFormat,
}

/// How the scale and the bias of a group are stored in [`Matrix::scales`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScaleFormat {
    /// Two words a group: the scale as f32, the bias as f32.
    F32,
    /// One word a group: the scale as f16 in the lower half, the bias in the upper.
    F16,
    /// One word a group: the scale as bf16 in the lower half, the bias in the upper.
    Bf16,
}

impl ScaleFormat {
    /// Words that a group's scale and bias take.
    pub fn words(self) -> usize {
        match self {
            Self::F32 => 2,
            Self::F16 | Self::Bf16 => 1,
        }
    }
}

impl Format {
    /// Values that one word holds.
    pub fn values_per_word(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::Affine(affine) => (32 / affine.bits) as usize,
        }
    }

    /// Words of one padded row of `cols` values.
    pub fn row_words(self, cols: usize) -> usize {
        cols.div_ceil(self.values_per_word()).next_multiple_of(ROW_ALIGN_WORDS)
    }

    /// Words of scales and biases of one row; 0 for floating-point formats.
    pub fn row_scale_words(self, cols: usize) -> usize {
        match self {
            Self::Affine(affine) => cols / affine.group_size as usize * affine.scales.words(),
            _ => 0,
        }
    }
}

/// A matrix of `rows` x `cols` weights in one [`Format`].
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Output features.
    pub rows: usize,
    /// Input features.
    pub cols: usize,
    /// How weights are stored.
    pub format: Format,
    /// `rows * format.row_words(cols)` words.
    pub words: Vec<u32>,
    /// `rows * format.row_scale_words(cols)` words.
    pub scales: Vec<u32>,
}

impl Matrix {
    /// A matrix of zero words.
    pub fn zeros(rows: usize, cols: usize, format: Format) -> Self {
        Self {
            rows,
            cols,
            format,
            words: vec![0; rows * format.row_words(cols)],
            scales: vec![0; rows * format.row_scale_words(cols)],
        }
    }

    /// Bytes that the matrix occupies.
    pub fn bytes(&self) -> usize {
        (self.words.len() + self.scales.len()) * 4
    }

    /// The words of row `row`.
    pub fn row_words(&self, row: usize) -> &[u32] {
        let n = self.format.row_words(self.cols);
        &self.words[row * n..(row + 1) * n]
    }

    /// The scale words of row `row`.
    pub fn row_scales(&self, row: usize) -> &[u32] {
        let n = self.format.row_scale_words(self.cols);
        &self.scales[row * n..(row + 1) * n]
    }

    /// Writes the `cols` values of row `row` into `out`.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        let words = self.row_words(row);
        match self.format {
            Format::F32 => {
                for (o, w) in out.iter_mut().zip(words) {
                    *o = f32::from_bits(*w);
                }
            }
            Format::F16 | Format::Bf16 => {
                for (c, o) in out.iter_mut().enumerate().take(self.cols) {
                    let bits = (words[c / 2] >> (16 * (c % 2))) as u16;
                    *o = half_value(self.format, bits);
                }
            }
            Format::Affine(affine) => {
                let per_word = self.format.values_per_word();
                let mask = (1u32 << affine.bits) - 1;
                let scales = self.row_scales(row);
                let group_size = affine.group_size as usize;
                for (group, chunk) in out[..self.cols].chunks_mut(group_size).enumerate() {
                    let (scale, bias) = affine.scales.get(scales, group);
                    for (i, o) in chunk.iter_mut().enumerate() {
                        let c = group * group_size + i;
                        let q = words[c / per_word] >> (affine.bits as usize * (c % per_word)) & mask;
                        *o = scale * q as f32 + bias;
                    }
                }
            }
        }
    }
}

impl ScaleFormat {
    /// The (scale, bias) of group `group` in one row's scale words.
    pub fn get(self, scales: &[u32], group: usize) -> (f32, f32) {
        match self {
            Self::F32 => (f32::from_bits(scales[2 * group]), f32::from_bits(scales[2 * group + 1])),
            Self::F16 => {
                let word = scales[group];
                (f16::from_bits(word as u16).to_f32(), f16::from_bits((word >> 16) as u16).to_f32())
            }
            Self::Bf16 => {
                let word = scales[group];
                (f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000))
            }
        }
    }
}

fn half_value(format: Format, bits: u16) -> f32 {
    match format {
        Format::Bf16 => bf16::from_bits(bits).to_f32(),
        _ => f16::from_bits(bits).to_f32(),
    }
}
