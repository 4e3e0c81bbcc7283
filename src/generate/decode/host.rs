//! Decode if each pass returns logits. The sampler chooses the token on the CPU.

use web_time::Instant;

use super::Decoder;
use crate::backend::{State, Wanted};
use crate::error::Result;
use crate::generate::pace::PrefillPace;

impl Decoder {
    pub(super) async fn prefill_here(&mut self, state: &mut State, pace: &mut PrefillPace) -> Result<usize> {
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

    pub(super) async fn next_here(
        &mut self,
        state: &mut State,
        cached: usize,
        last: u32,
        proposed: &[u32],
    ) -> Result<()> {
        let start = Instant::now();
        if proposed.is_empty() {
            let logits = state.forward(&[last], Wanted::Last).await?;
            self.lookup.plain(1, start.elapsed().as_secs_f64());
            return self.choose(&logits);
        }
        let logits = state.forward(&[&[last], proposed].concat(), Wanted::All).await?;
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

    /// Chooses a token from the logits.
    pub(super) fn choose(&mut self, logits: &[f32]) -> Result<()> {
        let sampled = self.sampler.sample(logits)?;
        self.keep(sampled);
        Ok(())
    }
}
