//! One file a kernel: which shader pieces and constants a call needs, which buffers, how many workgroups.
//! Pure data; nothing here talks to a device.

pub(super) mod attention;
pub(super) mod embed;
pub(super) mod matmul;
pub(super) mod rms_norm;
pub(super) mod sample;

use super::plan::{Activation, Resource, Target};
use super::shader::{self, Binding, Piece, Shader, Tier};
use super::weights::Layout;
use crate::matrix::{Affine, Format, ScaleFormat};
use crate::network::{MatrixId, Network};

/// Values that every row of an activation is padded to a multiple of, so that it can be read in the chunks
/// of eight that f16 weights come in.
pub(super) const STRIDE_ALIGN: usize = 8;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheFormat {
    /// One word a value: exact, for f32 weights.
    F32,
    /// Two values a word.
    F16,
}

impl CacheFormat {
    /// Exact caches for exact weights; otherwise half the size.
    pub(super) fn for_weights(formats: impl IntoIterator<Item = Format>) -> Self {
        if formats.into_iter().all(|format| format == Format::F32) { Self::F32 } else { Self::F16 }
    }

    /// Words of a position's keys and values.
    pub(super) fn row_words(self, kv_width: usize) -> usize {
        match self {
            Self::F32 => 2 * kv_width,
            Self::F16 => kv_width,
        }
    }

    fn read_piece(self) -> Piece {
        match self {
            Self::F32 => shader::CACHE_READ_F32,
            Self::F16 => shader::CACHE_READ_F16,
        }
    }

    fn octets_piece(self) -> Piece {
        match self {
            Self::F32 => shader::CACHE_OCTETS_F32,
            Self::F16 => shader::CACHE_OCTETS_F16,
        }
    }

    fn write_piece(self) -> Piece {
        match self {
            Self::F32 => shader::CACHE_WRITE_F32,
            Self::F16 => shader::CACHE_WRITE_F16,
        }
    }
}

/// Values from one row of an activation to the next.
pub(super) fn stride(network: &Network, activation: Activation) -> usize {
    network.width(activation.slot()).next_multiple_of(STRIDE_ALIGN)
}

/// Which integers a kernel unpacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Widths {
    /// Those of its matrix.
    Own,
    /// Those of 4 and of 8 bits, so that matrices of both have it in common.
    Any,
}

/// Completes a shader with what decodes a matrix: its format, and which part of it is bound.
fn with_weights(shader: Shader, layout: &Layout, widths: Widths) -> Shader {
    let shader = shader.piece(shader::PART);
    let row_chunks = layout.format.row_words(layout.cols) / 4;
    let (row_chunks, piece) = match layout.format {
        Format::F32 => (row_chunks, shader::WEIGHTS_F32),
        Format::F16 => (row_chunks, shader::WEIGHTS_F16),
        Format::Bf16 => (row_chunks, shader::WEIGHTS_BF16),
        Format::Affine(Affine { bits, .. }) => match (widths, bits) {
            // A chunk of 8 bits is twice as long then.
            (Widths::Any, _) => (4 * row_chunks / bits as usize, shader::WEIGHTS_AFFINE),
            (Widths::Own, 4) => (row_chunks, shader::WEIGHTS_AFFINE4),
            (Widths::Own, _) => (row_chunks, shader::WEIGHTS_AFFINE8),
        },
    };
    let shader = shader.constant("ROW_CHUNKS", row_chunks).piece(piece);
    match layout.format {
        Format::F32 | Format::F16 | Format::Bf16 => shader,
        Format::Affine(Affine { group_size, scales, .. }) => {
            shader.constant("GROUP_SIZE", group_size as usize).piece(match scales {
                ScaleFormat::F32 => shader::SCALES_F32,
                ScaleFormat::F16 => shader::SCALES_F16,
                ScaleFormat::Bf16 => shader::SCALES_BF16,
            })
        }
    }
}

/// Completes a shader with what sums over threads: `lanes` of them, or a whole workgroup of `threads`.
fn with_reduction(shader: Shader, target: Target, threads: usize, lanes: usize) -> Shader {
    let shader = shader.constant("THREADS", threads).constant("LANES", lanes);
    match target.tier {
        Tier::Subgroups | Tier::F16 => {
            shader.constant("SUBGROUP", target.subgroup_size.min(threads)).piece(shader::REDUCE_SUBGROUP)
        }
        Tier::Portable | Tier::Software => shader.piece(shader::REDUCE_TREE),
    }
}

/// The buffers of part `part` of a matrix.
fn weight_resources(id: MatrixId, layout: &Layout, part: usize) -> Vec<(Binding, Resource)> {
    let mut resources =
        vec![(Binding::Part, Resource::Part(id, part)), (Binding::Weights, Resource::Words(id, part))];
    if matches!(layout.format, Format::Affine(_)) {
        resources.push((Binding::Scales, Resource::Scales(id, part)));
    }
    resources
}
