//! How far the predictions of a run are from those of a reference: the measurement behind `mobilellm fidelity`.
//!
//! Two states read the same tokens. At every position each gives a distribution over the next token. The report has the
//! Kullback-Leibler divergence `KL(reference || run)` in nats, how often both have the same most likely token, and how
//! well each predicts the text (perplexity). The error of the logits alone says little, because the probabilities
//! decide which tokens are generated.

mod position;
mod report;

pub use report::Fidelity;

use serde::Serialize;

use crate::backend::State;
use crate::backend::{Products, Wanted};
use crate::engine::Engine;
use crate::error::{Error, Result};
use position::Position;

/// The default text: English prose, a list, a dialogue, numbers and code.
pub const TEXT: &str = include_str!("text.txt");

/// Default size of a chunk in tokens.
pub const CHUNK: usize = 512;

/// The progress of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Positions compared.
    pub done: usize,
    /// All positions.
    pub total: usize,
}

/// Two states that read the same text, piece by piece. Each call of [`Comparison::next`] compares one piece; to cancel,
/// stop calling it.
pub struct Comparison {
    run: State,
    reference: State,
    chunks: Vec<Vec<u32>>,
    /// Index of the current chunk.
    chunk: usize,
    positions: Vec<Position>,
    total: usize,
}

impl Comparison {
    /// Compares the results of `engine` with those of the same weights multiplied in f32.
    ///
    /// # Errors
    /// [`Error::Request`] for a text of less than two tokens or a chunk that does not fit into the context,
    /// [`Error::Limit`] if the device cannot hold the caches, [`Error::Missing`] without a tokenizer.
    pub fn with_exact_products(engine: &Engine, text: &str, chunk: usize) -> Result<Self> {
        let chunks = chunks(engine, text, chunk)?;
        let run = engine.state_with(chunk, Products::Fast)?;
        Self::new(run, engine.state_with(chunk, Products::Exact)?, chunks)
    }

    /// Compares the results of `engine` with those of `reference`, which multiplies in f32.
    ///
    /// # Errors
    /// As [`Comparison::with_exact_products`], and [`Error::Request`] if the two tokenizers give different tokens for
    /// the text.
    pub fn with_reference(engine: &Engine, reference: &Engine, text: &str, chunk: usize) -> Result<Self> {
        let chunks = chunks(engine, text, chunk)?;
        if self::chunks(reference, text, chunk)? != chunks {
            let problem =
                "its tokenizer gives other tokens for the text, so the two models cannot be compared";
            return Err(Error::request("reference", problem));
        }
        let run = engine.state_with(chunk, Products::Fast)?;
        Self::new(run, reference.state_with(chunk, Products::Exact)?, chunks)
    }

    /// Compares two empty states on chunks of tokens. Each chunk begins with empty caches.
    ///
    /// # Errors
    /// [`Error::Request`] if the vocabularies differ in size, or for a chunk without tokens.
    pub fn new(run: State, reference: State, chunks: Vec<Vec<u32>>) -> Result<Self> {
        if chunks.iter().any(Vec::is_empty) {
            return Err(Error::request("chunks", "each must have at least one token"));
        }
        let (ours, theirs) = (run.vocab_size(), reference.vocab_size());
        if ours != theirs {
            let problem = format!(
                "it has a vocabulary of {theirs} tokens and the model one of {ours}, so they cannot be compared"
            );
            return Err(Error::request("reference", problem));
        }
        let total = chunks.iter().map(Vec::len).sum();
        Ok(Self { run, reference, chunks, chunk: 0, positions: Vec::with_capacity(total), total })
    }

    /// Compares the next positions; `None` when all are compared.
    ///
    /// # Errors
    /// [`Error::Invalid`] for logits that are not finite; all errors of the backends.
    pub async fn next(&mut self) -> Result<Option<Progress>> {
        let Some(chunk) = self.chunks.get(self.chunk) else { return Ok(None) };
        let first = self.run.len();
        if first == 0 {
            self.run.expect(chunk.len());
            self.reference.expect(chunk.len());
        }
        let most = self.run.max_logit_rows().min(self.reference.max_logit_rows());
        let batch = &chunk[first..chunk.len().min(first + most)];
        let ours = self.run.forward(batch, Wanted::All).await?;
        let theirs = self.reference.forward(batch, Wanted::All).await?;
        let vocab_size = self.run.vocab_size();
        let rows = ours.chunks_exact(vocab_size).zip(theirs.chunks_exact(vocab_size));
        for (index, (ours, theirs)) in (first + 1..).zip(rows) {
            let position = Position::compare(ours, theirs, chunk.get(index).copied());
            self.positions.push(position.ok_or_else(|| not_finite(self.positions.len()))?);
        }
        if self.run.len() == chunk.len() {
            self.run.truncate(0);
            self.reference.truncate(0);
            self.chunk += 1;
        }
        Ok(Some(Progress { done: self.positions.len(), total: self.total }))
    }

    /// The result for all positions that were compared so far.
    pub fn report(&self) -> Fidelity {
        Fidelity::of(&self.positions)
    }
}

/// The tokens of a text, in chunks of the given size.
fn chunks(engine: &Engine, text: &str, size: usize) -> Result<Vec<Vec<u32>>> {
    let tokens = engine.text_prompt(text)?;
    if tokens.len() < 2 {
        return Err(Error::request("text", "it must have at least two tokens; give a longer one"));
    }
    let most = engine.network().config.max_position_embeddings;
    if !(2..=most).contains(&size) {
        return Err(Error::request(
            "chunk",
            format!("{size} is not between 2 and the model's {most} positions"),
        ));
    }
    Ok(tokens.chunks(size).map(<[u32]>::to_vec).collect())
}

fn not_finite(position: usize) -> Error {
    Error::invalid(
        "the model",
        "logits",
        format!("those of position {position} are not all finite"),
        "Its weights may be damaged: download them again",
    )
}
