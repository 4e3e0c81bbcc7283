//! Weights in the order in which the kernels read them.

use bytemuck::{Pod, Zeroable};

use crate::backend::cpu::matmul::Unpack;
use crate::backend::cpu::simd::{Bytes, LANES, UNIT};
use crate::model::matrix::{Affine, Format, Matrix};

/// Bytes of [`Head`].
const HEAD: usize = size_of::<Head>();

/// A quantised matrix whose rows lie eight by eight beside each other.
///
/// A panel is eight rows; a record is a panel's group of columns: the eight scales, the eight biases, then the
/// integers. Those come in vectors of 32 bytes, four a row, as `Simd::multiply` takes them. Reading a
/// matrix is then one walk through memory, and a register holds eight rows that meet the same four activations.
pub struct Panels {
    /// Output features.
    pub rows: usize,
    /// Input features.
    pub cols: usize,
    /// Bits and group; scales are f32 here.
    pub(super) affine: Affine,
    lines: Vec<Line>,
}

/// A line of the cache.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// What every group of a panel begins with.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Head {
    pub(super) scales: [f32; LANES],
    pub(super) biases: [f32; LANES],
}

/// Eight rows.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    bytes: &'a [u8],
    affine: Affine,
}

/// A group of columns of eight rows.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) head: &'a Head,
    pub(super) vectors: &'a [Bytes],
}

impl Panels {
    /// Takes the integers of a matrix; `None` for floats, and for columns that are no whole units.
    pub fn new(matrix: &Matrix) -> Option<Self> {
        let Format::Affine(affine) = matrix.format else { return None };
        let (rows, cols) = (matrix.rows, matrix.cols);
        if !cols.is_multiple_of(UNIT) {
            return None;
        }
        let mut panels = Self { rows, cols, affine, lines: Vec::new() };
        let panel_bytes = panels.panel_bytes();
        panels.lines = bytemuck::zeroed_vec(rows.div_ceil(LANES) * panel_bytes / size_of::<Line>());
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut panels.lines);
        for (index, panel) in bytes.chunks_exact_mut(panel_bytes).enumerate() {
            fill(panel, affine, matrix, LANES * index);
        }
        Some(panels)
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }

    /// Rows `8 index..8 index + 8`.
    #[inline]
    pub(super) fn panel(&self, index: usize) -> Panel<'_> {
        let bytes: &[u8] = bytemuck::cast_slice(&self.lines);
        Panel { bytes: &bytes[index * self.panel_bytes()..][..self.panel_bytes()], affine: self.affine }
    }

    fn panel_bytes(&self) -> usize {
        self.cols / self.affine.group_size as usize * record_bytes(self.affine)
    }
}

impl<'a> Panel<'a> {
    /// Its groups of columns, in order.
    #[inline]
    pub(super) fn records(self) -> impl Iterator<Item = Record<'a>> {
        self.bytes.chunks_exact(record_bytes(self.affine)).map(Record::new)
    }

    /// One of them.
    #[inline]
    pub(super) fn record(self, group: usize) -> Record<'a> {
        let bytes = record_bytes(self.affine);
        Record::new(&self.bytes[group * bytes..][..bytes])
    }

    /// Vectors of a group.
    #[inline]
    pub(super) fn vectors_per_group(self) -> usize {
        (self.affine.group_size * self.affine.bits) as usize / UNIT
    }
}

impl<'a> Record<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        let (head, vectors) = bytes.split_at(HEAD);
        Self { head: bytemuck::from_bytes(head), vectors: vectors.as_chunks().0 }
    }
}

impl Unpack for Panels {
    fn cols(&self) -> usize {
        self.cols
    }

    fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        let lane = row % LANES;
        let groups = out.chunks_exact_mut(self.affine.group_size as usize);
        for (record, out) in self.panel(row / LANES).records().zip(groups) {
            let (scale, bias) = (record.head.scales[lane], record.head.biases[lane]);
            let columns = if self.affine.bits == 4 { 8 } else { 4 };
            for (vector, out) in record.vectors.iter().zip(out.chunks_exact_mut(columns)) {
                let (quads, _) = vector.as_chunks::<4>();
                for (c, o) in out.iter_mut().enumerate() {
                    let byte = quads[lane][c % 4];
                    let q = if self.affine.bits == 8 { byte } else { byte >> (4 * (c / 4)) & 15 };
                    *o = scale * f32::from(q) + bias;
                }
            }
        }
    }
}

fn record_bytes(affine: Affine) -> usize {
    HEAD + (affine.group_size * affine.bits) as usize * LANES / 8
}

/// Fills a panel with the rows from `first_row` on; where the matrix has fewer than eight, zeros stay.
///
/// A browser makes fast code of what is called often, not of a loop that runs long: this is called often.
#[inline(never)]
fn fill(panel: &mut [u8], affine: Affine, matrix: &Matrix, first_row: usize) {
    let record_bytes = record_bytes(affine);
    for (lane, row) in (first_row..matrix.rows.min(first_row + LANES)).enumerate() {
        let scales = matrix.row_scales(row);
        let words = matrix.row_words(row).chunks_exact((affine.group_size * affine.bits / 32) as usize);
        for ((group, record), words) in panel.chunks_exact_mut(record_bytes).enumerate().zip(words) {
            let (head, vectors) = parts_mut(record);
            (head.scales[lane], head.biases[lane]) = affine.scales.get(scales, group);
            for (vector, word) in vectors.iter_mut().zip(words) {
                vector[lane] = word.to_le();
            }
        }
    }
    if affine.bits == 4 {
        // Not while they are scattered: side by side, a register takes several.
        for record in panel.chunks_exact_mut(record_bytes) {
            let words = parts_mut(record).1.as_flattened_mut();
            for word in words {
                *word = split_halves(u32::from_le(*word)).to_le();
            }
        }
    }
}

fn parts_mut(record: &mut [u8]) -> (&mut Head, &mut [[u32; LANES]]) {
    let (head, vectors) = record.split_at_mut(HEAD);
    (bytemuck::from_bytes_mut(head), bytemuck::cast_slice_mut(vectors))
}

/// Eight nibbles in order become four bytes: nibble `j` below nibble `4 + j`.
#[inline]
fn split_halves(word: u32) -> u32 {
    // 0 1 2 3 4 5 6 7, the lowest first.
    let pairs = (word ^ word >> 8) & 0xff00;
    // 0 1 4 5 2 3 6 7.
    let word = word ^ pairs ^ pairs << 8;
    let single = (word ^ word >> 4) & 0x00f0_00f0;
    // 0 4 1 5 2 6 3 7.
    word ^ single ^ single << 4
}
