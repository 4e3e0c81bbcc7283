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

    /// Tokens of the prompt that have not run yet.
    pub(crate) fn prompt_len(&self) -> usize {
        self.prompt.len()
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
        let ahead = self.ahead(state, cached.len() + self.prompt.len());
        let result = match state.device() {
            Some(device) => self.prefill_on_device(device, pace, ahead).await,
            None => self.prefill_here(state, pace).await,
        };
        match result {
            Ok(count) => {
                cached.extend(self.prompt.drain(..count));
                Ok(())
            }
            Err(error) => {
                self.submitted.clear();
                let kept = state.truncate(cached.len());
                self.prompt.splice(0..0, cached.drain(kept..));
                Err(error)
            }
        }
    }

    /// Returns the next token and appends the previous token to `cached`. Returns `None` if a part of the text must run again
    /// first: `cached` is then shorter, and the rest of the text is the new prompt.
    ///
    /// # Errors
    /// All errors of the backend; after an error the call can be repeated.
    pub(crate) async fn next(&mut self, state: &mut State, cached: &mut Vec<u32>) -> Result<Option<Sampled>> {
        if self.ready.is_empty() {
            let last = self.last.ok_or_else(nothing_to_choose)?;
            let kept = kept(state, cached.len());
            if kept < cached.len() {
                self.prompt = cached.drain(kept..).chain(self.last.take()).collect();
                return Ok(None);
            }
            let proposed = self.propose(state, cached.len());
            let ahead = self.ahead(state, cached.len());
            match state.device() {
                Some(device) if !self.sampler.needs_logits() => {
                    self.next_on_device(device, (cached.len(), last), &proposed, ahead).await?;
                }
                _ => self.next_here(state, cached.len(), last, &proposed).await?,
            }
        }
        let sampled = self.ready.pop_front().ok_or_else(nothing_to_choose)?;
        cached.extend(self.last.replace(sampled.token));
        Ok(Some(sampled))
    }

    /// Tokens that may be chosen ahead of a text of `len`: no pass may run at a length whose rotary embedding is another.
    fn ahead(&self, state: &State, len: usize) -> usize {
        state.next_change(len).map_or(self.left, |max| self.left.min(max - len))
    }

    /// The next guess. Empty if a device chooses with penalties, because it cannot undo the counts of a wrong guess.
    fn propose(&self, state: &mut State, cached: usize) -> Vec<u32> {
        let counted = state.device().is_some() && !self.sampler.adjustments().is_empty();
        let end = state.next_change(cached).unwrap_or(usize::MAX).min(state.max_positions());
        let room = end.saturating_sub(cached + 1);
        let max = room.min(self.left.saturating_sub(1)).min(state.exact_rows().saturating_sub(1));
        if counted { Vec::new() } else { self.lookup.propose(max) }
    }

    fn keep(&mut self, sampled: Sampled) {
        self.lookup.push(sampled.token);
        self.left = self.left.saturating_sub(1);
        self.ready.push_back(sampled);
    }
}

/// Takes the state back to the `len` tokens that were handed out - after a guess, or an error, it may be ahead of them - and makes
/// ready for one more; how many positions it still holds. While a device works ahead, it holds all.
fn kept(state: &mut State, len: usize) -> usize {
    if state.device().is_some_and(|device| device.in_flight() > 0) {
        return len;
    }
    if state.next_change(len) == Some(len) {
        state.expect(len + 1);
    }
    state.truncate(len)
}
