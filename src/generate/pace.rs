//! How much work to hand to a backend at once: enough that it is never idle, so little that a cancel is soon seen and text
//! flows evenly.

use std::time::Duration;

use web_time::Instant;

use crate::backend::gpu;
use crate::error::Result;

/// Tokens a submit at most: reading a result costs little more than nothing when sixteen share it.
const MAX_DEPTH: usize = 16;

/// How many tokens to submit at once: one at first, so that nobody waits for it longer than needed, then twice as many
/// each time, as long as what is submitted is done within a given time. So a cancel is never far off, and
/// tokens still arrive evenly on a slow device.
pub(crate) struct DecodePace {
    in_flight: Duration,
    depth: usize,
    /// Seconds a token takes, once known.
    each: Option<f64>,
    /// When the last tokens came: since then the device has been busy with the next.
    since: Option<Instant>,
}

impl DecodePace {
    pub(crate) fn new(in_flight: Duration) -> Self {
        Self { in_flight, depth: 1, each: None, since: None }
    }

    /// Submits more, so that the device is busy while results are read, but no more than `left` tokens in all.
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

    /// What comes next was not submitted ahead: its time counts from now.
    pub(crate) fn restart(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Tokens that may be in flight; at least one, or nothing would ever come.
    fn allowed(&self) -> usize {
        match self.each {
            None => 2,
            Some(each) => ((self.in_flight.as_secs_f64() / each.max(1e-6)) as usize).clamp(1, 2 * MAX_DEPTH),
        }
    }

    /// `count` tokens came; says how many seconds a token takes. The first come with the prompt and tell nothing.
    pub(crate) fn collected(&mut self, count: usize) -> Option<f64> {
        let now = Instant::now();
        let each = (now - self.since.replace(now)?).as_secs_f64() / count.max(1) as f64;
        self.each = Some(self.each.map_or(each, |before| before + 0.5 * (each - before)));
        // Half of what may be in flight, so that there can be two submits.
        self.depth = (2 * self.depth).min(self.allowed().div_ceil(2)).clamp(1, MAX_DEPTH);
        self.each
    }
}

/// Seconds that a piece of a prompt should take: two are in flight, and a cancel waits for both.
const PIECE_S: f64 = 0.04;

/// Tokens of a piece on a backend that is slow, or whose speed is not known yet.
const MIN_PIECE: usize = 64;

/// Tokens that a piece is a multiple of, because kernels have tiles of that many.
const TILE: usize = 32;

/// Into how large pieces to cut a prompt, from how long those before took. It outlives a generation.
#[derive(Default)]
pub(crate) struct PrefillPace {
    /// Seconds a token takes, once known, and the rows of the piece that told.
    each: Option<f64>,
    measured: usize,
    /// When the piece that is waited for began to run.
    since: Option<Instant>,
}

impl PrefillPace {
    /// Tokens of the next piece, of `left` that are to be run and `max` that can be at once.
    ///
    /// Clocks decide about pieces, so pieces must not decide about results: none is so small that other kernels would
    /// run it than the whole.
    pub(crate) fn rows(&self, left: usize, max: usize) -> usize {
        let rows = self.each.map_or(MIN_PIECE, fast_enough).min(max);
        if left > rows && left - rows < MIN_PIECE.min(rows) {
            left.div_ceil(2).min(max)
        } else {
            rows.min(left)
        }
    }

    /// A piece begins to run on a backend that was idle.
    pub(crate) fn started(&mut self) {
        self.since = Some(Instant::now());
    }

    /// A piece of `rows` tokens is done; the next, if there is one, runs from now on.
    pub(crate) fn finished(&mut self, rows: usize) {
        let now = Instant::now();
        let Some(since) = self.since.replace(now) else { return };
        self.learn(rows, (now - since).as_secs_f64());
    }

    /// A piece of `rows` tokens took so long.
    fn learn(&mut self, rows: usize, seconds: f64) {
        // Short pieces are no measure of long ones: a GPU takes hardly less time for them. But where pieces have become
        // short, they are the measure.
        let typical = self.each.map_or(MIN_PIECE, fast_enough).min(self.measured.max(MIN_PIECE));
        if 2 * rows >= typical {
            self.each = Some(seconds / rows as f64);
            self.measured = rows;
        }
    }
}

/// Rows of a piece that takes as long as it should.
fn fast_enough(each: f64) -> usize {
    ((PIECE_S / each.max(1e-9)) as usize / TILE * TILE).max(MIN_PIECE)
}

#[cfg(test)]
mod tests {
    use super::PrefillPace;

    fn pieces(each: Option<f64>, prompt: usize, max: usize) -> Vec<usize> {
        let pace = PrefillPace { each, ..PrefillPace::default() };
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
    fn a_short_rest_does_not_make_later_pieces_short() {
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
    fn no_piece_of_a_prompt_is_so_small_that_it_would_be_computed_otherwise() {
        for each in [None, Some(1e-6), Some(1e-3), Some(1.0)] {
            for prompt in 17..400 {
                let pieces = pieces(each, prompt, 512);
                assert_eq!(pieces.iter().sum::<usize>(), prompt);
                assert!(pieces.iter().all(|piece| *piece > 16), "{each:?} {prompt}: {pieces:?}");
            }
        }
    }
}
