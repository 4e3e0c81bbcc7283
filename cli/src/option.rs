//! Turns the option tables of the library into flags: help texts and parsers.

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use mobilellm::options::{OptionSpec, Values};

/// On, off, or the choice of the engine (`None`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switch(pub(crate) Option<bool>);

/// The help text of an option's flag, in the form of the other flags: without a full stop, and with the default at the end.
pub(crate) fn help(option: &OptionSpec) -> String {
    let about = option.about.trim_end_matches('.');
    let several = if matches!(option.values, Values::Strings) { "; may be given several times" } else { "" };
    match option.default.flag {
        "" => format!("{about}{several}"),
        default => format!("{about}{several} [default: {default}]"),
    }
}

/// Parses a number in an option's range. Other numbers are wrong usage, reported before the model is loaded.
pub(crate) fn number(option: &OptionSpec) -> impl Fn(&str) -> Result<f32, String> + Clone + use<> {
    let range = option.range();
    move |text| match text.parse() {
        Ok(number) if range.contains(number) => Ok(number),
        _ => Err(format!("it must be a number from {} to {}", range.low, range.high)),
    }
}

/// Parses a whole number in an option's range.
pub(crate) fn whole<T: TryFrom<u64>>(option: &OptionSpec) -> RangedU64ValueParser<T> {
    let range = option.range();
    RangedU64ValueParser::new().range(range.low as u64..=range.high as u64)
}

/// Parses one of an option's words.
pub(crate) fn word<T>(option: &OptionSpec) -> impl TypedValueParser<Value = T> + use<T>
where
    T: FromStr<Err = mobilellm::Error> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(option.words()).try_map(|word| word.parse::<T>())
}

/// Parses `auto`, `on` or `off`.
pub(crate) fn switch(option: &OptionSpec) -> impl TypedValueParser<Value = Switch> + use<> {
    PossibleValuesParser::new(option.words()).map(|word| {
        Switch(match word.as_str() {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        })
    })
}
