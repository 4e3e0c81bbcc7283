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
        let number = |field: &str, Range { low, high }: Range| match fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) if (low..=high).contains(&number) => Ok(Some(number)),
                _ => Err(Error::invalid(FILE, field, format!("{value} is not from {low} to {high}"), REMEDY)),
            },
        };
        let usual = |option: &OptionSpec| number(option.name, option.range());
        let eos_token_ids = match fields.get("eos_token_id").filter(|value| !value.is_null()) {
            None => config.eos_token_ids.clone(),
            Some(value) => token_ids(value).ok_or_else(|| {
                Error::invalid(FILE, "eos_token_id", "it must be a token id or a list of them", REMEDY)
            })?,
        };
        Ok(Self {
            eos_token_ids,
            do_sample: fields.get("do_sample").and_then(Value::as_bool).unwrap_or(false),
            temperature: usual(&request::TEMPERATURE)?,
            top_k: number("top_k", Range { low: 0.0, high: 1e9 })?.map(|k| k as usize),
            top_p: usual(&request::TOP_P)?,
            min_p: usual(&request::MIN_P)?,
            repetition_penalty: usual(&request::REPETITION_PENALTY)?,
        })
    }
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
    fn it_overrides_the_config_and_does_without() {
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
    fn absurd_values_are_named() {
        for (json, field) in [
            (&br#"{"temperature":-1}"#[..], "temperature"),
            (br#"{"top_p":"much"}"#, "top_p"),
            (br#"{"eos_token_id":"</s>"}"#, "eos_token_id"),
            (b"[]", "top level"),
            (b"{", "JSON"),
        ] {
            let error = GenerationConfig::parse(Some(json), &config()).unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains(field), "{error}");
        }
    }
}
