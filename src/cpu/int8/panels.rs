//! Weights in the order in which the kernels read them.

use bytemuck::{Pod, Zeroable};

use crate::cpu::simd::{Bytes, LANES, UNIT};
use crate::matrix::{Affine, Format, Matrix};

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

/// A group of columns of eight rows.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) head: &'a Head,
    pub(super) vectors: &'a [Bytes],
}

impl Panels {
    /// Takes the integers of a matrix; `None` for floats.
    pub fn new(matrix: &Matrix) -> Option<Self> {
        let Format::Affine(affine) = matrix.format else { return None };
        let (rows, cols) = (matrix.rows, matrix.cols);
        let mut panels = Self { rows, cols, affine, lines: Vec::new() };
        let lines = rows.div_ceil(LANES) * panels.panel_bytes() / HEAD;
        panels.lines = vec![Line::zeroed(); lines];
        for row in 0..rows {
            panels.put_row(row, matrix.row_words(row), matrix.row_scales(row));
        }
        Some(panels)
    }

    fn put_row(&mut self, row: usize, words: &[u32], scales: &[u32]) {
        let (affine, lane) = (self.affine, row % LANES);
        let (panel_bytes, record_bytes) = (self.panel_bytes(), self.record_bytes());
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.lines);
        let panel = &mut bytes[row / LANES * panel_bytes..][..panel_bytes];
        let words = words.chunks_exact((affine.group_size * affine.bits / 32) as usize);
        for ((group, record), words) in panel.chunks_exact_mut(record_bytes).enumerate().zip(words) {
            let (head, vectors) = record.split_at_mut(HEAD);
            let head: &mut Head = bytemuck::from_bytes_mut(head);
            (head.scales[lane], head.biases[lane]) = affine.scales.get(scales, group);
            for (vector, word) in vectors.as_chunks_mut::<UNIT>().0.iter_mut().zip(words) {
                let word = if affine.bits == 4 { split_halves(*word) } else { *word };
                vector[4 * lane..4 * lane + 4].copy_from_slice(&word.to_le_bytes());
            }
        }
    }

    /// Bytes of the weights.
    pub fn bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }

    /// Writes the `cols` values of row `row` into `out`.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        let lane = row % LANES;
        let groups = out.chunks_exact_mut(self.affine.group_size as usize);
        for (record, out) in self.panel(row / LANES).zip(groups) {
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

    /// The groups of rows `8 index..8 index + 8`.
    #[inline]
    pub(super) fn panel(&self, index: usize) -> impl Iterator<Item = Record<'_>> {
        let bytes: &[u8] = bytemuck::cast_slice(&self.lines);
        let panel = &bytes[index * self.panel_bytes()..][..self.panel_bytes()];
        panel.chunks_exact(self.record_bytes()).map(|record| {
            let (head, vectors) = record.split_at(HEAD);
            Record { head: bytemuck::from_bytes(head), vectors: vectors.as_chunks().0 }
        })
    }

    fn record_bytes(&self) -> usize {
        HEAD + (self.affine.group_size * self.affine.bits) as usize * LANES / 8
    }

    fn panel_bytes(&self) -> usize {
        self.cols / self.affine.group_size as usize * self.record_bytes()
    }
}

/// Eight nibbles in order become four bytes: nibble `j` below nibble `4 + j`.
fn split_halves(word: u32) -> u32 {
    let spread = |half: u32| {
        let bytes = (half | half << 8) & 0x00ff_00ff;
        (bytes | bytes << 4) & 0x0f0f_0f0f
    };
    spread(word & 0xffff) | spread(word >> 16) << 4
}
