//! The options of all surfaces - Rust, the command line, the npm package - as tables: name, values, explanation and default.
//!
//! The checks in Rust and the flags of the command line read these tables. `cargo xtask options` writes `npm/js/options.js` and
//! parts of `npm/js/index.d.ts` from them, and `tests/options/` fails if they differ from the tables.

pub mod load;
pub mod request;

use crate::error::{Error, Result};

/// An option.
#[derive(Debug)]
pub struct OptionSpec {
    /// Its name: words separated by underscores. Flags have hyphens instead.
    pub name: &'static str,
    /// Which values are valid.
    pub values: Values,
    /// What it does, in sentences for a manual.
    pub about: &'static str,
    /// What applies if the option is not given.
    pub default: DefaultWords,
}

/// The type and the valid values of an option.
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
    /// On, off, or the choice of the engine: `auto`, `on` or `off` on the command line; true, false or undefined in the
    /// npm package.
    Switch,
    /// Strings that are not empty.
    Strings,
    /// Numbers by token id.
    ByToken(Limits),
}

/// The ranges of an option. They may differ between the surfaces.
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

/// A default in words; empty if `about` or the flag itself says it.
#[derive(Debug, Clone, Copy)]
pub struct DefaultWords {
    /// For the flag.
    pub flag: &'static str,
    /// For the npm package.
    pub package: &'static str,
}

/// No words.
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

/// Words for the npm package only.
const fn package(words: &'static str) -> DefaultWords {
    DefaultWords { flag: "", package: words }
}

impl OptionSpec {
    /// The range in Rust and on the command line. For values that are not numbers, it is infinite.
    pub const fn range(&self) -> Range {
        match &self.values {
            Values::Number(limits) | Values::Whole(limits) | Values::ByToken(limits) => limits.engine,
            Values::Boolean | Values::Word(_) | Values::Switch | Values::Strings => {
                range(f64::NEG_INFINITY, f64::INFINITY)
            }
        }
    }

    /// The valid words; none if the option is not a word.
    pub const fn words(&self) -> &'static [&'static str] {
        match self.values {
            Values::Word(words) => words,
            Values::Switch => &["auto", "on", "off"],
            _ => &[],
        }
    }

    /// The error for a word that is not valid.
    pub fn not_a_word(&self, word: &str) -> Error {
        Error::request(self.name, format!("it must be one of {}, not {word:?}", self.words().join(", ")))
    }

    /// # Errors
    /// [`Error::Request`] that names the option and its range.
    pub fn check(&self, value: f32) -> Result<()> {
        self.range().check(self.name, value)
    }
}

impl Range {
    /// Whether a number lies in the range. NaN does not.
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
    use super::request::REPETITION_PENALTY;

    #[test]
    fn the_ends_of_a_range_belong_to_it_and_nan_does_not() {
        assert!(REPETITION_PENALTY.check(0.01).is_ok() && REPETITION_PENALTY.check(100.0).is_ok());
        let error = REPETITION_PENALTY.check(f32::NAN).unwrap_err().to_string();
        assert!(error.contains("repetition_penalty: NaN is not a number from 0.01 to 100"), "{error}");
    }
}
