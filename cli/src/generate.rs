//! `mobilellm generate`: one prompt or one message, streamed or as one JSON object.

use std::hash::{BuildHasher, RandomState};

use anyhow::Result;
use mobilellm::engine::Engine;
use mobilellm::generate::sampler::SamplerOptions;
use mobilellm::generate::session::{Event, FinishReason, GenerateOptions, Timings, TokenEvent, Usage};
use serde_json::{Value, json};

use crate::flags::Generate;
use crate::output::{line, print};
use crate::sampling::SamplingFlags;
use crate::{load, tools};

pub(crate) fn run(flags: &Generate) -> Result<()> {
    // Errors in this small file are reported before the model is loaded.
    let tools = flags.tools.as_deref().map(tools::read).transpose()?.unwrap_or_default();
    pollster::block_on(async {
        let loaded = load::engine(&flags.model, true).await?;
        let engine = &loaded.engine;
        let mut options = options(&flags.sampling, SamplerOptions::default());
        let prompt = match (&flags.text.prompt, &flags.text.chat) {
            (Some(text), _) => engine.text_prompt(text)?,
            (None, message) => {
                let mut messages = Vec::new();
                if let Some(system) = &flags.system {
                    messages.push(json!({"role": "system", "content": system}));
                }
                messages.push(json!({"role": "user", "content": message}));
                let chat = flags.control_tokens.chat_options(flags.plain);
                let prompt = engine.chat_prompt_with(&messages, &tools, &chat)?;
                if !tools.is_empty() {
                    tools::check_template(engine, &messages, &chat, &prompt)?;
                }
                options.stop.extend(prompt.stop);
                prompt.tokens
            }
        };
        options.sampler.logprobs = flags.logprobs;
        let seed = options.sampler.seed;
        let mut session = engine.session()?;
        let mut generation = session.start(&prompt, options)?;
        if flags.text.prompt.is_none() {
            generation = generation.as_answer();
        }
        let mut answer = Answer::default();
        while let Some(event) = generation.next().await? {
            if let (Event::Token(token), false) = (&event, flags.json) {
                print(&token.text)?;
            }
            answer.take(event);
        }
        if flags.json {
            line(answer.json(engine, loaded.load_ms, seed))?;
        } else {
            print("\n")?;
        }
        Ok(())
    })
}

/// The options that the flags set. The others are those of `usual`; the seed is random.
pub(crate) fn options(flags: &SamplingFlags, usual: SamplerOptions) -> GenerateOptions {
    GenerateOptions {
        sampler: SamplerOptions {
            temperature: flags.temperature.unwrap_or(usual.temperature),
            top_k: flags.top_k.unwrap_or(usual.top_k),
            top_p: flags.top_p.unwrap_or(usual.top_p),
            min_p: flags.min_p.unwrap_or(usual.min_p),
            repetition_penalty: flags.repetition_penalty.unwrap_or(usual.repetition_penalty),
            frequency_penalty: flags.frequency_penalty.unwrap_or(usual.frequency_penalty),
            presence_penalty: flags.presence_penalty.unwrap_or(usual.presence_penalty),
            // 53 bits: every JSON reader keeps them exactly.
            seed: flags.seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 11),
            ..usual
        },
        max_tokens: flags.max_tokens,
        stop: flags.stop.clone(),
        speculation: flags.speculate,
        ..GenerateOptions::default()
    }
}

/// The collected events of a generation.
#[derive(Default)]
struct Answer {
    text: String,
    tokens: Vec<TokenEvent>,
    done: Option<(FinishReason, Usage, Timings)>,
}

impl Answer {
    fn take(&mut self, event: Event) {
        match event {
            Event::Prefill { .. } => {}
            Event::Token(token) => {
                self.text.push_str(&token.text);
                self.tokens.push(token);
            }
            Event::Done { finish_reason, usage, timings } => {
                self.done = Some((finish_reason, usage, timings));
            }
        }
    }

    fn json(&self, engine: &Engine, load_ms: f64, seed: u64) -> Value {
        let mut object = json!({
            "text": self.text,
            "tokens": self.tokens.iter().map(|token| token.token).collect::<Vec<_>>(),
        });
        if let Some((finish_reason, usage, timings)) = self.done {
            object["usage"] = json!(usage);
            object["finish_reason"] = json!(finish_reason);
            object["timings"] = json!({
                "load_ms": load_ms,
                "first_token_ms": timings.first_token_ms,
                "prefill_tokens_per_s": timings.prefill_tokens_per_s,
                "decode_tokens_per_s": timings.decode_tokens_per_s,
            });
        }
        object["seed"] = json!(seed);
        object["model"] = json!(engine.info());
        if self.tokens.iter().any(|token| token.logprob.is_some()) {
            object["logprobs"] = self.tokens.iter().map(|token| logprobs(engine, token)).collect();
        }
        object
    }
}

fn logprobs(engine: &Engine, event: &TokenEvent) -> Value {
    let spelled = |token: u32| engine.tokenizer().ok().and_then(|tokenizer| tokenizer.token(token));
    let alternatives: Vec<Value> = event
        .alternatives
        .iter()
        .map(|a| json!({"id": a.token, "token": spelled(a.token), "logprob": a.logprob}))
        .collect();
    json!({
        "id": event.token,
        "token": spelled(event.token),
        "logprob": event.logprob,
        "top_logprobs": alternatives,
    })
}
