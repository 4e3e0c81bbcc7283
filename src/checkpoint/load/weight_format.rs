//! In which format weights end up on the backend.

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::container::safetensors::Dtype;
use crate::error::{Error, Result};
use crate::model::matrix::{Affine, Format, ScaleFormat};
use crate::options::load::WEIGHTS;

/// Float checkpoints below this size are not quantised unless asked: 100 MB.
const SMALL_CHECKPOINT: u64 = 100_000_000;

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum WeightFormat {
    /// As stored where the checkpoint is quantised or small, else 8 bits.
    #[default]
    Auto,
    /// As stored, whatever it is.
    Stored,
    /// Single precision.
    F32,
    /// Half precision; a matrix with values beyond its range stays in single precision.
    F16,
    /// At most 8 bits a weight.
    Q8,
    /// At most 4 bits a weight.
    Q4,
}

impl WeightFormat {
    /// All, in the order in which help texts list them.
    pub const ALL: [Self; 6] = [Self::Auto, Self::Stored, Self::F32, Self::F16, Self::Q8, Self::Q4];

    /// The name on the command line and in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Stored => "stored",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }

    /// The format for a matrix of `cols` columns that is stored as floats.
    ///
    /// `parameters` are all of the checkpoint's; `stored_quantized` says whether other tensors of it are quantised.
    pub(crate) fn for_floats(
        self,
        stored: Dtype,
        cols: usize,
        parameters: u64,
        stored_quantized: bool,
    ) -> Format {
        match self {
            Self::Stored => as_stored(stored),
            Self::F32 => Format::F32,
            Self::F16 => Format::F16,
            Self::Q8 => quantized_or_half(8, stored, cols),
            Self::Q4 => quantized_or_half(4, stored, cols),
            Self::Auto => {
                let bytes = parameters.saturating_mul(stored.bitsize() as u64 / 8);
                if stored_quantized || bytes < SMALL_CHECKPOINT {
                    as_stored(stored)
                } else {
                    quantized_or_half(8, stored, cols)
                }
            }
        }
    }

    /// The format for a matrix that is stored quantised.
    ///
    /// Fewer bits than asked stay as they are: more would only take more room.
    pub(crate) fn for_quantized(self, stored: Affine) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::F16 => Format::F16,
            Self::Q4 if stored.bits > 4 => {
                Format::Affine(Affine { bits: 4, group_size: stored.group_size.clamp(32, 64), ..stored })
            }
            Self::Auto | Self::Stored | Self::Q8 | Self::Q4 => Format::Affine(stored),
        }
    }

    /// The format for a matrix of blocks with exact scales: what is quantised anew gets scales of half precision.
    pub(crate) fn for_blocks(self, stored: Affine) -> Format {
        match self.for_quantized(stored) {
            Format::Affine(affine) if affine.bits != stored.bits => {
                Format::Affine(Affine { scales: ScaleFormat::F16, ..affine })
            }
            format => format,
        }
    }
}

fn as_stored(dtype: Dtype) -> Format {
    match dtype {
        Dtype::F16 => Format::F16,
        Dtype::BF16 => Format::Bf16,
        _ => Format::F32,
    }
}

/// Affine in the largest group of 64 or 32 that divides the columns; where none does, two bytes a value.
fn quantized_or_half(bits: u32, stored: Dtype, cols: usize) -> Format {
    match [64, 32].into_iter().find(|group| cols.is_multiple_of(*group as usize)) {
        Some(group_size) => Format::Affine(Affine { bits, group_size, scales: ScaleFormat::F16 }),
        None if stored == Dtype::BF16 => Format::Bf16,
        None => Format::F16,
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WeightFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| WEIGHTS.not_a_word(text))
    }
}
