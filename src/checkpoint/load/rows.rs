//! Builds a matrix row by row, from floats, in any format.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::error::{Error, Result};
use crate::model::affine::{pack, quantized, scale_and_bias};
use crate::model::matrix::{Affine, Format, Matrix, ScaleFormat};

/// A matrix whose rows arrive in order.
pub(crate) struct RowWriter {
    matrix: Matrix,
    /// The format asked for could not hold some value.
    widened: bool,
}

impl RowWriter {
    /// An empty matrix that will have `rows` rows; its memory is reserved at once.
    pub(crate) fn new(rows: usize, cols: usize, format: Format) -> Result<Self> {
        let words = reserved(rows, format.row_words(cols))?;
        let scales = reserved(rows, format.row_scale_words(cols))?;
        Ok(Self { matrix: Matrix { rows, cols, format, words, scales }, widened: false })
    }

    /// Appends whole rows; finite values that the format cannot hold widen the whole matrix.
    pub(crate) fn push(&mut self, values: &[f32]) -> Result<()> {
        for row in values.chunks_exact(self.matrix.cols) {
            self.push_row(row)?;
        }
        Ok(())
    }

    fn push_row(&mut self, row: &[f32]) -> Result<()> {
        match self.matrix.format {
            Format::F32 => self.matrix.words.extend(row.iter().map(|value| value.to_bits())),
            Format::F16 => {
                let mut halves = vec![f16::ZERO; row.len().next_multiple_of(2)];
                halves[..row.len()].convert_from_f32_slice(row);
                if overflowed(row, halves.iter().map(|half| half.is_finite())) {
                    self.widen(Format::F32)?;
                    return self.push_row(row);
                }
                push_pairs(halves.iter().map(|half| half.to_bits()), &mut self.matrix.words);
            }
            Format::Bf16 => {
                let mut halves = vec![half::bf16::ZERO; row.len().next_multiple_of(2)];
                halves[..row.len()].convert_from_f32_slice(row);
                push_pairs(halves.iter().map(|half| half.to_bits()), &mut self.matrix.words);
            }
            Format::Affine(affine) => return self.push_groups(row, affine),
        }
        self.pad();
        Ok(())
    }

    fn push_groups(&mut self, row: &[f32], affine: Affine) -> Result<()> {
        let groups = row.chunks_exact(affine.group_size as usize);
        let exact: Vec<(f32, f32)> = groups.clone().map(|group| scale_and_bias(group, affine.bits)).collect();
        // Against the scale as it will be stored, so that rounding it costs nothing twice.
        let rounded = |(scale, bias): (f32, f32)| (affine.scales.round(scale), affine.scales.round(bias));
        let finite = |(scale, bias): (f32, f32)| scale.is_finite() && bias.is_finite();
        if exact.iter().any(|pair| finite(*pair) && !finite(rounded(*pair))) {
            self.widen(Format::Affine(Affine { scales: ScaleFormat::F32, ..affine }))?;
            return self.push_row(row);
        }
        for (group, pair) in groups.zip(exact) {
            let pair = rounded(pair);
            pack(group, affine.bits, pair, &mut self.matrix.words);
            affine.scales.push(pair, &mut self.matrix.scales);
        }
        self.pad();
        Ok(())
    }

    /// Rows start on a 16-byte border.
    fn pad(&mut self) {
        let row_words = self.matrix.format.row_words(self.matrix.cols);
        self.matrix.words.resize(self.matrix.words.len().next_multiple_of(row_words), 0);
    }

    /// Goes on in a format that holds more.
    fn widen(&mut self, format: Format) -> Result<()> {
        let Matrix { rows, cols, .. } = self.matrix;
        let mut written = std::mem::replace(&mut self.matrix, Self::new(rows, cols, format)?.matrix);
        let row_words = written.format.row_words(cols);
        written.rows = written.words.len() / row_words;
        self.widened = true;
        self.append_converted(&written)
    }

    /// Appends the rows of a matrix, without loss where the own format can hold what the other one can.
    pub(crate) fn append_converted(&mut self, from: &Matrix) -> Result<()> {
        match (from.format, self.matrix.format) {
            (a, b) if a == b => {
                self.matrix.words.extend_from_slice(&from.words);
                self.matrix.scales.extend_from_slice(&from.scales);
                Ok(())
            }
            (Format::Affine(narrow), Format::Affine(wide))
                if narrow.bits <= wide.bits && narrow.group_size >= wide.group_size =>
            {
                for row in 0..from.rows {
                    self.append_regrouped(from, row, narrow, wide);
                }
                Ok(())
            }
            _ => {
                let mut values = vec![0.0; from.cols];
                (0..from.rows).try_for_each(|row| {
                    from.dequantize_row(row, &mut values);
                    self.push_row(&values)
                })
            }
        }
    }

    /// The same integers in wider fields, the same scales once for each smaller group.
    fn append_regrouped(&mut self, from: &Matrix, row: usize, narrow: Affine, wide: Affine) {
        let packed = &from.row_words(row)[..from.cols * narrow.bits as usize / 32];
        if narrow.bits == wide.bits {
            self.matrix.words.extend_from_slice(packed);
        } else {
            let integers: Vec<u32> = quantized(packed, narrow.bits).collect();
            let per_word = (32 / wide.bits) as usize;
            self.matrix.words.extend(
                integers
                    .chunks_exact(per_word)
                    .map(|chunk| chunk.iter().rev().fold(0, |word, q| word << wide.bits | q)),
            );
        }
        self.pad();
        let repeats = narrow.group_size / wide.group_size;
        for group in 0..from.cols / narrow.group_size as usize {
            let pair = narrow.scales.get(from.row_scales(row), group);
            for _ in 0..repeats {
                wide.scales.push(pair, &mut self.matrix.scales);
            }
        }
    }

    /// The matrix, all of its rows pushed, and whether it had to be widened.
    pub(crate) fn finish(self) -> (Matrix, bool) {
        debug_assert_eq!(
            self.matrix.words.len(),
            self.matrix.rows * self.matrix.format.row_words(self.matrix.cols),
            "rows are missing"
        );
        (self.matrix, self.widened)
    }
}

/// Whether a finite value became infinite.
fn overflowed(row: &[f32], converted_is_finite: impl Iterator<Item = bool>) -> bool {
    row.iter().zip(converted_is_finite).any(|(value, finite)| value.is_finite() && !finite)
}

/// Two 16-bit values a word, the first in the lower half; their number is even.
fn push_pairs(halves: impl Iterator<Item = u16>, words: &mut Vec<u32>) {
    let mut halves = halves.map(u32::from);
    while let (Some(low), Some(high)) = (halves.next(), halves.next()) {
        words.push(high << 16 | low);
    }
}

/// An empty vector with room for `rows * row_words` words.
pub(crate) fn reserved(rows: usize, row_words: usize) -> Result<Vec<u32>> {
    let mut words = Vec::new();
    let fits = rows.checked_mul(row_words).is_some_and(|n| words.try_reserve_exact(n).is_ok());
    if fits { Ok(words) } else { Err(out_of_memory(rows, row_words)) }
}

fn out_of_memory(rows: usize, row_words: usize) -> Error {
    Error::out_of_memory(
        format!("a weight matrix of {rows} rows"),
        format!("{} bytes", rows as u128 * row_words as u128 * 4),
        "Use a smaller model, or fewer bits a weight",
    )
}

/// The same matrix with scales and biases in half precision, where all of them are halves.
pub(crate) fn with_half_scales(matrix: Matrix) -> Matrix {
    let Format::Affine(affine @ Affine { scales: ScaleFormat::F32, .. }) = matrix.format else {
        return matrix;
    };
    let fits = |bits: &u32| f16::from_f32(f32::from_bits(*bits)).to_f32().to_bits() == *bits;
    if !matrix.scales.iter().all(fits) {
        return matrix;
    }
    let mut scales = Vec::with_capacity(matrix.scales.len() / 2);
    for pair in matrix.scales.as_chunks::<2>().0 {
        ScaleFormat::F16.push((f32::from_bits(pair[0]), f32::from_bits(pair[1])), &mut scales);
    }
    Matrix { format: Format::Affine(Affine { scales: ScaleFormat::F16, ..affine }), scales, ..matrix }
}

/// The narrowest format that holds all of `formats` without loss.
pub(crate) fn common_format(formats: impl IntoIterator<Item = Format>) -> Option<Format> {
    formats.into_iter().reduce(|a, b| match (a, b) {
        _ if a == b => a,
        (Format::Affine(a), Format::Affine(b)) => Format::Affine(Affine {
            bits: a.bits.max(b.bits),
            group_size: a.group_size.min(b.group_size),
            scales: if a.scales == b.scales { a.scales } else { ScaleFormat::F32 },
        }),
        _ => Format::F32,
    })
}

/// The same values in a format that holds them without loss.
pub(crate) fn convert(matrix: Matrix, format: Format) -> Result<Matrix> {
    if matrix.format == format {
        return Ok(matrix);
    }
    let mut rows = RowWriter::new(matrix.rows, matrix.cols, format)?;
    rows.append_converted(&matrix)?;
    Ok(rows.finish().0)
}
