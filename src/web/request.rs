//! What `npm/requests.js` asks for, as the engine's options.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::sampler::SamplerOptions;
use crate::session::GenerateOptions;

/// A chat's messages, a text, or tokens; and how to continue them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    messages: Option<Vec<Value>>,
    #[serde(default)]
    plain: bool,
    prompt: Option<String>,
    tokens: Option<Vec<u32>>,
    options: Options,
}

/// What the request says; what it leaves out is as the checkpoint recommends, or as in OpenAI's API.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    max_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    #[serde(default)]
    logit_bias: HashMap<String, f32>,
    seed: Option<u64>,
    #[serde(default)]
    stop: Vec<String>,
    top_logprobs: Option<usize>,
}

impl Request {
    /// The prompt's tokens and the options of the generation.
    pub(super) fn prepare(self, engine: &Engine) -> Result<(Vec<u32>, GenerateOptions)> {
        let mut options = self.options.over(engine)?;
        let prompt = match (self.messages, self.prompt, self.tokens) {
            (Some(messages), None, None) => {
                let prompt = engine.chat_prompt(&messages, &[], self.plain)?;
                options.stop.extend(prompt.stop);
                prompt.tokens
            }
            (None, Some(text), None) => engine.text_prompt(&text)?,
            (None, None, Some(tokens)) => tokens,
            _ => return Err(Error::request("request", "give one of messages, prompt and tokens")),
        };
        Ok((prompt, options))
    }
}

impl Options {
    fn over(self, engine: &Engine) -> Result<GenerateOptions> {
        let usual = engine.generation_config();
        let none = SamplerOptions::default();
        let logit_bias = self.logit_bias.into_iter().map(|(token, bias)| match token.parse() {
            Ok(token) => Ok((token, bias)),
            Err(_) => Err(Error::request("logit_bias", format!("{token:?} is no token id"))),
        });
        let sampler = SamplerOptions {
            temperature: self.temperature.or(usual.temperature).unwrap_or(1.0),
            top_p: self.top_p.or(usual.top_p).unwrap_or(none.top_p),
            top_k: self.top_k.or(usual.top_k).unwrap_or(none.top_k),
            min_p: self.min_p.or(usual.min_p).unwrap_or(none.min_p),
            repetition_penalty: self
                .repetition_penalty
                .or(usual.repetition_penalty)
                .unwrap_or(none.repetition_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(none.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(none.presence_penalty),
            logit_bias: logit_bias.collect::<Result<_>>()?,
            seed: self.seed.unwrap_or_else(random_seed),
            logprobs: self.top_logprobs,
        };
        Ok(GenerateOptions { sampler, max_tokens: self.max_tokens, stop: self.stop, ignore_eos: false })
    }
}

/// Another text every time, as people expect who name no seed.
fn random_seed() -> u64 {
    // As many bits as a double holds exactly, so that a page could pass it back.
    (js_sys::Math::random() * (1u64 << 53) as f64) as u64
}
