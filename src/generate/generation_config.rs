//! Generation settings that a checkpoint recommends: those of `generation_config.json`, otherwise those of
//! `config.json`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::generate::sampler::SamplerOptions;
use crate::model::config::{Config, token_ids};
use crate::options::{OptionSpec, Range, request};

/// The name of the file, also in errors.
pub const FILE: &str = "generation_config.json";

const REMEDY: &str = "Download the file again, or delete it";

/// The remedy for a wrong value: another download would have the same value.
const VALUE_REMEDY: &str = "Correct the value in the file, or remove the field";

/// Tokens that end a generation, and the sampling options that the authors of the checkpoint recommend.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GenerationConfig {
    /// Each of these tokens ends an answer.
    pub eos_token_ids: Vec<u32>,
    /// Whether sampling is recommended; otherwise greedy.
    pub do_sample: bool,
    /// Recommended temperature.
    pub temperature: Option<f64>,
    /// Recommended top-k.
    pub top_k: Option<usize>,
    /// Recommended top-p.
    pub top_p: Option<f64>,
    /// Recommended min-p.
    pub min_p: Option<f64>,
    /// Recommended repetition penalty.
    pub repetition_penalty: Option<f64>,
}

impl GenerationConfig {
    /// Reads and checks the file. Without the file, only the end-of-sequence tokens of `config.json` are known.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field.
    pub fn parse(json: Option<&[u8]>, config: &Config) -> Result<Self> {
        let fields = match json.map(serde_json::from_slice).transpose() {
            Ok(None) => Map::new(),
            Ok(Some(Value::Object(fields))) => fields,
            Ok(Some(_)) => return Err(Error::invalid(FILE, "top level", "it is not a JSON object", REMEDY)),
            Err(error) => return Err(Error::invalid(FILE, "JSON", error, REMEDY)),
        };
        let fields = Recommended(fields);
        let eos_token_ids = match fields.0.get("eos_token_id") {
            None => Vec::new(),
            Some(value) => token_ids(value).ok_or_else(|| {
                wrong("eos_token_id", format!("{value} is not a token id or a list of them"))
            })?,
        };
        let usual = |option: &OptionSpec, off: &[f64]| fields.number(option.name, option.range(), off);
        Ok(Self {
            // An empty list means that the file does not name the tokens.
            eos_token_ids: if eos_token_ids.is_empty() {
                config.eos_token_ids.clone()
            } else {
                eos_token_ids
            },
            do_sample: fields.flag("do_sample")?,
            temperature: usual(&request::TEMPERATURE, &[])?,
            top_k: match fields.number("top_k", Range { low: -1.0, high: 1e9 }, &[])? {
                Some(k) if k.fract() != 0.0 => {
                    return Err(wrong("top_k", format!("{k} is not a whole number")));
                }
                k => k.map(|k| k.max(0.0) as usize),
            },
            top_p: usual(&request::TOP_P, &[-1.0])?,
            min_p: usual(&request::MIN_P, &[-1.0])?,
            repetition_penalty: usual(&request::REPETITION_PENALTY, &[-1.0, 0.0])?,
        })
    }
}

/// The fields of the file.
struct Recommended(Map<String, Value>);

impl Recommended {
    /// A number, if the file has one. `off` has the values with which authors switch the option off.
    fn number(&self, field: &str, Range { low, high }: Range, off: &[f64]) -> Result<Option<f64>> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) if off.contains(&number) => Ok(None),
                Some(number) if (low..=high).contains(&number) => Ok(Some(number)),
                _ => Err(wrong(field, format!("{value} is not from {low} to {high}"))),
            },
        }
    }

    fn flag(&self, field: &str) -> Result<bool> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(value) => {
                value.as_bool().ok_or_else(|| wrong(field, format!("{value} is not true or false")))
            }
        }
    }
}

fn wrong(field: &str, problem: String) -> Error {
    Error::invalid(FILE, field, problem, VALUE_REMEDY)
}

impl GenerationConfig {
    /// The recommended sampling options; `otherwise` if the checkpoint recommends none.
    ///
    /// If it recommends some, all other options are off, because a recommendation is meant as a whole.
    pub fn sampler(&self, otherwise: SamplerOptions) -> SamplerOptions {
        if !self.recommends_sampling() {
            return otherwise;
        }
        let off = SamplerOptions::default();
        let number = |field: Option<f64>, off: f32| field.map_or(off, |number| number as f32);
        SamplerOptions {
            temperature: number(self.temperature, 1.0),
            top_k: self.top_k.unwrap_or(off.top_k),
            top_p: number(self.top_p, off.top_p),
            min_p: number(self.min_p, off.min_p),
            repetition_penalty: number(self.repetition_penalty, off.repetition_penalty),
            ..otherwise
        }
    }

    fn recommends_sampling(&self) -> bool {
        let filters = [self.temperature, self.top_p, self.min_p, self.repetition_penalty];
        self.do_sample || self.top_k.is_some() || filters.iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let json = br#"{"hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,"num_attention_heads":1,
            "vocab_size":8,"eos_token_id":2}"#;
        Config::parse(json).unwrap()
    }

    #[test]
    fn the_file_overrides_the_config_and_may_be_absent() {
        assert_eq!(GenerationConfig::parse(None, &config()).unwrap().eos_token_ids, [2]);
        let json = br#"{"eos_token_id":[3,4],"do_sample":true,"temperature":0.7,"top_k":40,"top_p":null}"#;
        let parsed = GenerationConfig::parse(Some(json), &config()).unwrap();
        assert_eq!(
            (parsed.eos_token_ids.as_slice(), parsed.top_k, parsed.top_p),
            (&[3, 4][..], Some(40), None)
        );
        assert!(parsed.do_sample);
    }

    #[test]
    fn a_recommendation_is_taken_as_a_whole() {
        let otherwise =
            SamplerOptions { temperature: 0.7, min_p: 0.05, seed: 3, ..SamplerOptions::default() };
        let sampler =
            |json: &[u8]| GenerationConfig::parse(Some(json), &config()).unwrap().sampler(otherwise.clone());
        assert_eq!(sampler(br#"{"max_new_tokens":9}"#), otherwise);
        let recommended = sampler(br#"{"temperature":0.2,"top_p":0.9}"#);
        assert_eq!((recommended.temperature, recommended.top_p), (0.2, 0.9));
        assert_eq!((recommended.min_p, recommended.seed), (0.0, 3));
        assert_eq!(sampler(br#"{"do_sample":true}"#).temperature, 1.0);
    }

    #[test]
    fn minus_one_and_zero_are_none_as_people_write_them() {
        let parse = |json: &str| GenerationConfig::parse(Some(json.as_bytes()), &config()).unwrap();
        for (json, ends) in [
            (r#"{"eos_token_id":-1}"#, &[2][..]),
            (r#"{"eos_token_id":[-1]}"#, &[2]),
            (r#"{"eos_token_id":null}"#, &[2]),
            (r#"{"eos_token_id":[]}"#, &[2]),
            (r#"{"eos_token_id":[4,-1]}"#, &[4]),
            (r#"{"eos_token_id":0,"bos_token_id":-1,"pad_token_id":-1}"#, &[0]),
        ] {
            assert_eq!(parse(json).eos_token_ids, ends, "{json}");
        }
        let off = parse(r#"{"top_k":-1,"top_p":-1,"min_p":-1,"repetition_penalty":0}"#);
        assert_eq!((off.top_k, off.top_p, off.min_p, off.repetition_penalty), (Some(0), None, None, None));
        assert_eq!(off.sampler(SamplerOptions::default()).top_k, 0);
        assert_eq!(parse(r#"{"repetition_penalty":-1}"#).repetition_penalty, None);
        assert_eq!(parse(r#"{"top_k":0,"temperature":0}"#).temperature, Some(0.0));
    }

    #[test]
    fn invalid_values_are_named() {
        for (json, field) in [
            (&br#"{"temperature":-1}"#[..], "temperature"),
            (br#"{"top_p":"much"}"#, "top_p"),
            (br#"{"top_p":1.5}"#, "top_p"),
            (br#"{"top_k":2.5}"#, "top_k"),
            (br#"{"top_k":-2}"#, "top_k"),
            (br#"{"top_k":"fifty"}"#, "top_k"),
            (br#"{"do_sample":"yes"}"#, "do_sample"),
            (br#"{"eos_token_id":"</s>"}"#, "eos_token_id"),
            (br#"{"eos_token_id":-2}"#, "eos_token_id"),
            (br#"{"eos_token_id":[2.5]}"#, "eos_token_id"),
            (b"[]", "top level"),
            (b"{", "JSON"),
        ] {
            let error = GenerationConfig::parse(Some(json), &config()).unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains(field), "{error}");
        }
    }
}
