//! A network with its weights on one backend or the other, and states that run token batches.
//!
//! The two backends have the same three types - weights, state, and the kernels behind them - and this module
//! only chooses between them. Nothing above it asks which one it has, except to tell a person.

use std::rc::Rc;

use super::{Products, Wanted, WeightSink};
use crate::backend::{cpu, gpu};
use crate::error::Result;
use crate::model::matrix::Matrix;
use crate::model::network::{MatrixId, Network, VectorId};

/// Weights while they stream in.
pub enum Loading {
    /// On the CPU.
    Cpu(cpu::CpuWeights),
    /// On the GPU.
    Gpu(gpu::GpuWeights),
}

impl WeightSink for Loading {
    fn put_matrix(&mut self, id: MatrixId, matrix: Matrix) -> Result<()> {
        match self {
            Self::Cpu(weights) => weights.put_matrix(id, matrix),
            Self::Gpu(weights) => weights.put_matrix(id, matrix),
        }
    }

    fn put_vector(&mut self, id: VectorId, values: Vec<f32>) -> Result<()> {
        match self {
            Self::Cpu(weights) => weights.put_vector(id, values),
            Self::Gpu(weights) => weights.put_vector(id, values),
        }
    }

    fn remove_matrix(&mut self, id: MatrixId) {
        match self {
            Self::Cpu(weights) => weights.remove_matrix(id),
            Self::Gpu(weights) => weights.remove_matrix(id),
        }
    }
}

/// A network with its weights, shared by any number of states.
#[derive(Clone)]
pub struct Model {
    /// Shape and kernel calls.
    pub network: Rc<Network>,
    weights: Weights,
}

#[derive(Clone)]
enum Weights {
    Cpu(Rc<cpu::CpuWeights>),
    Gpu(Rc<gpu::GpuWeights>),
}

impl Model {
    /// Joins a network and its complete weights.
    pub fn new(network: Network, weights: Loading) -> Self {
        let weights = match weights {
            Loading::Cpu(weights) => Weights::Cpu(Rc::new(weights)),
            Loading::Gpu(weights) => Weights::Gpu(Rc::new(weights)),
        };
        Self { network: Rc::new(network), weights }
    }

    /// The device that the weights lie on, where it is a GPU.
    pub fn gpu(&self) -> Option<&gpu::Gpu> {
        match &self.weights {
            Weights::Cpu(_) => None,
            Weights::Gpu(weights) => Some(weights.gpu()),
        }
    }

    /// An empty state with room for `max_positions` tokens.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] where the device cannot hold the caches.
    pub fn new_state(&self, max_positions: usize, products: Products) -> Result<State> {
        let network = self.network.clone();
        Ok(match &self.weights {
            Weights::Cpu(weights) => {
                let state = cpu::CpuState::new(network, weights.clone(), max_positions, products)?;
                State::Cpu(Box::new(state))
            }
            Weights::Gpu(weights) => {
                let state = gpu::GpuState::new(network, weights.clone(), max_positions, products)?;
                State::Gpu(Box::new(state))
            }
        })
    }
}

/// The key/value caches of one conversation, and what is needed to extend them.
pub enum State {
    /// On the CPU.
    Cpu(Box<cpu::CpuState>),
    /// On the GPU.
    Gpu(Box<gpu::GpuState>),
}

impl State {
    /// The state on a device that chooses tokens by itself and works ahead of who reads them, where there is one.
    pub fn device(&mut self) -> Option<&mut gpu::GpuState> {
        match self {
            Self::Cpu(_) => None,
            Self::Gpu(state) => Some(state),
        }
    }

    /// Positions filled.
    pub fn len(&self) -> usize {
        match self {
            Self::Cpu(state) => state.len(),
            Self::Gpu(state) => state.len(),
        }
    }

    /// Whether no position is filled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions that there is room for.
    pub fn max_positions(&self) -> usize {
        match self {
            Self::Cpu(state) => state.max_positions(),
            Self::Gpu(state) => state.max_positions(),
        }
    }

    /// Tokens that one call of [`State::forward`] takes at most.
    pub fn max_batch(&self) -> usize {
        match self {
            Self::Cpu(state) => state.max_batch(),
            Self::Gpu(state) => state.max_batch(),
        }
    }

    /// Tokens that such a call takes where the logits of all are wanted.
    pub fn max_logit_rows(&self) -> usize {
        match self {
            Self::Cpu(state) => state.max_batch(),
            Self::Gpu(state) => state.max_logit_rows(),
        }
    }

    /// Tokens up to which a batch gives each the same logits, bit for bit, as if they had come one by one.
    pub fn exact_rows(&self) -> usize {
        match self {
            Self::Cpu(state) => state.max_batch(),
            Self::Gpu(state) => state.exact_rows(),
        }
    }

    /// Values of a row of logits.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Cpu(state) => state.vocab_size(),
            Self::Gpu(state) => state.vocab_size(),
        }
    }

    /// Forgets all positions from `len` on, and returns how many remain; the next batch continues there.
    ///
    /// They are fewer, in fact none, where `len` lies so far back that the caches, which keep no more of a text than is still
    /// seen, have lost what its next position would see. The text then has to run again from there.
    pub fn truncate(&mut self, len: usize) -> usize {
        match self {
            Self::Cpu(state) => state.truncate(len),
            Self::Gpu(state) => state.truncate(len),
        }
    }

    /// Makes ready for a text that will have `len` positions, before its first batch and again before it grows longer, and returns
    /// how many remain.
    ///
    /// None do where a text of this length is turned by other frequencies than the one before (longrope): it then has to run
    /// again from its beginning.
    pub fn expect(&mut self, len: usize) -> usize {
        match self {
            Self::Cpu(state) => state.expect(len),
            Self::Gpu(state) => state.expect(len),
        }
    }

    /// Positions up to which a text may grow without [`State::expect`] forgetting it; `None` where there is no such length ahead.
    pub fn next_change(&self, len: usize) -> Option<usize> {
        let decoder = match self {
            Self::Cpu(state) => state.decoder(),
            Self::Gpu(state) => state.decoder(),
        };
        decoder.max_short_positions().filter(|max| len <= *max)
    }

    /// Runs the network on the tokens that follow those already in the caches.
    ///
    /// Returns the wanted rows of logits, one after the other, each `vocab_size` long.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for a token outside the vocabulary, an empty batch or one that is larger than
    /// [`State::max_batch`] (with [`Wanted::All`], [`State::max_logit_rows`]) or than the room left; [`crate::Error::Device`] when the GPU fails.
    pub async fn forward(&mut self, tokens: &[u32], wanted: Wanted) -> Result<Vec<f32>> {
        match self {
            Self::Cpu(state) => state.forward(tokens, wanted),
            Self::Gpu(state) => state.forward(tokens, wanted).await,
        }
    }
}
