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

    /// What is left of it.
    pub(crate) fn prompt_len(&self) -> usize {
        self.prompt.len()
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

    /// The next token; `cached` grows by the one before it. `None` where the text has to run once more first, from what is left
    /// of `cached` on: it has become the prompt.
    ///
    /// # Errors
    /// Whatever the backend reports; the token can be asked for again.
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

    /// What to guess next. On a device that chooses under penalties nothing: it could not take back what it counted.
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
