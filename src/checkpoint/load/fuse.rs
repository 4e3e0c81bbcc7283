//! Joins the matrices that a checkpoint stores apart, in the row order of [`crate::model::network::Projection`].

use super::rows::{common_format, convert, reserved};
use crate::error::Result;
use crate::model::config::Config;
use crate::model::matrix::Matrix;
use crate::model::network::{MatrixId, Projection};

/// How many stored matrices a matrix is made of.
pub(crate) fn num_parts(id: MatrixId) -> usize {
    match id {
        MatrixId::Block(_, Projection::Qkv) => 3,
        MatrixId::Block(_, Projection::GateUp) => 2,
        MatrixId::Embedding
        | MatrixId::Head
        | MatrixId::Block(
            _,
            Projection::Output | Projection::Down | Projection::ConvolutionIn | Projection::ConvolutionOut,
        ) => 1,
    }
}

/// Where row `row` of part `part` goes.
fn fused_row(id: MatrixId, part: usize, row: usize, config: &Config) -> usize {
    match (id, part) {
        (MatrixId::Block(_, Projection::Qkv), 0) => paired_row(row, config.head_dim),
        (MatrixId::Block(_, Projection::Qkv), 1) => config.query_width() + paired_row(row, config.head_dim),
        (MatrixId::Block(_, Projection::Qkv), _) => config.query_width() + config.kv_width() + row,
        (MatrixId::Block(_, Projection::GateUp), part) => 2 * row + part,
        _ => row,
    }
}

/// Rotary embedding turns rows `i` and `i + head_dim / 2` of a head together: they become neighbours.
fn paired_row(row: usize, head_dim: usize) -> usize {
    let (head, i) = (row / head_dim, row % head_dim);
    let half = head_dim / 2;
    head * head_dim + if i < half { 2 * i } else { 2 * (i - half) + 1 }
}

/// One matrix of all parts; where they differ in format, in one that holds each without loss.
pub(crate) fn fuse_matrices(id: MatrixId, parts: Vec<Matrix>, config: &Config) -> Result<Option<Matrix>> {
    if num_parts(id) == 1 {
        return Ok(parts.into_iter().next());
    }
    let Some(format) = common_format(parts.iter().map(|part| part.format)) else { return Ok(None) };
    let rows = parts.iter().map(|part| part.rows).sum();
    let cols = parts.first().map_or(0, |part| part.cols);
    let (row_words, row_scales) = (format.row_words(cols), format.row_scale_words(cols));
    let mut words = reserved(rows, row_words)?;
    let mut scales = reserved(rows, row_scales)?;
    let parts = parts.into_iter().map(|part| convert(part, format)).collect::<Result<Vec<_>>>()?;
    for (part, row) in sources(id, parts.iter().map(|part| part.rows), config) {
        words.extend_from_slice(parts[part].row_words(row));
        scales.extend_from_slice(parts[part].row_scales(row));
    }
    Ok(Some(Matrix { rows, cols, format, words, scales }))
}

/// The part and its row that each fused row comes from.
fn sources(
    id: MatrixId,
    part_rows: impl Iterator<Item = usize> + Clone,
    config: &Config,
) -> Vec<(usize, usize)> {
    let mut sources = vec![(0, 0); part_rows.clone().sum()];
    for (part, rows) in part_rows.enumerate() {
        for row in 0..rows {
            sources[fused_row(id, part, row, config)] = (part, row);
        }
    }
    sources
}

/// One bias vector of all parts.
pub(crate) fn fuse_vectors(id: MatrixId, parts: &[Vec<f32>], config: &Config) -> Vec<f32> {
    let sources = sources(id, parts.iter().map(Vec::len), config);
    sources.into_iter().map(|(part, row)| parts[part][row]).collect()
}
