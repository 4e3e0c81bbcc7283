//! Prompt lookup: guesses the next tokens from the earlier text. The network checks all of them in one batch.
//!
//! If the last few tokens occurred in the text before, the tokens that followed them there are the guess (Saxena,
//! "Prompt Lookup Decoding", 2023). A guess changes no output: after each guessed token the network chooses the same
//! token as without the guess, and the first difference ends the guess. A guess only costs or saves time, so the
//! measured gain decides whether to guess.

use std::collections::HashMap;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::options::request::SPECULATION;

/// Whether to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Speculation {
    /// As long as guessing is faster.
    #[default]
    Auto,
    /// Wherever the text repeats itself.
    On,
    /// Never.
    Off,
}

impl FromStr for Speculation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            other => Err(SPECULATION.not_a_word(other)),
        }
    }
}

/// Number of tokens that must have occurred before in the same order.
const NGRAM: usize = 3;

/// Maximum number of tokens in a guess.
pub const MAX_PROPOSED: usize = 8;

/// Number of tokens without a guess after guesses that cost time: the first pause, and the longest.
const PAUSE: (usize, usize) = (16, 512);

/// Weight of the newest measurement in an average.
const NEWEST: f64 = 0.25;

/// The trigrams of a text, and how much time guesses took and saved.
#[derive(Debug)]
pub(crate) struct Lookup {
    speculation: Speculation,
    tokens: Vec<u32>,
    /// The end of the latest occurrence of each trigram that is followed by another token.
    ends: HashMap<[u32; NGRAM], usize>,
    /// Seconds per token without a guess.
    plain: Option<f64>,
    /// Seconds per guess, and tokens that a guess gives.
    guess: Option<(f64, f64)>,
    /// Guesses are paused until the text has this length.
    resume: usize,
    pause: usize,
}

impl Lookup {
    /// A lookup in a text that begins with `tokens`.
    pub(crate) fn new(speculation: Speculation, tokens: &[u32]) -> Self {
        let mut lookup = Self {
            speculation,
            tokens: Vec::new(),
            ends: HashMap::new(),
            plain: None,
            guess: None,
            resume: 0,
            pause: PAUSE.0,
        };
        if speculation != Speculation::Off {
            for token in tokens {
                lookup.push(*token);
            }
        }
        lookup
    }

    /// Takes the next token of the text.
    pub(crate) fn push(&mut self, token: u32) {
        if self.speculation == Speculation::Off {
            return;
        }
        if let Some(ngram) = self.tokens.last_chunk() {
            self.ends.insert(*ngram, self.tokens.len());
        }
        self.tokens.push(token);
    }

    /// A guess of up to `max` tokens; empty if there is none, or if guesses cost more time than they save.
    pub(crate) fn propose(&self, max: usize) -> Vec<u32> {
        let paused = self.speculation == Speculation::Auto && self.tokens.len() < self.resume;
        let ngram =
            self.tokens.last_chunk::<NGRAM>().filter(|_| !paused && self.speculation != Speculation::Off);
        let Some(end) = ngram.and_then(|ngram| self.ends.get(ngram)) else { return Vec::new() };
        let mut text = self.tokens[*end..].to_vec();
        // If the text repeats itself at once, the guess repeats it further.
        let period = text.len();
        while text.len() < max.min(MAX_PROPOSED) {
            text.push(text[text.len() - period]);
        }
        text.truncate(max.min(MAX_PROPOSED));
        text
    }

    /// Records that `count` tokens took `seconds` without a guess.
    pub(crate) fn plain(&mut self, count: usize, seconds: f64) {
        if count > 0 {
            let each = seconds / count as f64;
            self.plain = Some(self.plain.map_or(each, |plain| blend(plain, each)));
        }
    }

    /// Records that a guess took `seconds` and gave `count` tokens.
    pub(crate) fn guessed(&mut self, count: usize, seconds: f64) {
        let (time, gain) = match self.guess {
            Some((time, gain)) => (blend(time, seconds), blend(gain, count as f64)),
            None => (seconds, count as f64),
        };
        self.guess = Some((time, gain));
        if self.plain.is_some_and(|plain| time > gain * plain) {
            self.resume = self.tokens.len() + self.pause;
            self.pause = (2 * self.pause).min(PAUSE.1);
            // After the pause the measurement of guesses starts again.
            self.guess = None;
        } else {
            self.pause = PAUSE.0;
        }
    }
}

fn blend(old: f64, new: f64) -> f64 {
    old + NEWEST * (new - old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_that_followed_before_are_proposed() {
        let lookup = Lookup::new(Speculation::On, &[9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3]);
        assert_eq!(lookup.propose(3), [4, 5, 6]);
        assert_eq!(lookup.propose(8), [4, 5, 6, 7, 8, 1, 2, 3]);
        assert!(lookup.propose(0).is_empty());
    }

    #[test]
    fn the_latest_occurrence_counts_and_repetition_goes_on() {
        let lookup = Lookup::new(Speculation::On, &[1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3]);
        assert_eq!(lookup.propose(1), [5]);
        let lookup = Lookup::new(Speculation::On, &[7, 7, 7, 7]);
        assert_eq!(lookup.propose(5), [7; 5]);
    }

    #[test]
    fn nothing_is_proposed_without_a_reason() {
        assert!(Lookup::new(Speculation::On, &[1, 2, 3, 4]).propose(8).is_empty());
        assert!(Lookup::new(Speculation::On, &[1]).propose(8).is_empty());
        assert!(Lookup::new(Speculation::Off, &[7, 7, 7, 7]).propose(8).is_empty());
    }

    /// Pushes as many tokens as the first pause lasts.
    fn pass(lookup: &mut Lookup) {
        for _ in 0..PAUSE.0 {
            lookup.push(7);
        }
    }

    #[test]
    fn guesses_that_cost_time_are_paused_longer_and_longer() {
        let mut lookup = Lookup::new(Speculation::Auto, &[7; 8]);
        lookup.plain(10, 1.0);
        lookup.guessed(8, 0.3);
        assert!(!lookup.propose(8).is_empty());
        lookup.guessed(1, 2.0);
        assert!(lookup.propose(8).is_empty());
        pass(&mut lookup);
        assert!(!lookup.propose(8).is_empty());
        lookup.guessed(1, 2.0);
        pass(&mut lookup);
        assert!(lookup.propose(8).is_empty());
        pass(&mut lookup);
        assert!(!lookup.propose(8).is_empty());
    }
}
