//! From logits to the next token.
//!
//! The order is that of transformers: penalties, temperature, top-k, top-p, min-p. The three filters have one
//! form, a lowest logit that is kept, and the choice among the kept is the largest sum of scaled logit and
//! Gumbel noise (which is a draw from the softmax). The noise is a hash of seed, step and token: it has no state, so
//! a seed gives the same text however the work is divided.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// How to choose. The default is greedy and unpenalised.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerOptions {
    /// Divides the logits; 0 always takes the most likely token.
    pub temperature: f32,
    /// Keeps this many of the most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the most likely tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this likely relative to the most likely; 0 keeps all.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens seen in prompt or answer; 1 is none
    /// (arXiv 1909.05858).
    pub repetition_penalty: f32,
    /// Subtracted from a token's logit for each time it was generated.
    pub frequency_penalty: f32,
    /// Subtracted from a token's logit once it was generated.
    pub presence_penalty: f32,
    /// Added to the logits of single tokens.
    pub logit_bias: HashMap<u32, f32>,
    /// Same seed, same choices.
    pub seed: u64,
    /// Alternatives to report with each token's log-probability; `None` reports nothing.
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

/// The most alternatives that can be reported, as in OpenAI's API.
pub const MAX_LOGPROBS: usize = 20;

impl SamplerOptions {
    /// # Errors
    /// [`Error::Request`] that names the option and the range it must lie in.
    pub fn check(&self) -> Result<()> {
        let within = |field: &str, value: f32, low: f32, high: f32| {
            if value >= low && value <= high {
                Ok(())
            } else {
                Err(Error::request(field, format!("{value} is not a number from {low} to {high}")))
            }
        };
        within("temperature", self.temperature, 0.0, 100.0)?;
        within("top_p", self.top_p, 0.0, 1.0)?;
        within("min_p", self.min_p, 0.0, 1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.01, 100.0)?;
        within("frequency_penalty", self.frequency_penalty, -100.0, 100.0)?;
        within("presence_penalty", self.presence_penalty, -100.0, 100.0)?;
        for (token, bias) in &self.logit_bias {
            within(&format!("logit_bias.{token}"), *bias, -1e4, 1e4)?;
        }
        match self.logprobs {
            Some(count) if count > MAX_LOGPROBS => {
                Err(Error::request("top_logprobs", format!("{count} is more than {MAX_LOGPROBS}")))
            }
            _ => Ok(()),
        }
    }
}

/// A token and the natural logarithm of its probability before penalties and temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logprob {
    /// Token id.
    pub token: u32,
    /// ln p.
    pub logprob: f32,
}

/// What was chosen, and what might have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// The chosen token.
    pub token: u32,
    /// Its log-probability, when log-probabilities were asked for.
    pub logprob: Option<f32>,
    /// The most likely tokens, likeliest first, as many as were asked for.
    pub alternatives: Vec<Logprob>,
}

/// Chooses tokens for one generation and remembers what it chose.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplerOptions,
    prompt: Vec<u32>,
    counts: HashMap<u32, u32>,
    step: u32,
}

impl Sampler {
    /// A sampler for a generation that follows `prompt`.
    ///
    /// # Errors
    /// [`Error::Request`] for options out of range.
    pub fn new(options: SamplerOptions, prompt: &[u32]) -> Result<Self> {
        options.check()?;
        let mut prompt = prompt.to_vec();
        prompt.sort_unstable();
        prompt.dedup();
        Ok(Self { options, prompt, counts: HashMap::new(), step: 0 })
    }

    /// Chooses from one row of logits. A token whose logit is NaN is never chosen.
    ///
    /// # Errors
    /// [`Error::Device`] where no logit is finite: the network computed nonsense.
    pub fn sample(&mut self, logits: &[f32]) -> Result<Sampled> {
        let mut scores: Vec<f32> =
            logits.iter().map(|logit| if logit.is_nan() { f32::NEG_INFINITY } else { *logit }).collect();
        self.penalise(&mut scores);
        let token = self.choose(&scores).ok_or_else(|| {
            Error::device(
                "the network's output has no finite value",
                "The checkpoint may be damaged; another backend or weight format may help",
            )
        })?;
        let (logprob, alternatives) = match self.options.logprobs {
            None => (None, Vec::new()),
            Some(count) => {
                let (logprob, alternatives) = logprobs(logits, token, count);
                (Some(logprob), alternatives)
            }
        };
        *self.counts.entry(token).or_default() += 1;
        self.step = self.step.wrapping_add(1);
        Ok(Sampled { token, logprob, alternatives })
    }

    fn penalise(&self, scores: &mut [f32]) {
        let options = &self.options;
        if options.repetition_penalty != 1.0 {
            let fresh = self.counts.keys().filter(|token| self.prompt.binary_search(token).is_err());
            for token in self.prompt.iter().chain(fresh) {
                if let Some(score) = scores.get_mut(*token as usize) {
                    let penalty = options.repetition_penalty;
                    *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
                }
            }
        }
        for (token, count) in &self.counts {
            if let Some(score) = scores.get_mut(*token as usize) {
                *score -= options.frequency_penalty * *count as f32 + options.presence_penalty;
            }
        }
        for (token, bias) in &options.logit_bias {
            if let Some(score) = scores.get_mut(*token as usize) {
                *score += bias;
            }
        }
    }

    fn choose(&self, scores: &[f32]) -> Option<u32> {
        let greatest = argmax(scores)?;
        if self.options.temperature == 0.0 {
            return Some(greatest);
        }
        let inverse_temperature = 1.0 / self.options.temperature;
        let cut = self.cut(scores, scores[greatest as usize]);
        let noisy = scores.iter().enumerate().map(|(token, score)| {
            if *score >= cut {
                score * inverse_temperature + gumbel(self.options.seed, self.step, token as u32)
            } else {
                f32::NEG_INFINITY
            }
        });
        largest(noisy)
    }

    /// The lowest logit that top-k, top-p and min-p all keep.
    fn cut(&self, scores: &[f32], max: f32) -> f32 {
        let SamplerOptions { temperature, top_k, top_p, min_p, .. } = self.options;
        let mut cut = f32::MIN;
        if top_k > 0 && top_k < scores.len() {
            let mut sorted = scores.to_vec();
            let (_, kth, _) = sorted.select_nth_unstable_by(top_k - 1, |a, b| b.total_cmp(a));
            cut = cut.max(*kth);
        }
        if top_p < 1.0 {
            cut = top_p_cut(scores, max, cut, temperature, top_p);
        }
        if min_p > 0.0 {
            cut = cut.max(max + temperature * min_p.ln());
        }
        // Rounding must never lose the most likely token.
        cut.min(max)
    }
}

/// The logit at which the probabilities of the tokens from `cut` upwards, likeliest first, reach `top_p`.
fn top_p_cut(scores: &[f32], max: f32, cut: f32, temperature: f32, top_p: f32) -> f32 {
    let mut kept: Vec<f32> = scores.iter().copied().filter(|score| *score >= cut).collect();
    kept.sort_unstable_by(|a, b| b.total_cmp(a));
    let weight = |score: f32| f64::from((score - max) / temperature).exp();
    let enough = f64::from(top_p) * kept.iter().map(|score| weight(*score)).sum::<f64>();
    let mut reached = 0.0;
    for score in kept {
        reached += weight(score);
        if reached >= enough {
            return score;
        }
    }
    cut
}

/// The token of the largest finite score, the lowest id among equals.
pub fn argmax(scores: &[f32]) -> Option<u32> {
    largest(scores.iter().copied())
}

fn largest(scores: impl Iterator<Item = f32>) -> Option<u32> {
    let mut best = (f32::NEG_INFINITY, None);
    for (token, score) in scores.enumerate() {
        if score > best.0 {
            best = (score, Some(token as u32));
        }
    }
    best.1
}

/// Standard Gumbel noise, `-ln(-ln(u))`, for one token of one step.
fn gumbel(seed: u64, step: u32, token: u32) -> f32 {
    let bits = hash(hash(hash(seed as u32) ^ (seed >> 32) as u32 ^ step) ^ token);
    // 24 bits, centred between 0 and 1 so that neither logarithm is infinite.
    let uniform = ((bits >> 8) as f32 + 0.5) / 16_777_216.0;
    -(-uniform.ln()).ln()
}

/// One round of the PCG permutation on 32 bits (Jarzynski and Olano, "Hash functions for GPU rendering", 2020).
fn hash(x: u32) -> u32 {
    let state = x.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// Log-probabilities of the chosen and of the likeliest tokens.
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

    fn draws(options: SamplerOptions, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(options, &[]).unwrap();
        (0..count).map(|_| sampler.sample(logits).unwrap().token).collect()
    }

    fn share(draws: &[u32], token: u32) -> f64 {
        draws.iter().filter(|t| **t == token).count() as f64 / draws.len() as f64
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest_and_never_nan() {
        let logits = [f32::NAN, 1.0, 3.0, 3.0, f32::NEG_INFINITY];
        assert_eq!(draws(SamplerOptions::default(), &logits, 1), [2]);
    }

    #[test]
    fn nothing_finite_is_an_error() {
        let mut sampler = Sampler::new(SamplerOptions::default(), &[]).unwrap();
        assert_eq!(sampler.sample(&[f32::NAN; 4]).unwrap_err().code(), "device");
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [0.0, 1.0, 2.0];
        let options = SamplerOptions { temperature: 0.8, seed: 7, ..SamplerOptions::default() };
        let drawn = draws(options, &logits, 40_000);
        let weights = logits.map(|logit| f64::from(logit / 0.8).exp());
        for (token, weight) in weights.iter().enumerate() {
            let expected = weight / weights.iter().sum::<f64>();
            assert!((share(&drawn, token as u32) - expected).abs() < 0.01, "{token}");
        }
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let logits: Vec<f32> = (0..50).map(|i| (i % 7) as f32 * 0.1).collect();
        let with =
            |seed| draws(SamplerOptions { temperature: 1.0, seed, ..SamplerOptions::default() }, &logits, 20);
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
        assert_ne!(with(1), with(1 << 32 | 1));
    }

    #[test]
    fn filters_keep_exactly_what_they_say() {
        // Probabilities 0.5, 0.25, 0.125, 0.125.
        let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
        let kept = |options: SamplerOptions| {
            let mut kept = draws(SamplerOptions { temperature: 1.0, ..options }, &logits, 2000);
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
        // Top-p looks at what top-k left: 0.5 of 0.75 is two thirds.
        assert_eq!(kept(SamplerOptions { top_k: 2, top_p: 0.66, ..none() }), [0]);
        assert_eq!(kept(none()), [0, 1, 2, 3]);
    }

    #[test]
    fn penalties_turn_the_choice() {
        let logits = [2.0, 1.9, -1.0];
        let repetition = SamplerOptions { repetition_penalty: 1.5, ..SamplerOptions::default() };
        let mut sampler = Sampler::new(repetition, &[0]).unwrap();
        assert_eq!(sampler.sample(&logits).unwrap().token, 1);
        let frequency = SamplerOptions { frequency_penalty: 0.06, ..SamplerOptions::default() };
        assert_eq!(draws(frequency, &logits, 4), [0, 0, 1, 0]);
        let presence = SamplerOptions { presence_penalty: 0.2, ..SamplerOptions::default() };
        assert_eq!(draws(presence, &logits, 3), [0, 1, 0]);
        let bias = SamplerOptions { logit_bias: [(2, 100.0)].into(), ..SamplerOptions::default() };
        assert_eq!(draws(bias, &logits, 1), [2]);
    }

    #[test]
    fn logprobs_are_of_the_plain_softmax() {
        let logits = [0.5f32, 0.25, 0.25].map(f32::ln);
        let options = SamplerOptions { logprobs: Some(2), temperature: 0.0, ..SamplerOptions::default() };
        let sampled = Sampler::new(options, &[]).unwrap().sample(&logits).unwrap();
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
