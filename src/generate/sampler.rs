//! From logits to the next token.
//!
//! The order is that of transformers: penalties, temperature, top-k, top-p, min-p. Each of the three filters is a
//! maximum distance from the best score. Among the tokens within it, the token with the largest sum of scaled logit and
//! Gumbel noise is chosen, which is a draw from the softmax. The noise is a hash of seed, step and token. It has no
//! state, so a seed gives the same text for every division of the work.
//!
//! The rule itself is in [`crate::backend::cpu::sample`], and the GPU has a shader for it. This file has the options
//! and the state of a generation.

use std::collections::HashMap;

use crate::backend::cpu::sample::{Adjustment, IN_PROMPT, LAST_STEP, STEPS, Sampling, mix_seed, sample};
use crate::error::{Error, Result};
use crate::options::request;

/// How to choose tokens. The default is greedy, without penalties.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerOptions {
    /// Divides the logits; 0 always takes the most likely token.
    pub temperature: f32,
    /// Keeps this many of the most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the most likely tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens whose probability is at least this value times that of the most likely token; 0 keeps all.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens that occurred in the prompt or the answer; 1
    /// is off (arXiv 1909.05858).
    pub repetition_penalty: f32,
    /// Subtracted from a token's logit for each time it was generated.
    pub frequency_penalty: f32,
    /// Subtracted from a token's logit once it was generated.
    pub presence_penalty: f32,
    /// Added to the logits of single tokens.
    pub logit_bias: HashMap<u32, f32>,
    /// The same seed gives the same choices.
    pub seed: u64,
    /// Number of alternatives to report with the log-probability of each token; `None` reports no log-probabilities.
    pub logprobs: Option<usize>,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: HashMap::new(),
            seed: 0,
            logprobs: None,
        }
    }
}

/// Maximum number of alternatives, as in OpenAI's API.
pub const MAX_LOGPROBS: usize = 20;

impl SamplerOptions {
    /// # Errors
    /// [`Error::Request`] that names the option and its range.
    pub fn check(&self) -> Result<()> {
        request::TEMPERATURE.check(self.temperature)?;
        request::TOP_P.check(self.top_p)?;
        request::MIN_P.check(self.min_p)?;
        request::REPETITION_PENALTY.check(self.repetition_penalty)?;
        request::FREQUENCY_PENALTY.check(self.frequency_penalty)?;
        request::PRESENCE_PENALTY.check(self.presence_penalty)?;
        for (token, bias) in &self.logit_bias {
            request::LOGIT_BIAS.range().check(&format!("logit_bias.{token}"), *bias)?;
        }
        match self.logprobs {
            Some(count) if count > MAX_LOGPROBS => {
                Err(Error::request("top_logprobs", format!("it must be at most {MAX_LOGPROBS}, not {count}")))
            }
            _ => Ok(()),
        }
    }

    fn sampling(&self) -> Sampling {
        let penalised = self.repetition_penalty != 1.0
            || self.frequency_penalty != 0.0
            || self.presence_penalty != 0.0
            || !self.logit_bias.is_empty();
        // A temperature so low that its inverse is infinite means greedy.
        let inverse_temperature = self.temperature.recip();
        let greedy = self.temperature == 0.0 || inverse_temperature > 1e30;
        Sampling {
            inverse_temperature: if greedy { 0.0 } else { inverse_temperature },
            top_k: u32::try_from(self.top_k).unwrap_or(0),
            top_p: self.top_p,
            max_steps: if self.min_p > 0.0 {
                (-self.min_p.ln() * STEPS + 0.5).min(LAST_STEP as f32) as u32
            } else {
                LAST_STEP
            },
            seed: mix_seed(self.seed),
            adjusted: u32::from(penalised),
            repetition: self.repetition_penalty,
            inverse_repetition: self.repetition_penalty.recip(),
            frequency: self.frequency_penalty,
            presence: self.presence_penalty,
            unused: [0; 2],
        }
    }
}

/// A token and the natural logarithm of its probability before penalties and temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logprob {
    /// Token id.
    pub token: u32,
    /// Natural logarithm of the probability.
    pub logprob: f32,
}

/// The chosen token and its alternatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// The chosen token.
    pub token: u32,
    /// Its log-probability, if requested.
    pub logprob: Option<f32>,
    /// As many of the most likely tokens as requested, the most likely first.
    pub alternatives: Vec<Logprob>,
}

/// Chooses the tokens of one generation and remembers them.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    /// One per token of the vocabulary; empty if no option changes scores.
    adjustments: Vec<Adjustment>,
    logprobs: Option<usize>,
    step: u32,
}

impl Sampler {
    /// A sampler for a generation that follows `prompt`, for rows of `vocab_size` logits.
    ///
    /// # Errors
    /// [`Error::Request`] for options out of range.
    pub fn new(options: &SamplerOptions, prompt: &[u32], vocab_size: usize) -> Result<Self> {
        options.check()?;
        let sampling = options.sampling();
        let mut adjustments = Vec::new();
        if sampling.adjusted != 0 {
            adjustments.resize(vocab_size, Adjustment::default());
            for token in prompt {
                if let Some(adjustment) = adjustments.get_mut(*token as usize) {
                    adjustment.seen = IN_PROMPT;
                }
            }
            for (token, bias) in &options.logit_bias {
                if let Some(adjustment) = adjustments.get_mut(*token as usize) {
                    adjustment.bias = *bias;
                }
            }
        }
        Ok(Self { sampling, adjustments, logprobs: options.logprobs, step: 0 })
    }

    /// The parameters of the choice.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The current changes to the scores of single tokens: one per token of the vocabulary, or empty.
    pub fn adjustments(&self) -> &[Adjustment] {
        &self.adjustments
    }

    /// Number of tokens chosen so far.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// Whether the sampler needs the logits, so that they must be read back from the device.
    pub fn needs_logits(&self) -> bool {
        self.logprobs.is_some()
    }

    /// Chooses from one row of logits. A token whose logit is NaN is never chosen.
    ///
    /// # Errors
    /// [`Error::Device`] if no logit is finite, which means that the network computed wrong values.
    pub fn sample(&mut self, logits: &[f32]) -> Result<Sampled> {
        let token =
            sample(logits, &self.adjustments, &self.sampling, self.step).ok_or_else(nothing_to_choose)?;
        let (logprob, alternatives) = match self.logprobs {
            None => (None, Vec::new()),
            Some(count) => {
                let (logprob, alternatives) = logprobs(logits, token, count);
                (Some(logprob), alternatives)
            }
        };
        self.record(token);
        Ok(Sampled { token, logprob, alternatives })
    }

    /// Remembers a token that the device chose.
    pub fn record(&mut self, token: u32) {
        if let Some(adjustment) = self.adjustments.get_mut(token as usize) {
            adjustment.seen += 1;
        }
        self.step = self.step.wrapping_add(1);
    }
}

/// The error for a row without a finite logit.
pub(crate) fn nothing_to_choose() -> Error {
    Error::invalid(
        "checkpoint",
        "logits",
        "the output of the network has no finite value",
        "The weights may be damaged: download them again, or try another weight format",
    )
}

/// Log-probabilities of the chosen token and of the most likely tokens.
fn logprobs(logits: &[f32], token: u32, count: usize) -> (f32, Vec<Logprob>) {
    let finite = |logit: &f32| !logit.is_nan();
    let max = logits.iter().copied().filter(finite).fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().copied().filter(finite).map(|logit| f64::from(logit - max).exp()).sum();
    let normaliser = max + sum.ln() as f32;
    let mut tokens: Vec<u32> = (0..logits.len() as u32).filter(|t| finite(&logits[*t as usize])).collect();
    let likelier = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    if count < tokens.len() {
        tokens.select_nth_unstable_by(count, likelier);
        tokens.truncate(count);
    }
    tokens.sort_unstable_by(likelier);
    let logprob = |token: u32| logits[token as usize] - normaliser;
    let alternatives = tokens.into_iter().map(|token| Logprob { token, logprob: logprob(token) }).collect();
    (logprob(token), alternatives)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(options: &SamplerOptions, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(options, &[], logits.len()).unwrap();
        (0..count).map(|_| sampler.sample(logits).unwrap().token).collect()
    }

    fn share(draws: &[u32], token: u32) -> f64 {
        draws.iter().filter(|t| **t == token).count() as f64 / draws.len() as f64
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest_and_never_nan() {
        let logits = [f32::NAN, 1.0, 3.0, 3.0, f32::NEG_INFINITY];
        assert_eq!(draws(&SamplerOptions::default(), &logits, 1), [2]);
    }

    #[test]
    fn nothing_finite_is_an_error() {
        let mut sampler = Sampler::new(&SamplerOptions::default(), &[], 4).unwrap();
        assert_eq!(sampler.sample(&[f32::NAN; 4]).unwrap_err().code(), "invalid_file");
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [0.0, 1.0, 2.0];
        let options = SamplerOptions { temperature: 0.8, seed: 7, ..SamplerOptions::default() };
        let drawn = draws(&options, &logits, 40_000);
        let weights = logits.map(|logit| f64::from(logit / 0.8).exp());
        for (token, weight) in weights.iter().enumerate() {
            let expected = weight / weights.iter().sum::<f64>();
            assert!((share(&drawn, token as u32) - expected).abs() < 0.01, "{token}");
        }
    }

    #[test]
    fn equal_seeds_give_equal_draws_and_other_seeds_other_draws() {
        let logits: Vec<f32> = (0..50).map(|i| (i % 7) as f32 * 0.1).collect();
        let with = |seed| {
            draws(&SamplerOptions { temperature: 1.0, seed, ..SamplerOptions::default() }, &logits, 20)
        };
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
        assert_ne!(with(1), with(1 << 32 | 1));
    }

    #[test]
    fn filters_keep_exactly_what_they_say() {
        // Probabilities 0.5, 0.25, 0.125, 0.125.
        let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
        let kept = |options: SamplerOptions| {
            let mut kept = draws(&SamplerOptions { temperature: 1.0, ..options }, &logits, 2000);
            kept.sort_unstable();
            kept.dedup();
            kept
        };
        let none = SamplerOptions::default;
        assert_eq!(kept(SamplerOptions { top_k: 2, ..none() }), [0, 1]);
        assert_eq!(kept(SamplerOptions { top_p: 0.5, ..none() }), [0]);
        assert_eq!(kept(SamplerOptions { top_p: 0.6, ..none() }), [0, 1]);
        assert_eq!(kept(SamplerOptions { top_p: 0.0, ..none() }), [0]);
        assert_eq!(kept(SamplerOptions { min_p: 0.4, ..none() }), [0, 1]);
        assert_eq!(kept(SamplerOptions { top_k: 3, top_p: 0.99, min_p: 0.0, ..none() }), [0, 1, 2, 3]);
        // Top-p uses the tokens that top-k kept: 0.5 of 0.75 is two thirds.
        assert_eq!(kept(SamplerOptions { top_k: 2, top_p: 0.66, ..none() }), [0]);
        assert_eq!(kept(none()), [0, 1, 2, 3]);
    }

    #[test]
    fn penalties_change_the_choice() {
        let logits = [2.0, 1.9, -1.0];
        let repetition = SamplerOptions { repetition_penalty: 1.5, ..SamplerOptions::default() };
        let mut sampler = Sampler::new(&repetition, &[0], 3).unwrap();
        assert_eq!(sampler.sample(&logits).unwrap().token, 1);
        let frequency = SamplerOptions { frequency_penalty: 0.06, ..SamplerOptions::default() };
        assert_eq!(draws(&frequency, &logits, 4), [0, 0, 1, 0]);
        let presence = SamplerOptions { presence_penalty: 0.2, ..SamplerOptions::default() };
        assert_eq!(draws(&presence, &logits, 3), [0, 1, 0]);
        let bias = SamplerOptions { logit_bias: [(2, 100.0)].into(), ..SamplerOptions::default() };
        assert_eq!(draws(&bias, &logits, 1), [2]);
    }

    #[test]
    fn logprobs_are_of_the_plain_softmax() {
        let logits = [0.5f32, 0.25, 0.25].map(f32::ln);
        let options = SamplerOptions { logprobs: Some(2), temperature: 0.0, ..SamplerOptions::default() };
        let sampled = Sampler::new(&options, &[], logits.len()).unwrap().sample(&logits).unwrap();
        assert!((sampled.logprob.unwrap() - 0.5f32.ln()).abs() < 1e-6);
        assert_eq!(sampled.alternatives.iter().map(|a| a.token).collect::<Vec<_>>(), [0, 1]);
        assert!((sampled.alternatives[1].logprob - 0.25f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let bad = SamplerOptions { top_p: f32::NAN, ..SamplerOptions::default() };
        assert!(bad.check().unwrap_err().to_string().starts_with("top_p"));
        let bad = SamplerOptions { logprobs: Some(21), ..SamplerOptions::default() };
        assert!(bad.check().unwrap_err().to_string().starts_with("top_logprobs"));
    }
}
