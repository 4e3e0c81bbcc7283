//! The options of a request: name, values, explanation and default of each, once for all surfaces.
//!
//! The checks in Rust and the flags of the command line read this table. `cargo xtask options` writes `npm/js/options.js` and
//! a part of `npm/js/index.d.ts` from it, and `tests/options/` fails if they differ from it.

use crate::error::{Error, Result};

/// An option of a request.
#[derive(Debug)]
pub struct RequestOption {
    /// Its name in a request. Its flag has hyphens in place of the underscores.
    pub name: &'static str,
    /// What it may be.
    pub values: Values,
    /// What it does, in sentences for the reader of a manual.
    pub about: &'static str,
    /// What holds if it is not given.
    pub default: DefaultWords,
}

/// What an option may be.
#[derive(Debug)]
pub enum Values {
    /// A number.
    Number(Limits),
    /// A whole number.
    Whole(Limits),
    /// True or false.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Strings that are not empty.
    Strings,
    /// Numbers by token id.
    ByToken(Limits),
}

/// The ranges of an option, where the surfaces differ.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In Rust and on the command line.
    pub engine: Range,
    /// In the npm package.
    pub package: Range,
}

/// Numbers from `low` to `high`, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

/// A default in words; empty where `about` or the flag itself says it.
#[derive(Debug, Clone, Copy)]
pub struct DefaultWords {
    /// Of the flag.
    pub flag: &'static str,
    /// In the npm package.
    pub package: &'static str,
}

/// All options of a request, in the order in which they are listed.
pub const ALL: [&RequestOption; 14] = [
    &MAX_TOKENS,
    &TEMPERATURE,
    &TOP_P,
    &TOP_K,
    &MIN_P,
    &SEED,
    &STOP,
    &FREQUENCY_PENALTY,
    &PRESENCE_PENALTY,
    &REPETITION_PENALTY,
    &LOGIT_BIAS,
    &IGNORE_EOS,
    &SPECULATION,
    &IN_FLIGHT_MS,
];

/// Ends the answer after so many tokens.
pub const MAX_TOKENS: RequestOption = RequestOption {
    name: "max_tokens",
    // The package keeps to the whole numbers of 31 bits.
    values: Values::Whole(Limits { engine: range(1.0, U32_MAX), package: range(1.0, I32_MAX) }),
    about: "Maximum number of tokens to generate.",
    default: both("until the model ends its text or the context is full"),
};

/// Divides the logits.
pub const TEMPERATURE: RequestOption = RequestOption {
    name: "temperature",
    values: Values::Number(same(0.0, 100.0)),
    about: "0 always chooses the most likely token; higher values give more varied text.",
    default: DefaultWords {
        flag: "0; in `mobilellm chat`: the recommendation of the model",
        package: OF_THE_MODEL_OR_1,
    },
};

/// Keeps the most likely tokens up to a probability.
pub const TOP_P: RequestOption = RequestOption {
    name: "top_p",
    values: Values::Number(same(0.0, 1.0)),
    about: "Choose from the smallest set of most likely tokens whose probabilities sum to at \
            least this value; 1 is off.",
    default: package(OF_THE_MODEL_OR_1),
};

/// Keeps a number of the most likely tokens.
pub const TOP_K: RequestOption = RequestOption {
    name: "top_k",
    // The package keeps to the whole numbers of 31 bits.
    values: Values::Whole(Limits { engine: range(0.0, U32_MAX), package: range(0.0, I32_MAX) }),
    about: "Choose from this many of the most likely tokens; 0 is off.",
    default: package(OF_THE_MODEL_OR_0),
};

/// Keeps tokens by their probability relative to the most likely one.
pub const MIN_P: RequestOption = RequestOption {
    name: "min_p",
    values: Values::Number(same(0.0, 1.0)),
    about: "Choose from tokens whose probability is at least this value times \
            that of the most likely token; 0 is off.",
    default: package(OF_THE_MODEL_OR_0),
};

/// Makes choices repeatable.
pub const SEED: RequestOption = RequestOption {
    name: "seed",
    // JavaScript's numbers are exact up to 53 bits.
    values: Values::Whole(Limits {
        engine: range(0.0, u64::MAX as f64),
        package: range(0.0, ((1u64 << 53) - 1) as f64),
    }),
    about: "Random seed; the same seed gives the same text on the same backend.",
    default: both("a new seed every time"),
};

/// Ends the answer at a text.
pub const STOP: RequestOption = RequestOption {
    name: "stop",
    values: Values::Strings,
    about: "Stop at this string, which does not become part of the text.",
    default: UNSAID,
};

/// Makes tokens less likely by how often they occurred.
pub const FREQUENCY_PENALTY: RequestOption = RequestOption {
    name: "frequency_penalty",
    values: Values::Number(PENALTY),
    about: "Subtract this from a token's logit for each time it was generated; 0 is off.",
    default: package("0"),
};

/// Makes tokens that occurred less likely.
pub const PRESENCE_PENALTY: RequestOption = RequestOption {
    name: "presence_penalty",
    values: Values::Number(PENALTY),
    about: "Subtract this from a token's logit once it was generated; 0 is off.",
    default: package("0"),
};

/// Makes tokens that occurred less likely, as a factor.
pub const REPETITION_PENALTY: RequestOption = RequestOption {
    name: "repetition_penalty",
    values: Values::Number(same(0.01, 100.0)),
    about: "Make tokens that already occurred less likely; 1 is off.",
    default: package(OF_THE_MODEL_OR_1),
};

/// Changes the logits of single tokens.
pub const LOGIT_BIAS: RequestOption = RequestOption {
    name: "logit_bias",
    // The package has OpenAI's range.
    values: Values::ByToken(Limits { engine: range(-1e4, 1e4), package: range(-100.0, 100.0) }),
    about: "Values that are added to the logits of tokens, by token id.",
    default: UNSAID,
};

/// Goes on where the model would end.
pub const IGNORE_EOS: RequestOption = RequestOption {
    name: "ignore_eos",
    values: Values::Boolean,
    about: "Continue after an end-of-sequence token, for measurements.",
    default: both("false"),
};

/// Guesses tokens. Its flag is `--speculate`.
pub const SPECULATION: RequestOption = RequestOption {
    name: "speculation",
    values: Values::Word(&["auto", "on", "off"]),
    about: "Speculative decoding: guess several tokens at once where the text repeats itself, and check them. \
            It never changes the output. auto does it while it is faster.",
    default: package("auto"),
};

/// Work that a GPU is given ahead.
pub const IN_FLIGHT_MS: RequestOption = RequestOption {
    name: "in_flight_ms",
    // In Rust it is a `Duration`, of any length.
    values: Values::Number(Limits { engine: range(0.0, f64::INFINITY), package: range(0.0, 60_000.0) }),
    about: "Milliseconds of work that the GPU may receive in advance. A cancel waits for this work.",
    default: both("30"),
};

/// The package has OpenAI's range.
const PENALTY: Limits = Limits { engine: range(-100.0, 100.0), package: range(-2.0, 2.0) };

const U32_MAX: f64 = u32::MAX as f64;
const I32_MAX: f64 = i32::MAX as f64;

const OF_THE_MODEL_OR_0: &str = "the recommendation of the model, or 0";
const OF_THE_MODEL_OR_1: &str = "the recommendation of the model, or 1";

const UNSAID: DefaultWords = both("");

const fn range(low: f64, high: f64) -> Range {
    Range { low, high }
}

/// The same range on every surface.
const fn same(low: f64, high: f64) -> Limits {
    Limits { engine: range(low, high), package: range(low, high) }
}

/// The same words on every surface.
const fn both(words: &'static str) -> DefaultWords {
    DefaultWords { flag: words, package: words }
}

/// Words for the package alone.
const fn package(words: &'static str) -> DefaultWords {
    DefaultWords { flag: "", package: words }
}

impl RequestOption {
    /// The range in Rust and on the command line. Values that are no numbers have an endless one.
    pub const fn range(&self) -> Range {
        match &self.values {
            Values::Number(limits) | Values::Whole(limits) | Values::ByToken(limits) => limits.engine,
            Values::Boolean | Values::Word(_) | Values::Strings => range(f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The words that it may be; none where it is no word.
    pub const fn words(&self) -> &'static [&'static str] {
        match self.values {
            Values::Word(words) => words,
            _ => &[],
        }
    }

    /// # Errors
    /// [`Error::Request`] that names the option and its range.
    pub fn check(&self, value: f32) -> Result<()> {
        self.range().check(self.name, value)
    }
}

impl Range {
    /// Whether a number lies in it. NaN does not.
    pub fn contains(self, value: f32) -> bool {
        (self.low as f32..=self.high as f32).contains(&value)
    }

    /// # Errors
    /// [`Error::Request`] that names `field` and the range.
    pub fn check(self, field: &str, value: f32) -> Result<()> {
        if self.contains(value) {
            return Ok(());
        }
        Err(Error::request(field, format!("{value} is not a number from {} to {}", self.low, self.high)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::session::IN_FLIGHT;
    use crate::generate::speculate::Speculation;

    #[test]
    fn the_ends_of_a_range_belong_to_it_and_nan_does_not() {
        assert!(REPETITION_PENALTY.check(0.01).is_ok() && REPETITION_PENALTY.check(100.0).is_ok());
        let error = REPETITION_PENALTY.check(f32::NAN).unwrap_err().to_string();
        assert!(error.contains("repetition_penalty: NaN is not a number from 0.01 to 100"), "{error}");
    }

    #[test]
    fn the_words_are_those_that_the_engine_knows() {
        assert!(SPECULATION.words().iter().all(|word| Speculation::from_name(word).is_some()));
        assert_eq!(Speculation::from_name(SPECULATION.default.package), Some(Speculation::default()));
    }

    #[test]
    fn the_words_for_a_default_say_the_default() {
        assert_eq!(IN_FLIGHT_MS.default.package, IN_FLIGHT.as_millis().to_string());
    }
}
