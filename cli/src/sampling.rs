//! The flags for sampling. Ranges and help texts come from the option tables of the library.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use mobilellm::generate::speculate::Speculation;
use mobilellm::options::request::{
    FREQUENCY_PENALTY, MAX_TOKENS, MIN_P, PRESENCE_PENALTY, REPETITION_PENALTY, SEED, SPECULATION, STOP,
    TEMPERATURE, TOP_K, TOP_P,
};

use crate::option::{help, number, whole, word};

/// How tokens are chosen.
#[derive(Args)]
pub(crate) struct SamplingFlags {
    #[arg(long, value_name = "N", help = help(&MAX_TOKENS), value_parser = whole::<usize>(&MAX_TOKENS))]
    pub(crate) max_tokens: Option<usize>,
    #[arg(long, value_name = "T", help = help(&TEMPERATURE), value_parser = number(&TEMPERATURE),
        allow_negative_numbers = true)]
    pub(crate) temperature: Option<f32>,
    #[arg(long, value_name = "P", help = help(&TOP_P), value_parser = number(&TOP_P),
        allow_negative_numbers = true)]
    pub(crate) top_p: Option<f32>,
    #[arg(long, value_name = "K", help = help(&TOP_K), value_parser = whole::<usize>(&TOP_K))]
    pub(crate) top_k: Option<usize>,
    #[arg(long, value_name = "P", help = help(&MIN_P), value_parser = number(&MIN_P),
        allow_negative_numbers = true)]
    pub(crate) min_p: Option<f32>,
    #[arg(long, value_name = "R", help = help(&REPETITION_PENALTY), value_parser = number(&REPETITION_PENALTY),
        allow_negative_numbers = true)]
    pub(crate) repetition_penalty: Option<f32>,
    #[arg(long, value_name = "F", help = help(&FREQUENCY_PENALTY), value_parser = number(&FREQUENCY_PENALTY),
        allow_negative_numbers = true)]
    pub(crate) frequency_penalty: Option<f32>,
    #[arg(long, value_name = "F", help = help(&PRESENCE_PENALTY), value_parser = number(&PRESENCE_PENALTY),
        allow_negative_numbers = true)]
    pub(crate) presence_penalty: Option<f32>,
    #[arg(long, value_name = "S", help = help(&SEED), value_parser = whole::<u64>(&SEED))]
    pub(crate) seed: Option<u64>,
    #[arg(long, value_name = "STR", help = help(&STOP), value_parser = NonEmptyStringValueParser::new(),
        allow_hyphen_values = true)]
    pub(crate) stop: Vec<String>,
    #[arg(long, value_name = "WHEN", help = help(&SPECULATION), value_parser = word::<Speculation>(&SPECULATION),
        default_value = "auto")]
    pub(crate) speculate: Speculation,
}
