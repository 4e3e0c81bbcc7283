//! Joins the matrices that a checkpoint stores apart, in the row order of [`crate::model::network::Projection`].

use super::rows::{common_format, convert, reserved};
use crate::error::Result;
use crate::model::config::Config;
use crate::model::decoder::RotaryPairs;
use crate::model::matrix::Matrix;
use crate::model::network::{MatrixId, Projection};

/// How many stored matrices a matrix is made of.
pub(crate) fn num_parts(id: MatrixId, config: &Config) -> usize {
    let names = &config.tensors;
    match id {
        MatrixId::Block(_, Projection::Qkv) if names.query_key_value.is_none() => 3,
        MatrixId::Block(_, Projection::GateUp) if names.gate_up.is_none() => 2,
        _ => 1,
    }
}

/// Where row `row` of part `part` goes.
fn fused_row(id: MatrixId, part: usize, row: usize, config: &Config) -> usize {
    let (keys, values) = (config.query_width(), config.query_width() + config.kv_width());
    let gates = config.intermediate_size;
    match (id, part) {
        (MatrixId::Block(_, Projection::Qkv), 0) if row < keys => paired(row, config),
        (MatrixId::Block(_, Projection::Qkv), 0) if row < values => keys + paired(row - keys, config),
        (MatrixId::Block(_, Projection::Qkv), 1) => keys + paired(row, config),
        (MatrixId::Block(_, Projection::Qkv), 2) => values + row,
        (MatrixId::Block(_, Projection::GateUp), 0) if row >= gates => 2 * (row - gates) + 1,
        (MatrixId::Block(_, Projection::GateUp), part) => 2 * row + part,
        _ => row,
    }
}

/// Where value `at` of rows of heads goes: the two that rotary embedding turns together become neighbours.
fn paired(at: usize, config: &Config) -> usize {
    let (head, i) = (at / config.head_dim, at % config.head_dim);
    let paired = match config.decoder.rotary_pairs {
        RotaryPairs::Halves { width } if i < width / 2 => 2 * i,
        RotaryPairs::Halves { width } if i < width => 2 * (i - width / 2) + 1,
        RotaryPairs::Halves { .. } | RotaryPairs::Neighbours => i,
    };
    head * config.head_dim + paired
}

/// The weight of a norm of queries or keys, in the order of their rows.
pub(crate) fn pair_values(values: &[f32], config: &Config) -> Vec<f32> {
    let mut all = vec![0.0; values.len()];
    for (at, value) in values.iter().enumerate() {
        all[paired(at, config)] = *value;
    }
    all
}

/// One matrix of all parts; where they differ in format, in one that holds each without loss.
pub(crate) fn fuse_matrices(id: MatrixId, parts: Vec<Matrix>, config: &Config) -> Result<Option<Matrix>> {
    if !matches!(id, MatrixId::Block(_, Projection::Qkv | Projection::GateUp)) {
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
