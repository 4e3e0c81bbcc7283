//! Chooses a token from a row of logits. The shaders `shaders/sample/*.wgsl` do the same with the same constants.
//!
//! Each score is expressed as its distance from the best score, in steps of 2^-19 of a unit of log-probability (at the
//! temperature of the request), up to 32 units. Distances are whole numbers, so top-k and top-p count and sum the same
//! on every device and in any order. Tokens farther than 32 units count as the last step; no noise is large enough to
//! choose one of them.

use bytemuck::{Pod, Zeroable};

/// Parameters of the choice from a row, in the layout that the shaders read.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sampling {
    /// 1 / temperature; 0 means greedy.
    pub inverse_temperature: f32,
    /// Number of tokens that top-k keeps; 0 keeps all.
    pub top_k: u32,
    /// Probability that top-p keeps; 1 keeps all tokens.
    pub top_p: f32,
    /// Maximum distance from the best in steps that min-p keeps; [`LAST_STEP`] keeps all.
    pub max_steps: u32,
    /// Seed of the noise, the same for all steps of a generation.
    pub seed: u32,
    /// 1 if there are [`Adjustment`]s, otherwise 0.
    pub adjusted: u32,
    /// Multiplies the negative scores of tokens that occurred.
    pub repetition: f32,
    /// Multiplies the positive scores of tokens that occurred.
    pub inverse_repetition: f32,
    /// Subtracted for each time that a token was generated.
    pub frequency: f32,
    /// Subtracted once if a token was generated.
    pub presence: f32,
    /// Padding: the size of a uniform is a multiple of 16 bytes.
    pub unused: [u32; 2],
}

/// Changes to the score of one token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Adjustment {
    /// How often the token was generated, plus [`IN_PROMPT`] if it is in the prompt.
    pub seen: u32,
    /// Added to its score.
    pub bias: f32,
}

/// The bit of [`Adjustment::seen`] for a token that is in the prompt.
pub const IN_PROMPT: u32 = 1 << 31;

/// Number of bits of a distance in steps.
pub(crate) const STEP_BITS: usize = 24;

/// The last step. All larger distances count as this one.
pub const LAST_STEP: u32 = (1 << STEP_BITS) - 1;

/// Steps per unit of log-probability.
pub const STEPS: f32 = 524_288.0;

/// The value 1 in fixed-point numbers of 24 bits. Likelihoods are summed and noise is made in these numbers.
pub(crate) const ONE: f32 = 16_777_216.0;

/// The score of a token that is never chosen. Every other score is higher.
pub(crate) const NEVER: f32 = f32::MIN;

/// Factor on top-p: if the tokens reach the probability exactly, rounding must not add another token.
pub(crate) const TOP_P_SLACK: f32 = 1.0 - 1.0 / 262_144.0;

/// Upper limit of the noise.
pub(crate) const MAX_NOISE: f32 = 17.4;

/// Below this `v`, the noise uses a series for `-ln(1 - v)`; see [`gumbel`].
pub(crate) const SERIES_BELOW: f32 = 0.0625;

impl Sampling {
    /// Whether top-k, top-p or min-p may remove tokens, which needs a search for the limit.
    pub fn is_cut(&self) -> bool {
        self.inverse_temperature > 0.0 && (self.top_k > 0 || self.top_p < 1.0 || self.max_steps < LAST_STEP)
    }
}

/// Chooses a token from `logits` for step `step` of a generation: the best of the tokens that the filters keep, with
/// noise unless greedy; the lowest id among equals. `adjustments` has one entry per token or is empty. Returns `None`
/// if every logit is NaN or minus infinity.
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
        // Noise is expensive. Most tokens are so unlikely that no noise could make them the best, so they get none.
        if *score == NEVER || scaled + MAX_NOISE < so_far || steps(max, *score, sampling) > limit {
            return NEVER;
        }
        let noisy = scaled + gumbel(sampling.seed, step, token as u32);
        so_far = so_far.max(noisy);
        noisy
    }))
}

/// A logit with its penalties; [`NEVER`] for NaN and minus infinity.
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

/// The token with the largest score above [`NEVER`]; the lowest id among equals.
fn best(scores: impl Iterator<Item = f32>) -> Option<u32> {
    let mut best = (NEVER, None);
    for (token, score) in scores.enumerate() {
        if score > best.0 {
            best = (score, Some(token as u32));
        }
    }
    best.1
}

/// Distance from the best score, rounded to the nearest step.
fn steps(max: f32, score: f32, sampling: &Sampling) -> u32 {
    ((max - score) * (sampling.inverse_temperature * STEPS) + 0.5).min(LAST_STEP as f32) as u32
}

/// Likelihood relative to the best token, in units of 1 / [`ONE`].
fn weight(steps: u32) -> u64 {
    ((-(steps as f32) / STEPS).exp() * ONE + 0.5) as u64
}

/// The largest distance in steps that top-k, top-p and min-p all keep.
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
/// The largest noise decides the choice. It comes from `u` close to 1, where WGSL guarantees no correct digit of
/// `ln(u)`. There the series of `ln(1 - v)` is used instead.
pub fn gumbel(seed: u32, step: u32, token: u32) -> f32 {
    let bits = hash(hash(seed ^ step) ^ token);
    // 24 bits, strictly between 0 and 1, so that neither logarithm is infinite.
    let v = ((bits >> 8) as f32 + 0.5) / ONE;
    let waiting = if v < SERIES_BELOW {
        v * (1.0 + v * (1.0 / 2.0 + v * (1.0 / 3.0 + v * (1.0 / 4.0 + v * (1.0 / 5.0 + v / 6.0)))))
    } else {
        -(1.0 - v).ln()
    };
    -waiting.ln()
}

/// Turns the seed of a request into [`Sampling::seed`].
pub fn mix_seed(seed: u64) -> u32 {
    hash(seed as u32) ^ (seed >> 32) as u32
}

/// One round of the PCG permutation on 32 bits (Jarzynski and Olano, "Hash functions for GPU rendering", 2020).
fn hash(x: u32) -> u32 {
    let state = x.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}
