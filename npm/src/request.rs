//! What `npm/js/requests.js` asks for, as the engine's options.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use mobilellm::engine::Engine;
use mobilellm::generate::sampler::SamplerOptions;
use mobilellm::generate::session::GenerateOptions;
use mobilellm::generate::speculate::Speculation;
use mobilellm::tokenizer::{ChatFormat, ChatOptions, ControlTokens};
use mobilellm::{Error, Result};

/// A chat's messages, a text, or tokens; and how to continue them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    messages: Option<Vec<Value>>,
    #[serde(default)]
    plain: bool,
    /// Control tokens count in the messages, too.
    #[serde(default)]
    trusted: bool,
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
    #[serde(default)]
    ignore_eos: bool,
    speculation: Option<String>,
    in_flight_ms: Option<f64>,
}

/// A request ready to run.
pub(super) struct Prepared {
    pub(super) prompt: Vec<u32>,
    pub(super) options: GenerateOptions,
    /// The answer is a text of its own, not the continuation of one.
    pub(super) is_chat: bool,
}

impl Request {
    /// What to run, and how.
    pub(super) fn prepare(self, engine: &Engine) -> Result<Prepared> {
        let mut options = self.options.over(engine)?;
        let is_chat = self.messages.is_some();
        let prompt = match (self.messages, self.prompt, self.tokens) {
            (Some(messages), None, None) => {
                let chat = ChatOptions {
                    format: if self.plain { ChatFormat::Plain } else { ChatFormat::Template },
                    control_tokens: if self.trusted {
                        ControlTokens::Anywhere
                    } else {
                        ControlTokens::OfTemplate
                    },
                    ..ChatOptions::default()
                };
                let prompt = engine.chat_prompt_with(&messages, &[], &chat)?;
                options.stop.extend(prompt.stop);
                prompt.tokens
            }
            (None, Some(text), None) => engine.text_prompt(&text)?,
            (None, None, Some(tokens)) => tokens,
            _ => return Err(Error::request("request", "give one of messages, prompt and tokens")),
        };
        Ok(Prepared { prompt, options, is_chat })
    }
}

impl Options {
    fn over(self, engine: &Engine) -> Result<GenerateOptions> {
        let openai = SamplerOptions { temperature: 1.0, ..SamplerOptions::default() };
        let usual = engine.generation_config().sampler(openai);
        let logit_bias = self.logit_bias.into_iter().map(|(token, bias)| match token.parse() {
            Ok(token) => Ok((token, bias)),
            Err(_) => Err(Error::request("logit_bias", format!("{token:?} is not a token id"))),
        });
        let sampler = SamplerOptions {
            temperature: self.temperature.unwrap_or(usual.temperature),
            top_p: self.top_p.unwrap_or(usual.top_p),
            top_k: self.top_k.unwrap_or(usual.top_k),
            min_p: self.min_p.unwrap_or(usual.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(usual.repetition_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(usual.frequency_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(usual.presence_penalty),
            logit_bias: logit_bias.collect::<Result<_>>()?,
            seed: self.seed.unwrap_or_else(random_seed),
            logprobs: self.top_logprobs,
        };
        let speculation = self.speculation.as_deref().map(str::parse::<Speculation>).transpose()?;
        let in_flight = self.in_flight_ms.map(|ms| Duration::try_from_secs_f64(ms / 1e3));
        let in_flight =
            in_flight.transpose().map_err(|error| Error::request("in_flight_ms", error.to_string()))?;
        Ok(GenerateOptions {
            sampler,
            ignore_eos: self.ignore_eos,
            speculation: speculation.unwrap_or_default(),
            in_flight,
            max_tokens: self.max_tokens,
            stop: self.stop,
        })
    }
}

/// Another text every time, as people expect who name no seed.
fn random_seed() -> u64 {
    // As many bits as a double holds exactly, so that a page could pass it back.
    (js_sys::Math::random() * (1u64 << 53) as f64) as u64
}
