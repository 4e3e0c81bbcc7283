//! The flags that say how tokens are chosen. Ranges and help texts come from the library's table of request options.

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, RangedU64ValueParser};
use mobilellm::generate::options::{
    FREQUENCY_PENALTY, MAX_TOKENS, MIN_P, PRESENCE_PENALTY, REPETITION_PENALTY, RequestOption, SEED,
    SPECULATION, STOP, TEMPERATURE, TOP_K, TOP_P, Values,
};
use mobilellm::generate::speculate::Speculation;

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
    #[arg(long, value_name = "WHEN", help = help(&SPECULATION), value_parser = word(&SPECULATION),
        default_value = "auto")]
    speculate: String,
}

impl SamplingFlags {
    /// Whether to guess tokens.
    pub(crate) fn speculation(&self) -> Speculation {
        Speculation::from_name(&self.speculate).unwrap_or_default()
    }
}

/// The help text of an option's flag, in the form of the other flags: without a full stop, and with the default at the end.
fn help(option: &RequestOption) -> String {
    let about = option.about.trim_end_matches('.');
    let several = if matches!(option.values, Values::Strings) { "; may be given several times" } else { "" };
    match option.default.flag {
        "" => format!("{about}{several}"),
        default => format!("{about}{several} [default: {default}]"),
    }
}

/// Parses a number in an option's range. Other numbers are wrong usage, reported before the model is loaded.
fn number(option: &RequestOption) -> impl Fn(&str) -> Result<f32, String> + Clone + use<> {
    let range = option.range();
    move |text| match text.parse() {
        Ok(number) if range.contains(number) => Ok(number),
        _ => Err(format!("it must be a number from {} to {}", range.low, range.high)),
    }
}

/// Parses a whole number in an option's range.
fn whole<T: TryFrom<u64>>(option: &RequestOption) -> RangedU64ValueParser<T> {
    let range = option.range();
    RangedU64ValueParser::new().range(range.low as u64..=range.high as u64)
}

/// Parses one of an option's words.
fn word(option: &RequestOption) -> PossibleValuesParser {
    PossibleValuesParser::new(option.words())
}
