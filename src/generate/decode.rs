//! Where the next tokens come from: the loop below a generation, which knows no text.
//!
//! One place decides how tokens are chosen. On a GPU the device chooses them and feeds each to the next pass by itself;
//! several passes are submitted at once, and results are read behind the computation ([`crate::generate::pace`] says how many). Where the
//! logits themselves are wanted, or on the CPU, each pass returns logits and the [`Sampler`] chooses here. In both, guesses
//! of [`crate::generate::speculate`] are checked in one batch.

use std::collections::VecDeque;
use std::time::Duration;

use web_time::Instant;

use crate::backend::State;
use crate::backend::Wanted;
use crate::backend::gpu;
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
        let result = match state {
            State::Gpu(device) => self.prefill_device(device, pace).await,
            State::Cpu(_) => self.prefill_here(state, pace).await,
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

    async fn prefill_here(&mut self, state: &mut State, pace: &mut PrefillPace) -> Result<usize> {
        let count = pace.rows(self.prompt.len(), state.max_batch());
        let wanted = if count < self.prompt.len() { Wanted::None } else { Wanted::Last };
        pace.started();
        let logits = state.forward(&self.prompt[..count], wanted).await?;
        pace.finished(count);
        if wanted == Wanted::Last {
            self.choose(&logits)?;
        }
        Ok(count)
    }

    /// Waits for the oldest piece, while the device already has the next.
    async fn prefill_device(&mut self, device: &mut gpu::State, pace: &mut PrefillPace) -> Result<usize> {
        while device.in_flight() < 2 {
            let first = self.submitted.iter().sum();
            let left = &self.prompt[first..];
            let count = pace.rows(left.len(), device.max_batch());
            if left.is_empty() {
                // The device goes on while the first token is on its way to the reader.
                self.pace.fill(device, self.left)?;
                break;
            } else if count < left.len() {
                device.prefill(&left[..count])?;
            } else if !self.sampler.needs_logits() {
                device.set_sampling(self.sampler.sampling(), self.sampler.adjustments())?;
                device.choose(left, self.sampler.step(), false)?;
            } else if first > 0 {
                break;
            } else {
                let logits = device.forward(left, Wanted::Last).await?;
                self.choose(&logits)?;
                return Ok(count);
            }
            if self.submitted.is_empty() {
                pace.started();
            }
            self.submitted.push_back(count);
        }
        let tokens = device.chosen().await?;
        let count = self.submitted.pop_front().unwrap_or_default();
        pace.finished(count);
        if !tokens.is_empty() {
            self.pace.collected(tokens.len());
            self.take(tokens)?;
        }
        Ok(count)
    }

    /// The next token; `cached` grows by the one before it.
    ///
    /// # Errors
    /// Whatever the backend reports; the token can be asked for again.
    pub(crate) async fn next(&mut self, state: &mut State, cached: &mut Vec<u32>) -> Result<Sampled> {
        if self.ready.is_empty() {
            let last = self.last.ok_or_else(nothing_to_choose)?;
            let proposed = self.propose(state, cached.len());
            if self.device(state).is_some() {
                self.next_on_device(state, cached.len(), last, proposed).await?;
            } else {
                self.next_here(state, cached.len(), last, proposed).await?;
            }
        }
        let sampled = self.ready.pop_front().ok_or_else(nothing_to_choose)?;
        cached.extend(self.last.replace(sampled.token));
        Ok(sampled)
    }

    /// The device, where it chooses.
    fn device<'a>(&self, state: &'a mut State) -> Option<&'a mut gpu::State> {
        match state {
            State::Gpu(device) if !self.sampler.needs_logits() => Some(device),
            _ => None,
        }
    }

    /// What to guess next. On a device that chooses under penalties nothing: it could not take back what it counted.
    fn propose(&self, state: &State, cached: usize) -> Vec<u32> {
        let counted = matches!(state, State::Gpu(_)) && !self.sampler.adjustments().is_empty();
        let room = state.max_positions().saturating_sub(cached + 1);
        let max = room.min(self.left.saturating_sub(1)).min(state.exact_rows().saturating_sub(1));
        if counted { Vec::new() } else { self.lookup.propose(max) }
    }

    async fn next_on_device(
        &mut self,
        state: &mut State,
        cached: usize,
        last: u32,
        proposed: Vec<u32>,
    ) -> Result<()> {
        let Some(device) = self.device(state) else { return Ok(()) };
        if device.in_flight() == 0 && !proposed.is_empty() {
            let start = Instant::now();
            // After an error positions may be filled that nobody was given.
            device.truncate(cached);
            device.choose(&[&[last], &proposed[..]].concat(), self.sampler.step(), true)?;
            let tokens = device.chosen().await?;
            let count = tokens.iter().zip(&proposed).take_while(|(a, b)| a == b).count() + 1;
            device.truncate(cached + count);
            let tokens = tokens.into_iter().take(count).collect();
            self.take(tokens)?;
            self.lookup.guessed(count, start.elapsed().as_secs_f64());
            self.pace.restart();
            return Ok(());
        }
        if device.in_flight() == 0 {
            device.truncate(cached);
            if !self.sampler.adjustments().is_empty() {
                // The device may have counted tokens that nobody was given.
                device.set_sampling(self.sampler.sampling(), self.sampler.adjustments())?;
            }
            device.choose(&[last], self.sampler.step(), false)?;
        }
        // Where a guess is due, what is in flight is waited for first: it says whether the guess still holds.
        if proposed.is_empty() {
            self.pace.fill(device, self.left)?;
        }
        let tokens = device.chosen().await?;
        if let Some(each) = self.pace.collected(tokens.len()) {
            self.lookup.plain(1, each);
        }
        self.take(tokens)
    }

    async fn next_here(
        &mut self,
        state: &mut State,
        cached: usize,
        last: u32,
        proposed: Vec<u32>,
    ) -> Result<()> {
        let start = Instant::now();
        state.truncate(cached);
        if proposed.is_empty() {
            let logits = state.forward(&[last], Wanted::Last).await?;
            self.lookup.plain(1, start.elapsed().as_secs_f64());
            return self.choose(&logits);
        }
        let logits = state.forward(&[&[last], &proposed[..]].concat(), Wanted::All).await?;
        let mut count = 0;
        for (row, logits) in logits.chunks(self.vocab_size).enumerate() {
            self.choose(logits)?;
            count += 1;
            let token = self.ready.back().map(|sampled| sampled.token);
            if proposed.get(row).copied() != token {
                break;
            }
        }
        state.truncate(cached + count);
        self.lookup.guessed(count, start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Chooses here.
    fn choose(&mut self, logits: &[f32]) -> Result<()> {
        let sampled = self.sampler.sample(logits)?;
        self.keep(sampled);
        Ok(())
    }

    /// Takes tokens that the device chose.
    fn take(&mut self, tokens: Vec<u32>) -> Result<()> {
        for token in tokens {
            if token as usize >= self.vocab_size {
                return Err(nothing_to_choose());
            }
            self.sampler.record(token);
            self.keep(Sampled { token, logprob: None, alternatives: Vec::new() });
        }
        Ok(())
    }

    fn keep(&mut self, sampled: Sampled) {
        self.lookup.push(sampled.token);
        self.left = self.left.saturating_sub(1);
        self.ready.push_back(sampled);
    }
}
