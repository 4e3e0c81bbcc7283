//! Blocks of weights as the engine's affine groups: `w = scale * q + bias` with the integers of the file and, exactly, its
//! scales. Nothing is quantised a second time.
//!
//! A block is a few columns of a row. Integers of up to 4 bits stay in 4 bits, those of 5 and 6 bits, and tables, become
//! 8 bits. What a type subtracts from its integers, and its minimum, is in the bias.

mod iq4;
mod k_quants;
mod legacy;

use half::f16;

use super::types::TensorType;
use crate::model::affine::pack_integers;
use crate::model::matrix::{Affine, Format, Matrix, ScaleFormat};

/// The largest block.
const MAX_COLS: usize = 256;

/// The least group.
const MIN_GROUP: usize = 16;

/// A block, unpacked. Only the beginnings are used where a block is smaller.
pub(super) struct Block {
    /// Of each column.
    integers: [u8; MAX_COLS],
    /// Scale and bias of each group.
    pairs: [(f32, f32); MAX_COLS / MIN_GROUP],
}

/// What the groups of a type are, with exact scales; `None` for floats.
pub(crate) fn affine(kind: TensorType) -> Option<Affine> {
    let (bits, group_size) = match kind {
        TensorType::F32 | TensorType::F16 | TensorType::BF16 => return None,
        TensorType::Q4_0 | TensorType::Q4_1 | TensorType::Q4_K => (4, 32),
        TensorType::Q2_K | TensorType::Q3_K => (4, 16),
        TensorType::Q5_0
        | TensorType::Q5_1
        | TensorType::Q5_K
        | TensorType::Q8_0
        | TensorType::IQ4_NL
        | TensorType::IQ4_XS => (8, 32),
        TensorType::Q6_K => (8, 16),
    };
    Some(Affine { bits, group_size, scales: ScaleFormat::F32 })
}

/// Unpacks a block of `bytes`, which is as long as the type says.
fn unpack(kind: TensorType, bytes: &[u8], block: &mut Block) {
    match kind {
        TensorType::F32 | TensorType::F16 | TensorType::BF16 => {}
        TensorType::Q4_0 => legacy::q4_0(bytes, block),
        TensorType::Q4_1 => legacy::q4_1(bytes, block),
        TensorType::Q5_0 => legacy::q5_0(bytes, block),
        TensorType::Q5_1 => legacy::q5_1(bytes, block),
        TensorType::Q8_0 => legacy::q8_0(bytes, block),
        TensorType::Q2_K => k_quants::q2_k(bytes, block),
        TensorType::Q3_K => k_quants::q3_k(bytes, block),
        TensorType::Q4_K => k_quants::q4_k(bytes, block),
        TensorType::Q5_K => k_quants::q5_k(bytes, block),
        TensorType::Q6_K => k_quants::q6_k(bytes, block),
        TensorType::IQ4_NL => iq4::iq4_nl(bytes, block),
        TensorType::IQ4_XS => iq4::iq4_xs(bytes, block),
    }
}

/// Whole rows of a tensor of blocks as a matrix with exact scales; `None` for floats.
pub(crate) fn rows(kind: TensorType, cols: usize, bytes: &[u8]) -> Option<Matrix> {
    let affine = affine(kind)?;
    let (block_cols, block_bytes) = (kind.block_cols() as usize, kind.block_bytes() as usize);
    let row_bytes = cols / block_cols * block_bytes;
    let rows = bytes.len().checked_div(row_bytes)?;
    let format = Format::Affine(affine);
    let mut words = Vec::with_capacity(rows * format.row_words(cols));
    let mut scales = Vec::with_capacity(rows * format.row_scale_words(cols));
    let mut block = Block { integers: [0; MAX_COLS], pairs: [(0.0, 0.0); MAX_COLS / MIN_GROUP] };
    let groups = block_cols / affine.group_size as usize;
    for bytes in bytes.chunks_exact(block_bytes) {
        unpack(kind, bytes, &mut block);
        pack_integers(&block.integers[..block_cols], affine.bits, &mut words);
        for pair in &block.pairs[..groups] {
            affine.scales.push(*pair, &mut scales);
        }
    }
    // Rows of whole groups of 32 fill their words up to the border.
    debug_assert_eq!(words.len(), rows * format.row_words(cols));
    Some(Matrix { rows, cols, format, words, scales })
}

/// The half float at the beginning of `bytes`.
fn half(bytes: &[u8]) -> f32 {
    match bytes {
        [low, high, ..] => f16::from_le_bytes([*low, *high]).to_f32(),
        _ => f32::NAN,
    }
}

/// Integers that count from `-offset` on.
fn centered(scale: f32, offset: f32) -> (f32, f32) {
    (scale, -offset * scale)
}

/// Nibbles of sixteen bytes: the lower halves are the first columns, the upper halves those behind.
fn nibbles(bytes: &[u8], integers: &mut [u8]) {
    let (low, high) = integers.split_at_mut(bytes.len());
    for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use safetensors::SafeTensors;

    use super::*;

    /// The values that the package `gguf` unpacks; see `tests/reference/make_gguf.py`.
    #[test]
    fn blocks_are_unpacked_as_by_independent_software() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures/gguf/blocks.safetensors");
        let file = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let kinds = TensorType::ALL.into_iter().filter(|kind| affine(*kind).is_some());
        for kind in kinds {
            let expected = tensors.tensor(&format!("{kind}.values")).unwrap();
            let cols = expected.shape()[1];
            let mut expected =
                expected.data().as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
            let matrix = rows(kind, cols, tensors.tensor(&format!("{kind}.bytes")).unwrap().data()).unwrap();
            assert_eq!((matrix.rows, matrix.words.len()), (2, 2 * matrix.format.row_words(cols)), "{kind}");
            let mut values = vec![0.0; cols];
            for row in 0..matrix.rows {
                matrix.dequantize_row(row, &mut values);
                let largest = values.iter().fold(0.0f32, |max, value| max.max(value.abs()));
                for (col, value) in values.iter().enumerate() {
                    let expected = expected.next().unwrap();
                    // Six bits times a scale of nineteen are one bit more than f32 has.
                    let off = (value - expected).abs();
                    assert!(
                        off <= largest * f32::EPSILON,
                        "{kind}, row {row}, column {col}: {value}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn types_have_the_sizes_of_the_format() {
        for kind in TensorType::ALL {
            if let Some(affine) = affine(kind) {
                assert_eq!(kind.block_cols() % u64::from(affine.group_size), 0, "{kind}");
                assert!(rows(kind, 256, &[]).unwrap().words.is_empty());
            }
        }
    }
}
