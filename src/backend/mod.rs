//! What the backends have in common: what is put into them, and what is asked of them.

pub mod cpu;
pub mod gpu;
mod model;

pub use model::{Loading, Model, State};

use crate::error::{Error, Result};
use crate::model::decoder::DecoderSpec;
use crate::model::matrix::Matrix;
use crate::model::network::{MatrixId, VectorId};

/// Where a loader puts finished weights, in any order, each id once.
pub trait WeightSink {
    /// Takes a matrix in the row order that [`crate::model::network::Projection`] documents.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device cannot hold it.
    fn put_matrix(&mut self, id: MatrixId, matrix: Matrix) -> Result<()>;

    /// Takes a vector of f32.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device cannot hold it.
    fn put_vector(&mut self, id: VectorId, values: Vec<f32>) -> Result<()>;

    /// Forgets a matrix that turned out to be a copy of another.
    fn remove_matrix(&mut self, id: MatrixId);
}

/// What weights in integers are multiplied with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Products {
    /// As fast as the backend can: it may round activations to 8-bit integers, or to half precision.
    #[default]
    Fast,
    /// Activations and products in f32: what the others are compared with.
    Exact,
}

/// Which rows of a batch get logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// None: the batch only fills the caches.
    None,
    /// The last row.
    Last,
    /// Every row.
    All,
}

/// Checks that a text of `len` positions, turned by the frequencies of long texts or not, may go on up to `end`.
pub(crate) fn check_length(decoder: &DecoderSpec, len: usize, end: usize, long: bool) -> Result<()> {
    if len == 0 || decoder.is_long(end) == long {
        return Ok(());
    }
    Err(Error::request(
        "tokens",
        format!(
            "the text grows to {end} positions, and the rotary embedding of one of more than {} is another: call \
             State::expect with its length, and run it again from its first token",
            decoder.max_short_positions().unwrap_or_default()
        ),
    ))
}

/// Checks what every backend demands of a batch before it touches a buffer.
pub(crate) fn check_batch(tokens: &[u32], vocab_size: usize, max_batch: usize, room: usize) -> Result<()> {
    if tokens.is_empty() || tokens.len() > max_batch {
        return Err(Error::request(
            "tokens",
            format!("a batch has 1 to {max_batch} tokens, not {}", tokens.len()),
        ));
    }
    if tokens.len() > room {
        return Err(Error::request(
            "tokens",
            format!("{} tokens do not fit, there is room for {room}", tokens.len()),
        ));
    }
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        Some(token) => {
            Err(Error::request("tokens", format!("token {token} is outside the vocabulary of {vocab_size}")))
        }
        None => Ok(()),
    }
}
