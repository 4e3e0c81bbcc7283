//! The options of a request.

use super::{DefaultWords, Limits, OptionSpec, UNSAID, Values, both, package, range, same};

/// All options of a request, in the order in which they are listed.
pub const ALL: [&OptionSpec; 14] = [
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

/// Ends the answer after this many tokens.
pub const MAX_TOKENS: OptionSpec = OptionSpec {
    name: "max_tokens",
    // The package keeps to the whole numbers of 31 bits.
    values: Values::Whole(Limits { engine: range(1.0, U32_MAX), package: range(1.0, I32_MAX) }),
    about: "Maximum number of tokens to generate.",
    default: both("until the model ends its text or the context is full"),
};

/// Divides the logits.
pub const TEMPERATURE: OptionSpec = OptionSpec {
    name: "temperature",
    values: Values::Number(same(0.0, 100.0)),
    about: "0 always chooses the most likely token; higher values give more varied text.",
    default: DefaultWords {
        flag: "0; in `mobilellm chat`: the recommendation of the model",
        package: OF_THE_MODEL_OR_1,
    },
};

/// Keeps the most likely tokens until their probabilities reach this sum.
pub const TOP_P: OptionSpec = OptionSpec {
    name: "top_p",
    values: Values::Number(same(0.0, 1.0)),
    about: "Choose from the smallest set of most likely tokens whose probabilities sum to at \
            least this value; 1 is off.",
    default: package(OF_THE_MODEL_OR_1),
};

/// Keeps this many of the most likely tokens.
pub const TOP_K: OptionSpec = OptionSpec {
    name: "top_k",
    // The package keeps to the whole numbers of 31 bits.
    values: Values::Whole(Limits { engine: range(0.0, U32_MAX), package: range(0.0, I32_MAX) }),
    about: "Choose from this many of the most likely tokens; 0 is off.",
    default: package(OF_THE_MODEL_OR_0),
};

/// Keeps tokens by their probability relative to the most likely one.
pub const MIN_P: OptionSpec = OptionSpec {
    name: "min_p",
    values: Values::Number(same(0.0, 1.0)),
    about: "Choose from tokens whose probability is at least this value times \
            that of the most likely token; 0 is off.",
    default: package(OF_THE_MODEL_OR_0),
};

/// Makes choices repeatable.
pub const SEED: OptionSpec = OptionSpec {
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
pub const STOP: OptionSpec = OptionSpec {
    name: "stop",
    values: Values::Strings,
    about: "Stop at this string, which does not become part of the text.",
    default: UNSAID,
};

/// Makes a token less likely, the more often it occurred.
pub const FREQUENCY_PENALTY: OptionSpec = OptionSpec {
    name: "frequency_penalty",
    values: Values::Number(PENALTY),
    about: "Subtract this from a token's logit for each time it was generated; 0 is off.",
    default: package("0"),
};

/// Makes tokens that occurred less likely.
pub const PRESENCE_PENALTY: OptionSpec = OptionSpec {
    name: "presence_penalty",
    values: Values::Number(PENALTY),
    about: "Subtract this from a token's logit once it was generated; 0 is off.",
    default: package("0"),
};

/// Makes tokens that occurred less likely, by a factor.
pub const REPETITION_PENALTY: OptionSpec = OptionSpec {
    name: "repetition_penalty",
    values: Values::Number(same(0.01, 100.0)),
    about: "Make tokens that already occurred less likely; 1 is off.",
    default: package(OF_THE_MODEL_OR_1),
};

/// Changes the logits of single tokens.
pub const LOGIT_BIAS: OptionSpec = OptionSpec {
    name: "logit_bias",
    // The package has OpenAI's range.
    values: Values::ByToken(Limits { engine: range(-1e4, 1e4), package: range(-100.0, 100.0) }),
    about: "Values that are added to the logits of tokens, by token id.",
    default: UNSAID,
};

/// Continues after an end-of-sequence token.
pub const IGNORE_EOS: OptionSpec = OptionSpec {
    name: "ignore_eos",
    values: Values::Boolean,
    about: "Continue after an end-of-sequence token, for measurements.",
    default: both("false"),
};

/// Speculative decoding. Its flag is `--speculate`.
pub const SPECULATION: OptionSpec = OptionSpec {
    name: "speculation",
    values: Values::Word(&["auto", "on", "off"]),
    about: "Speculative decoding: guess several tokens at once where the text repeats itself, and check them. \
            It never changes the output. auto does it while it is faster.",
    default: package("auto"),
};

/// How much work the GPU may receive in advance.
pub const IN_FLIGHT_MS: OptionSpec = OptionSpec {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::session::IN_FLIGHT;
    use crate::generate::speculate::Speculation;

    #[test]
    fn the_words_are_those_of_the_engine() {
        assert!(SPECULATION.words().iter().all(|word| word.parse::<Speculation>().is_ok()));
        assert_eq!(SPECULATION.default.package.parse::<Speculation>().unwrap(), Speculation::default());
    }

    #[test]
    fn the_words_for_a_default_match_the_default() {
        assert_eq!(IN_FLIGHT_MS.default.package, IN_FLIGHT.as_millis().to_string());
    }
}
