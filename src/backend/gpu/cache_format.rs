//! How keys and values are stored.

use super::shader::{self, Piece};
use crate::model::matrix::Format;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheFormat {
    /// One word per value: exact, for f32 weights.
    F32,
    /// Two values per word.
    F16,
}

impl CacheFormat {
    /// f32 caches for f32 weights; otherwise f16 caches, which have half the size.
    pub fn for_weights(formats: impl IntoIterator<Item = Format>) -> Self {
        if formats.into_iter().all(|format| format == Format::F32) { Self::F32 } else { Self::F16 }
    }

    /// Words for the keys and values of one position.
    pub(super) fn row_words(self, kv_width: usize) -> usize {
        match self {
            Self::F32 => 2 * kv_width,
            Self::F16 => kv_width,
        }
    }

    pub(super) fn read_piece(self) -> Piece {
        match self {
            Self::F32 => shader::CACHE_READ_F32,
            Self::F16 => shader::CACHE_READ_F16,
        }
    }

    pub(super) fn octets_piece(self) -> Piece {
        match self {
            Self::F32 => shader::CACHE_OCTETS_F32,
            Self::F16 => shader::CACHE_OCTETS_F16,
        }
    }

    pub(super) fn write_piece(self) -> Piece {
        match self {
            Self::F32 => shader::CACHE_WRITE_F32,
            Self::F16 => shader::CACHE_WRITE_F16,
        }
    }
}
