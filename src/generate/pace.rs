//! How much work to give a backend at once: enough that it is never idle, but so little that a cancel takes effect soon
//! and tokens arrive evenly.

use std::time::Duration;

use web_time::Instant;

use crate::backend::gpu;
use crate::error::Result;

/// Maximum number of tokens per submit: the cost of reading a result is negligible when sixteen tokens share it.
const MAX_DEPTH: usize = 16;

/// How many tokens to submit at once: one at first, so that it arrives soon, then twice as many each time, as long as
/// the submitted work takes no longer than a given time. So a cancel takes effect soon, and tokens arrive evenly also
/// on a slow device.
pub(crate) struct DecodePace {
    in_flight: Duration,
    depth: usize,
    /// Seconds per token, once known.
    s_per_token: Option<f64>,
    /// When the last tokens came. Since then the device has computed the next ones.
    since: Option<Instant>,
}

impl DecodePace {
    pub(crate) fn new(in_flight: Duration) -> Self {
        Self { in_flight, depth: 1, s_per_token: None, since: None }
    }

    /// Submits more tokens, so that the device is busy while results are read. At most `left` tokens are in flight.
    pub(crate) fn fill(&mut self, device: &mut gpu::GpuState, left: usize) -> Result<()> {
        while device.in_flight() < 2 {
            let allowed = self.allowed().saturating_sub(device.pending());
            let left = left.saturating_sub(device.pending());
            let count = self.depth.min(left).min(allowed).min(device.room());
            if count == 0 {
                break;
            }
            device.extend(count)?;
        }
        Ok(())
    }

    /// Starts the clock for the next tokens, which were not submitted ahead.
    pub(crate) fn restart(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Maximum number of tokens in flight; at least one, so that there is always a next token.
    fn allowed(&self) -> usize {
        match self.s_per_token {
            None => 2,
            Some(s_per_token) => {
                ((self.in_flight.as_secs_f64() / s_per_token.max(1e-6)) as usize).clamp(1, 2 * MAX_DEPTH)
            }
        }
    }

    /// Records that `count` tokens came, and returns the seconds per token. It returns `None` for the first tokens,
    /// because their time includes the prompt.
    pub(crate) fn collected(&mut self, count: usize) -> Option<f64> {
        let now = Instant::now();
        let s_per_token = (now - self.since.replace(now)?).as_secs_f64() / count.max(1) as f64;
        self.s_per_token =
            Some(self.s_per_token.map_or(s_per_token, |before| before + 0.5 * (s_per_token - before)));
        // Half of the maximum in flight, so that there can be two submits.
        self.depth = (2 * self.depth).min(self.allowed().div_ceil(2)).clamp(1, MAX_DEPTH);
        self.s_per_token
    }
}

/// Target time of a piece of a prompt in seconds. Two pieces are in flight, and a cancel waits for both.
const PIECE_S: f64 = 0.04;

/// Tokens in a piece if the backend is slow or its speed is not known yet.
const MIN_PIECE: usize = 64;

/// The size of a piece is a multiple of this many tokens, the size of the kernels' tiles.
const TILE: usize = 32;

/// Chooses the size of the pieces of a prompt from the time that earlier pieces took. It is kept between generations.
#[derive(Default)]
pub(crate) struct PrefillPace {
    /// Seconds per token, once known. The next field has the rows of the piece that it was measured with.
    s_per_token: Option<f64>,
    measured: usize,
    /// When the current piece began to run.
    since: Option<Instant>,
}

impl PrefillPace {
    /// Number of tokens in the next piece, if `left` tokens of the prompt are left and a batch can have `max`.
    ///
    /// The size depends on time measurements, so it must not change the results: no piece is so small that it would run
    /// on other kernels than a large one.
    pub(crate) fn rows(&self, left: usize, max: usize) -> usize {
        let rows = self.s_per_token.map_or(MIN_PIECE, target_rows).min(max);
        if left > rows && left - rows < MIN_PIECE.min(rows) {
            left.div_ceil(2).min(max)
        } else {
            rows.min(left)
        }
    }

    /// Records that a piece begins to run on a backend that was idle.
    pub(crate) fn started(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Records that a piece of `rows` tokens is done. If there is a next piece, it runs from now on.
    pub(crate) fn finished(&mut self, rows: usize) {
        let now = Instant::now();
        let Some(since) = self.since.replace(now) else { return };
        self.learn(rows, (now - since).as_secs_f64());
    }

    /// Learns from a piece of `rows` tokens that took `seconds`.
    fn learn(&mut self, rows: usize, seconds: f64) {
        // A short piece is no measure for long ones, because a GPU takes almost as long for it. But if the pieces have
        // become short, short pieces are the measure.
        let typical = self.s_per_token.map_or(MIN_PIECE, target_rows).min(self.measured.max(MIN_PIECE));
        if 2 * rows >= typical {
            self.s_per_token = Some(seconds / rows as f64);
            self.measured = rows;
        }
    }
}

/// Number of rows in a piece that takes the target time.
fn target_rows(s_per_token: f64) -> usize {
    ((PIECE_S / s_per_token.max(1e-9)) as usize / TILE * TILE).max(MIN_PIECE)
}

#[cfg(test)]
mod tests {
    use super::PrefillPace;

    fn pieces(s_per_token: Option<f64>, prompt: usize, max: usize) -> Vec<usize> {
        let pace = PrefillPace { s_per_token, ..PrefillPace::default() };
        let mut pieces = Vec::new();
        while pieces.iter().sum::<usize>() < prompt {
            pieces.push(pace.rows(prompt - pieces.iter().sum::<usize>(), max));
        }
        pieces
    }

    #[test]
    fn fast_backends_get_large_pieces_and_slow_ones_small() {
        assert_eq!(pieces(None, 512, 512)[0], 64);
        assert_eq!(pieces(Some(1e-6), 512, 512), [512]);
        assert_eq!(pieces(Some(1.0), 128, 512), [64; 2]);
        assert_eq!(pieces(Some(1e-6), 40, 16), [16, 12, 12]);
    }

    #[test]
    fn a_short_last_piece_does_not_make_later_pieces_short() {
        let mut pace = PrefillPace::default();
        for (rows, seconds) in [(64, 0.008), (416, 0.013), (96, 0.009)] {
            pace.learn(rows, seconds);
        }
        assert_eq!(pace.rows(512, 512), 512);
        // The device has become slow.
        for (rows, seconds) in [(512, 1.0), (64, 0.125), (64, 0.08)] {
            pace.learn(rows, seconds);
        }
        assert_eq!(pace.rows(512, 512), 64);
    }

    #[test]
    fn no_piece_of_a_prompt_is_so_small_that_other_kernels_compute_it() {
        for s_per_token in [None, Some(1e-6), Some(1e-3), Some(1.0)] {
            for prompt in 17..400 {
                let pieces = pieces(s_per_token, prompt, 512);
                assert_eq!(pieces.iter().sum::<usize>(), prompt);
                assert!(pieces.iter().all(|piece| *piece > 16), "{s_per_token:?} {prompt}: {pieces:?}");
            }
        }
    }
}
