//! Decode if the device chooses the tokens. It computes ahead while the caller reads earlier tokens.

use web_time::Instant;

use super::Decoder;
use crate::backend::{Wanted, gpu};
use crate::error::Result;
use crate::generate::pace::PrefillPace;
use crate::generate::sampler::{Sampled, nothing_to_choose};

impl Decoder {
    /// Waits for the oldest piece of the prompt. The device already has the next piece.
    pub(super) async fn prefill_on_device(
        &mut self,
        device: &mut gpu::GpuState,
        pace: &mut PrefillPace,
        ahead: usize,
    ) -> Result<usize> {
        while device.in_flight() < 2 {
            let first = self.submitted.iter().sum();
            let left = &self.prompt[first..];
            let count = pace.rows(left.len(), device.max_batch());
            if left.is_empty() {
                // The device continues while the first token is read back.
                self.pace.fill(device, ahead)?;
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

    pub(super) async fn next_on_device(
        &mut self,
        device: &mut gpu::GpuState,
        (cached, last): (usize, u32),
        proposed: &[u32],
        ahead: usize,
    ) -> Result<()> {
        if device.in_flight() == 0 && !proposed.is_empty() {
            let start = Instant::now();
            device.choose(&[&[last], proposed].concat(), self.sampler.step(), true)?;
            let tokens = device.chosen().await?;
            let count = tokens.iter().zip(proposed).take_while(|(a, b)| a == b).count() + 1;
            device.truncate(cached + count);
            let tokens = tokens.into_iter().take(count).collect();
            self.take(tokens)?;
            self.lookup.guessed(count, start.elapsed().as_secs_f64());
            self.pace.restart();
            return Ok(());
        }
        if device.in_flight() == 0 {
            if !self.sampler.adjustments().is_empty() {
                // The device may have counted tokens that the caller never got.
                device.set_sampling(self.sampler.sampling(), self.sampler.adjustments())?;
            }
            device.choose(&[last], self.sampler.step(), false)?;
        }
        // Before a guess, wait for the tokens in flight: they decide whether the guess is still valid.
        if proposed.is_empty() {
            self.pace.fill(device, ahead)?;
        }
        let tokens = device.chosen().await?;
        if let Some(each) = self.pace.collected(tokens.len()) {
            self.lookup.plain(1, each);
        }
        self.take(tokens)
    }

    /// Takes the tokens that the device chose.
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
}
