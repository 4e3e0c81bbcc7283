//! Choosing a token from a row of logits: twin of `shaders/sample/*.wgsl`, which get its numbers as constants.
//!
//! Everything is measured as a distance from the best score, in steps of 2^-19 of a unit of log-probability (at
//! the request's temperature), up to 32 units: whole numbers, so that top-k and top-p count and sum the
//! same on every device and in any order. Tokens beyond 32 units count as the last step; noise never carries one so far.

use bytemuck::{Pod, Zeroable};

/// How a row is chosen from, as the shaders read it.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sampling {
    /// 1 / temperature; 0 takes the best.
    pub inverse_temperature: f32,
    /// Tokens that top-k keeps; 0 keeps all.
    pub top_k: u32,
    /// Share of the probability that top-p keeps; 1 keeps all.
    pub top_p: f32,
    /// Steps from the best that min-p keeps; [`LAST_STEP`] keeps all.
    pub max_steps: u32,
    /// What the noise of all steps has in common.
    pub seed: u32,
    /// 1 where [`Adjustment`]s count.
    pub adjusted: u32,
    /// Multiplies negative scores of tokens seen.
    pub repetition: f32,
    /// Multiplies positive scores of tokens seen.
    pub inverse_repetition: f32,
    /// Subtracted for each time that a token was generated.
    pub frequency: f32,
    /// Subtracted where a token was generated.
    pub presence: f32,
    /// Uniforms come in multiples of 16 bytes.
    pub unused: [u32; 2],
}

/// What changes one token's score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Adjustment {
    /// How often it was generated, plus [`IN_PROMPT`].
    pub seen: u32,
    /// Added to its score.
    pub bias: f32,
}

/// The bit of [`Adjustment::seen`] for a token of the prompt.
pub const IN_PROMPT: u32 = 1 << 31;

/// Bits of a distance in steps.
pub(crate) const STEP_BITS: usize = 24;

/// The farthest step, at which everything beyond is counted too.
pub const LAST_STEP: u32 = (1 << STEP_BITS) - 1;

/// Steps of a unit of log-probability.
pub const STEPS: f32 = 524_288.0;

/// 1, in the whole numbers of 24 bits that likelihoods are summed in and that noise is made from.
pub(crate) const ONE: f32 = 16_777_216.0;

/// The score of a token that is never chosen, and the highest one.
pub(crate) const NEVER: f32 = f32::MIN;

/// Of a share that tokens reach exactly, rounding must not demand one more of them.
pub(crate) const TOP_P_SLACK: f32 = 1.0 - 1.0 / 262_144.0;

/// No noise is larger.
pub(crate) const MAX_NOISE: f32 = 17.4;

/// Below it noise takes a series for `-ln(1 - v)`; see [`gumbel`].
pub(crate) const SERIES_BELOW: f32 = 0.0625;

impl Sampling {
    /// Whether tokens are left out by their rank or share, which takes a search.
    pub fn is_cut(&self) -> bool {
        self.inverse_temperature > 0.0 && (self.top_k > 0 || self.top_p < 1.0 || self.max_steps < LAST_STEP)
    }
}

/// Chooses from `logits` for step `step` of a generation: the best of those kept, with noise unless greedy; the lowest id among
/// equals. `adjustments` are one a token, or none. `None` where no logit is a number above minus infinity.
pub fn sample(logits: &[f32], adjustments: &[Adjustment], sampling: &Sampling, step: u32) -> Option<u32> {
    let scores: Vec<f32> = logits
        .iter()
        .enumerate()
        .map(|(token, logit)| adjusted(*logit, adjustments.get(token), sampling))
        .collect();
    let greatest = best(scores.iter().copied())?;
    if sampling.inverse_temperature == 0.0 {
        return Some(greatest);
    }
    let max = scores[greatest as usize];
    let limit = if sampling.is_cut() { limit(&scores, max, sampling) } else { u32::MAX };
    let mut so_far = NEVER;
    best(scores.iter().enumerate().map(|(token, score)| {
        let scaled = score * sampling.inverse_temperature;
        // Most tokens are too unlikely for any noise to help, and noise is what takes time.
        if *score == NEVER || scaled + MAX_NOISE < so_far || steps(max, *score, sampling) > limit {
            return NEVER;
        }
        let noisy = scaled + gumbel(sampling.seed, step, token as u32);
        so_far = so_far.max(noisy);
        noisy
    }))
}

/// A logit with its penalties; [`NEVER`] for what is no number or minus infinity.
fn adjusted(logit: f32, adjustment: Option<&Adjustment>, sampling: &Sampling) -> f32 {
    if logit.is_nan() || logit <= NEVER {
        return NEVER;
    }
    let mut score = logit;
    if let Some(Adjustment { seen, bias }) = adjustment {
        if *seen != 0 {
            score *= if score > 0.0 { sampling.inverse_repetition } else { sampling.repetition };
        }
        let count = seen & !IN_PROMPT;
        if count > 0 {
            score -= sampling.frequency * count as f32 + sampling.presence;
        }
        score += bias;
    }
    score.clamp(NEVER, f32::MAX)
}

/// The token of the largest score above [`NEVER`], the lowest id among equals.
fn best(scores: impl Iterator<Item = f32>) -> Option<u32> {
    let mut best = (NEVER, None);
    for (token, score) in scores.enumerate() {
        if score > best.0 {
            best = (score, Some(token as u32));
        }
    }
    best.1
}

/// Distance from the best, rounded to the nearest step.
fn steps(max: f32, score: f32, sampling: &Sampling) -> u32 {
    ((max - score) * (sampling.inverse_temperature * STEPS) + 0.5).min(LAST_STEP as f32) as u32
}

/// A likelihood relative to the best, as a whole number.
fn weight(steps: u32) -> u64 {
    ((-(steps as f32) / STEPS).exp() * ONE + 0.5) as u64
}

/// The farthest step that top-k, top-p and min-p all keep.
fn limit(scores: &[f32], max: f32, sampling: &Sampling) -> u32 {
    let mut limit = LAST_STEP;
    let within = scores.iter().filter(|score| **score != NEVER).map(|score| steps(max, *score, sampling));
    let mut within: Vec<u32> = within.collect();
    if sampling.top_k > 0 && (sampling.top_k as usize) < within.len() {
        let (_, kth, _) = within.select_nth_unstable(sampling.top_k as usize - 1);
        limit = *kth;
    }
    if sampling.top_p < 1.0 {
        within.retain(|steps| *steps <= limit);
        within.sort_unstable();
        let total: u64 = within.iter().map(|steps| weight(*steps)).sum();
        let enough = sampling.top_p * TOP_P_SLACK * total as f32;
        let mut reached = 0;
        let far_enough = within.into_iter().find(|steps| {
            reached += weight(*steps);
            reached as f32 >= enough
        });
        limit = far_enough.unwrap_or(limit);
    }
    limit.min(sampling.max_steps)
}

/// Standard Gumbel noise, `-ln(-ln(u))`, for one token of one step.
///
/// The largest noise, which decides, comes from `u` close to 1, where WGSL promises of `ln(u)` no correct digit. So
/// the series of `ln(1 - v)` stands in for it there.
pub fn gumbel(seed: u32, step: u32, token: u32) -> f32 {
    let bits = hash(hash(seed ^ step) ^ token);
    // 24 bits, centred between 0 and 1 so that neither logarithm is infinite.
    let v = ((bits >> 8) as f32 + 0.5) / ONE;
    let waiting = if v < SERIES_BELOW {
        v * (1.0 + v * (1.0 / 2.0 + v * (1.0 / 3.0 + v * (1.0 / 4.0 + v * (1.0 / 5.0 + v / 6.0)))))
    } else {
        -(1.0 - v).ln()
    };
    -waiting.ln()
}

/// [`Sampling::seed`] of a request's seed.
pub fn mix_seed(seed: u64) -> u32 {
    hash(seed as u32) ^ (seed >> 32) as u32
}

/// One round of the PCG permutation on 32 bits (Jarzynski and Olano, "Hash functions for GPU rendering", 2020).
fn hash(x: u32) -> u32 {
    let state = x.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}
