//! Weights in memory, by name.

use std::collections::HashMap;

use super::int8::Panels;
use super::matmul::Unpack;
use crate::backend::WeightSink;
use crate::error::{Error, Result};
use crate::model::matrix::Matrix;
use crate::model::network::{MatrixId, VectorId};

/// The matrices and vectors of a checkpoint.
#[derive(Default)]
pub struct CpuWeights {
    matrices: HashMap<MatrixId, Weight>,
    vectors: HashMap<VectorId, Vec<f32>>,
}

/// A matrix as its kernel reads it.
pub enum Weight {
    /// Floats, multiplied with floats.
    Floats(Matrix),
    /// Integers, multiplied with activations rounded to 8 bits.
    Integers(Panels),
}

impl From<Matrix> for Weight {
    fn from(matrix: Matrix) -> Self {
        Panels::new(&matrix).map_or(Self::Floats(matrix), Self::Integers)
    }
}

impl Weight {
    /// Output features.
    pub fn rows(&self) -> usize {
        match self {
            Self::Floats(matrix) => matrix.rows,
            Self::Integers(panels) => panels.rows,
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Floats(matrix) => matrix.bytes(),
            Self::Integers(panels) => panels.bytes(),
        }
    }
}

impl Unpack for Weight {
    fn cols(&self) -> usize {
        match self {
            Self::Floats(matrix) => matrix.cols(),
            Self::Integers(panels) => panels.cols(),
        }
    }

    fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::Floats(matrix) => matrix.dequantize_row(row, out),
            Self::Integers(panels) => panels.dequantize_row(row, out),
        }
    }
}

impl CpuWeights {
    /// The matrix of that name.
    ///
    /// # Errors
    /// [`Error::Missing`] where the loader did not put it.
    pub fn matrix(&self, id: MatrixId) -> Result<&Weight> {
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
        let matrices: usize = self.matrices.values().map(Weight::bytes).sum();
        let vectors: usize = self.vectors.values().map(|vector| 4 * vector.len()).sum();
        matrices + vectors
    }
}

impl WeightSink for CpuWeights {
    fn put_matrix(&mut self, id: MatrixId, matrix: Matrix) -> Result<()> {
        self.matrices.insert(id, matrix.into());
        Ok(())
    }

    fn put_vector(&mut self, id: VectorId, values: Vec<f32>) -> Result<()> {
        self.vectors.insert(id, values);
        Ok(())
    }

    fn remove_matrix(&mut self, id: MatrixId) {
        self.matrices.remove(&id);
    }
}

fn missing(id: impl std::fmt::Debug) -> Error {
    Error::missing(format!("the weight {id:?}"), "The checkpoint is incomplete, download it again")
}
