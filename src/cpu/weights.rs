//! Weights in memory, by name.

use std::collections::HashMap;

use super::int8;
use crate::backend::WeightSink;
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::network::{MatrixId, VectorId};

/// The matrices and vectors of a checkpoint.
#[derive(Default)]
pub struct Weights {
    matrices: HashMap<MatrixId, Matrix>,
    vectors: HashMap<VectorId, Vec<f32>>,
}

impl Weights {
    /// The matrix of that name.
    ///
    /// # Errors
    /// [`Error::Missing`] where the loader did not put it.
    pub fn matrix(&self, id: MatrixId) -> Result<&Matrix> {
        self.matrices.get(&id).ok_or_else(|| missing(id))
    }

    /// The vector of that name.
    ///
    /// # Errors
    /// [`Error::Missing`] where the loader did not put it.
    pub fn vector(&self, id: VectorId) -> Result<&[f32]> {
        self.vectors.get(&id).map(Vec::as_slice).ok_or_else(|| missing(id))
    }

    /// Bytes of all weights.
    pub fn bytes(&self) -> usize {
        let matrices: usize = self.matrices.values().map(Matrix::bytes).sum();
        let vectors: usize = self.vectors.values().map(|vector| 4 * vector.len()).sum();
        matrices + vectors
    }
}

impl WeightSink for Weights {
    fn put_matrix(&mut self, id: MatrixId, matrix: Matrix) -> Result<()> {
        self.matrices.insert(id, int8::prepare(matrix));
        Ok(())
    }

    fn put_vector(&mut self, id: VectorId, values: Vec<f32>) -> Result<()> {
        self.vectors.insert(id, values);
        Ok(())
    }
}

fn missing(id: impl std::fmt::Debug) -> Error {
    Error::missing(format!("the weight {id:?}"), "The checkpoint is incomplete, download it again")
}
