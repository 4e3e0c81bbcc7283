//! Where the next tokens come from: the loop below a generation, which knows no text.
//!
//! One place decides how tokens are chosen. Where the backend has a device that chooses them, it feeds each to the next pass by
//! itself; several passes are submitted at once, and results are read behind the computation ([`crate::generate::pace`] says
//! how many): see `device`. Elsewhere, and where the logits themselves are wanted, each pass returns logits and the [`Sampler`]
//! chooses here: see `host`. In both, guesses of [`crate::generate::speculate`] are checked in one batch.

mod device;
mod host;

use std::collections::VecDeque;
use std::time::Duration;

use crate::backend::State;
use crate::error::Result;
use crate::generate::pace::{DecodePace, PrefillPace};
use crate::generate::sampler::{Sampled, Sampler, nothing_to_choose};
use crate::generate::speculate::{Lookup, Speculation};

/// Chooses the tokens that follow a prompt.
pub(crate) struct Decoder {
    sampler: Sampler,
    lookup: Lookup,
    vocab_size: usize,
    /// What is left of the prompt.
    prompt: Vec<u32>,
    /// Pieces of it that a device runs now.
    submitted: VecDeque<usize>,
    /// The last token handed out; no cache holds it yet.
    last: Option<u32>,
    /// Chosen and not handed out.
    ready: VecDeque<Sampled>,
    /// Tokens that may still be chosen.
    left: usize,
    pace: DecodePace,
}

impl Decoder {
    /// A decoder whose state holds `cached`, and will be given `prompt`; it chooses at most `max_tokens`, with at most `in_flight`
    /// of work submitted ahead.
    pub(crate) fn new(
        sampler: Sampler,
        speculation: Speculation,
        vocab_size: usize,
        (cached, prompt): (&[u32], &[u32]),
        max_tokens: usize,
        in_flight: Duration,
    ) -> Self {
        // A device that counts its own tokens cannot take back those of a wrong guess.
        let speculation = if sampler.needs_logits() { Speculation::Off } else { speculation };
        Self {
            sampler,
            lookup: Lookup::new(speculation, &[cached, prompt].concat()),
            vocab_size,
            prompt: prompt.to_vec(),
            submitted: VecDeque::new(),
            last: None,
            ready: VecDeque::new(),
            left: max_tokens,
            pace: DecodePace::new(in_flight),
        }
    }

    /// Whether the prompt is not through yet.
    pub(crate) fn has_prompt(&self) -> bool {
        !self.prompt.is_empty()
    }

    /// Runs a piece of the prompt, and with its last piece chooses the first token.
    ///
    /// # Errors
    /// Whatever the backend reports; the piece can be run again.
    pub(crate) async fn prefill(
        &mut self,
        state: &mut State,
        cached: &mut Vec<u32>,
        pace: &mut PrefillPace,
    ) -> Result<()> {
        let result = match state.device() {
            Some(device) => self.prefill_on_device(device, pace).await,
            None => self.prefill_here(state, pace).await,
        };
        match result {
            Ok(count) => {
                cached.extend(self.prompt.drain(..count));
                Ok(())
            }
            Err(error) => {
                self.submitted.clear();
                state.truncate(cached.len());
                Err(error)
            }
        }
    }

    /// The next token; `cached` grows by the one before it.
    ///
    /// # Errors
    /// Whatever the backend reports; the token can be asked for again.
    pub(crate) async fn next(&mut self, state: &mut State, cached: &mut Vec<u32>) -> Result<Sampled> {
        if self.ready.is_empty() {
            let last = self.last.ok_or_else(nothing_to_choose)?;
            let proposed = self.propose(state, cached.len());
            match state.device() {
                Some(device) if !self.sampler.needs_logits() => {
                    self.next_on_device(device, cached.len(), last, &proposed).await?;
                }
                _ => self.next_here(state, cached.len(), last, &proposed).await?,
            }
        }
        let sampled = self.ready.pop_front().ok_or_else(nothing_to_choose)?;
        cached.extend(self.last.replace(sampled.token));
        Ok(sampled)
    }

    /// What to guess next. On a device that chooses under penalties nothing: it could not take back what it counted.
    fn propose(&self, state: &mut State, cached: usize) -> Vec<u32> {
        let counted = state.device().is_some() && !self.sampler.adjustments().is_empty();
        let room = state.max_positions().saturating_sub(cached + 1);
        let max = room.min(self.left.saturating_sub(1)).min(state.exact_rows().saturating_sub(1));
        if counted { Vec::new() } else { self.lookup.propose(max) }
    }

    fn keep(&mut self, sampled: Sampled) {
        self.lookup.push(sampled.token);
        self.left = self.left.saturating_sub(1);
        self.ready.push_back(sampled);
    }
}
