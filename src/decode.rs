//! Where the next tokens come from: the loop below a generation, which knows no text.
//!
//! One place decides how tokens are chosen. On a GPU the device chooses them and feeds each to the next pass by itself;
//! several passes are submitted at once, and results are read behind the computation ([`Pace`] says how many). Where the
//! logits themselves are wanted, or on the CPU, each pass returns logits and the [`Sampler`] chooses here. In both, guesses
//! of [`crate::speculate`] are checked in one batch.

use std::collections::VecDeque;
use std::time::Duration;

use web_time::Instant;

use crate::backend::{State, Wanted};
use crate::error::Result;
use crate::gpu;
use crate::sampler::{Sampled, Sampler, nothing_to_choose};
use crate::speculate::{Lookup, Speculation};

/// Tokens a submit at most: reading a result costs little more than nothing when sixteen share it.
const MAX_DEPTH: usize = 16;

/// Chooses the tokens that follow a prompt.
pub(crate) struct Decoder {
    sampler: Sampler,
    lookup: Lookup,
    vocab_size: usize,
    /// What is left of the prompt.
    prompt: Vec<u32>,
    /// The last token handed out; no cache holds it yet.
    last: Option<u32>,
    /// Chosen and not handed out.
    ready: VecDeque<Sampled>,
    /// Tokens that may still be chosen.
    left: usize,
    pace: Pace,
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
            last: None,
            ready: VecDeque::new(),
            left: max_tokens,
            pace: Pace::new(in_flight),
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
    pub(crate) async fn prefill(&mut self, state: &mut State, cached: &mut Vec<u32>) -> Result<()> {
        let count = self.prompt.len().min(state.max_batch());
        let piece = &self.prompt[..count];
        if count < self.prompt.len() {
            state.forward(piece, Wanted::None).await?;
        } else if let Some(device) = self.device(state) {
            device.set_sampling(self.sampler.sampling(), self.sampler.adjustments())?;
            device.choose(piece, self.sampler.step(), false)?;
            let left = self.left.saturating_sub(1);
            // The device goes on while the first token is on its way to the reader.
            self.pace.fill(device, left)?;
            self.collect(state).await?;
        } else {
            let logits = state.forward(piece, Wanted::Last).await?;
            self.choose(&logits)?;
        }
        cached.extend(self.prompt.drain(..count));
        Ok(())
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
            self.pace.since = Some(Instant::now());
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
            let left = self.left.saturating_sub(device.pending());
            self.pace.fill(device, left)?;
        }
        self.collect(state).await
    }

    /// Waits for the oldest submit.
    async fn collect(&mut self, state: &mut State) -> Result<()> {
        let Some(device) = self.device(state) else { return Ok(()) };
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

/// How many tokens to submit at once: one at first, so that nobody waits for it longer than needed, then twice as many
/// each time, as long as what is submitted is done within a given time. So a cancel is never far off, and
/// tokens still arrive evenly on a slow device.
struct Pace {
    in_flight: Duration,
    depth: usize,
    /// Seconds a token takes, once known.
    each: Option<f64>,
    /// When the last tokens came: since then the device has been busy with the next.
    since: Option<Instant>,
}

impl Pace {
    fn new(in_flight: Duration) -> Self {
        Self { in_flight, depth: 1, each: None, since: None }
    }

    /// Submits more, so that the device is busy while results are read, but at most `left` tokens.
    fn fill(&mut self, device: &mut gpu::State, mut left: usize) -> Result<()> {
        while device.in_flight() < 2 {
            let allowed = self.allowed().saturating_sub(device.pending());
            let count = self.depth.min(left).min(allowed).min(device.room());
            if count == 0 {
                break;
            }
            device.extend(count)?;
            left -= count;
        }
        Ok(())
    }

    /// Tokens that may be in flight; at least one, or nothing would ever come.
    fn allowed(&self) -> usize {
        match self.each {
            None => 2,
            Some(each) => ((self.in_flight.as_secs_f64() / each.max(1e-6)) as usize).clamp(1, 2 * MAX_DEPTH),
        }
    }

    /// `count` tokens came; says how many seconds a token takes. The first come with the prompt and tell nothing.
    fn collected(&mut self, count: usize) -> Option<f64> {
        let now = Instant::now();
        let each = (now - self.since.replace(now)?).as_secs_f64() / count.max(1) as f64;
        self.each = Some(self.each.map_or(each, |before| before + 0.5 * (each - before)));
        // Half of what may be in flight, so that there can be two submits.
        self.depth = (2 * self.depth).min(self.allowed().div_ceil(2)).clamp(1, MAX_DEPTH);
        self.each
    }
}
