//! One file a kernel: which shader pieces and constants a call needs, which buffers, how many workgroups.
//! Pure data; nothing here talks to a device.

pub(super) mod add_normed;
pub(super) mod attention;
pub(super) mod convolve;
pub(super) mod embed;
pub(super) mod matmul;
pub(super) mod rms_norm;
pub(super) mod rotate_and_cache;
pub(super) mod sample;

use super::call::Resource;
use super::layout::Layout;
use super::shader::{self, Binding, Shader, Tier};
use super::target::{Context, Target};
use crate::model::decoder::Window;
use crate::model::matrix::{Affine, Format, ScaleFormat};
use crate::model::network::{CacheSpec, MatrixId};

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
    let pieces: &[_] = match layout.format {
        Format::F32 => &[shader::FLOATS, shader::WEIGHTS_F32],
        Format::F16 => &[shader::FLOATS, shader::WEIGHTS_F16],
        Format::Bf16 => &[shader::FLOATS, shader::WEIGHTS_BF16],
        Format::Affine(affine) => {
            let words = if chunk_words(affine, widths) == 2 { shader::WORDS2 } else { shader::WORDS4 };
            match (widths, affine.bits) {
                (Widths::Any, _) => &[shader::AFFINE, words, shader::WEIGHTS_AFFINE],
                (Widths::Own, 4) => &[shader::AFFINE, words, shader::AFFINE_CHUNK, shader::WEIGHTS_AFFINE4],
                (Widths::Own, _) => &[shader::AFFINE, words, shader::AFFINE_CHUNK, shader::WEIGHTS_AFFINE8],
            }
        }
    };
    let shader = shader.constant("ROW_CHUNKS", row_chunks(layout, widths));
    let shader = pieces.iter().fold(shader, |shader, piece| shader.piece(*piece));
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

/// Words that a kernel reads at once of affine integers: four, unless those of 4 bits would lie in two groups.
fn chunk_words(Affine { bits, group_size, .. }: Affine, widths: Widths) -> usize {
    if group_size < 32 && (widths == Widths::Any || bits == 4) { 2 } else { 4 }
}

/// The chunks of a row.
fn row_chunks(layout: &Layout, widths: Widths) -> usize {
    let words = layout.format.row_words(layout.cols);
    match layout.format {
        Format::F32 | Format::F16 | Format::Bf16 => words / 4,
        Format::Affine(affine) => {
            let chunks = words / chunk_words(affine, widths);
            // One of 8 bits is twice as long where it has as many columns as one of 4.
            if widths == Widths::Any { 4 * chunks / affine.bits as usize } else { chunks }
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

/// Completes a shader with where a position lies in a cache. The numbers do not depend on a state's size: a ring that is smaller
/// holds all of its positions.
fn with_slots(shader: Shader, target: Target, cache: CacheSpec) -> Shader {
    match cache.window() {
        Window::Full => shader.piece(shader::SLOTS_LINE),
        Window::Sliding(_) | Window::Chunked(_) => {
            let capacity = target.capacity(cache, MAX_POSITIONS);
            shader.constant("CAPACITY", capacity).piece(shader::SLOTS_RING)
        }
    }
}

/// Completes a shader with which positions a token sees.
fn with_window(shader: Shader, window: Window) -> Shader {
    match window {
        Window::Full => shader.piece(shader::WINDOW_FULL),
        Window::Sliding(len) => {
            shader.constant("WINDOW", len.min(MAX_POSITIONS)).piece(shader::WINDOW_SLIDING)
        }
        Window::Chunked(len) => {
            shader.constant("WINDOW", len.min(MAX_POSITIONS)).piece(shader::WINDOW_CHUNKED)
        }
    }
}

/// More than any state has: kernels count in 32 bits.
const MAX_POSITIONS: usize = 1 << 31;

/// Completes a shader with a rotation of heads, or with none.
fn with_rotary(
    context: &Context,
    shader: Shader,
    resources: &mut Vec<(Binding, Resource)>,
    rotary: Option<usize>,
) -> Shader {
    let shader = shader.constant("HEAD_DIM", context.network.config.head_dim);
    match rotary {
        None => shader.piece(shader::ROTARY_NONE),
        Some(index) => {
            resources.push((Binding::Rotary, Resource::Rotary(index)));
            shader.piece(shader::ROTARY)
        }
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
