//! Where the next tokens come from: the loop below a generation. It works with token ids only.
//!
//! This file decides how tokens are chosen. If the backend has a device that chooses them, the device feeds each token
//! to the next pass. Several passes are submitted at once ([`crate::generate::pace`] decides how many), and their
//! results are read later: see `device`. On other backends, and if the caller wants logits, each pass returns logits
//! and the [`Sampler`] chooses on the CPU: see `host`. Both check guesses of [`crate::generate::speculate`] in one
//! batch.

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
    /// The rest of the prompt.
    prompt: Vec<u32>,
    /// Sizes of the pieces of the prompt that the device runs now.
    submitted: VecDeque<usize>,
    /// The last token that the caller got; it is not in the caches yet.
    last: Option<u32>,
    /// Tokens that are chosen, but that the caller has not got yet.
    ready: VecDeque<Sampled>,
    /// How many more tokens may be chosen.
    left: usize,
    pace: DecodePace,
}

impl Decoder {
    /// A decoder for a state that holds the tokens `cached` and then gets `prompt`. It chooses at most `max_tokens`
    /// tokens and submits at most `in_flight` of work ahead.
    pub(crate) fn new(
        sampler: Sampler,
        speculation: Speculation,
        vocab_size: usize,
        (cached, prompt): (&[u32], &[u32]),
        max_tokens: usize,
        in_flight: Duration,
    ) -> Self {
        // No guesses if the caller wants log-probabilities.
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

    /// Whether a part of the prompt has not run yet.
    pub(crate) fn has_prompt(&self) -> bool {
        !self.prompt.is_empty()
    }

    /// Runs a piece of the prompt. The last piece also chooses the first token.
    ///
    /// # Errors
    /// All errors of the backend; after an error the piece can be run again.
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

    /// Returns the next token and appends the previous token to `cached`.
    ///
    /// # Errors
    /// All errors of the backend; after an error the call can be repeated.
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

    /// The next guess. Empty if a device chooses with penalties, because it cannot undo the counts of a wrong guess.
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
