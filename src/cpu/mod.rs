//! Placeholder of the shape that the backend fills.
#![allow(missing_docs, clippy::all, clippy::pedantic, unused)]
use crate::backend::{Wanted, WeightSink};
use crate::error::Result;
use crate::matrix::Matrix;
use crate::network::{MatrixId, Network, VectorId};
use std::rc::Rc;
pub struct Weights;
impl WeightSink for Weights {
    fn put_matrix(&mut self, id: MatrixId, matrix: Matrix) -> Result<()> {
        Ok(())
    }
    fn put_vector(&mut self, id: VectorId, values: Vec<f32>) -> Result<()> {
        Ok(())
    }
}
pub struct State;
impl State {
    pub fn new(network: Rc<Network>, weights: Rc<Weights>, max_positions: usize) -> Result<Self> {
        Ok(Self)
    }
    pub fn len(&self) -> usize {
        0
    }
    pub fn max_positions(&self) -> usize {
        0
    }
    pub fn max_batch(&self) -> usize {
        0
    }
    pub fn truncate(&mut self, len: usize) {}
}
impl State {
    pub fn forward(&mut self, tokens: &[u32], wanted: Wanted) -> Result<Vec<f32>> {
        Ok(vec![])
    }
}
