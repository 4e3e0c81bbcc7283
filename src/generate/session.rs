//! Generation: a conversation's caches, and the loop that extends them token by token.
//!
//! The loop is pulled: [`Generation::next`] does one piece of work and returns what came of it. So the caller yields
//! to its event loop between pieces, and cancels by not asking for more; the session stays usable either way.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use web_time::Instant;

use crate::backend::State;
use crate::error::{Error, Result};
use crate::generate::decode::Decoder;
use crate::generate::pace::PrefillPace;
use crate::generate::sampler::{Logprob, Sampled, Sampler, SamplerOptions};
use crate::generate::speculate::Speculation;
use crate::generate::stop::StopStrings;
use crate::tokenizer::{Detokenizer, Tokenizer};

/// What to generate. The default is greedy and goes on until the model ends or the context is full.
#[derive(Debug, Clone, Default)]
pub struct GenerateOptions {
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// Ends the generation after this many tokens; `None` leaves it to the context's size.
    pub max_tokens: Option<usize>,
    /// Texts that end the generation; they are not part of the answer.
    pub stop: Vec<String>,
    /// Goes on after an end-of-sequence token, for measuring.
    pub ignore_eos: bool,
    /// Whether to guess several tokens at once where the text repeats itself. It changes no output.
    pub speculation: Speculation,
    /// How much work a GPU may be given ahead of what was read; `None` is [`IN_FLIGHT`]. A cancel waits for it.
    pub in_flight: Option<Duration>,
}

/// Work that a GPU is given ahead: so little that text flows evenly and a cancel is not felt.
pub const IN_FLIGHT: Duration = Duration::from_millis(30);

/// Why a generation ended, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended its answer, or a stop string came.
    Stop,
    /// `max_tokens` was reached or the context is full.
    Length,
}

/// Tokens counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// In the prompt.
    pub prompt_tokens: usize,
    /// Of them, those whose keys and values were still cached from before.
    pub cached_tokens: usize,
    /// Generated, an end-of-sequence token included.
    pub completion_tokens: usize,
}

/// Wall-clock time of a generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Milliseconds from start to the first token.
    pub first_token_ms: f64,
    /// Milliseconds in which the prompt was run.
    pub prefill_ms: f64,
    /// Prompt tokens run (not cached) a second.
    pub prefill_tokens_per_s: f64,
    /// Tokens a second after the first token.
    pub decode_tokens_per_s: f64,
}

/// What one step brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A piece of the prompt was run.
    Prefill {
        /// Tokens whose keys and values are cached.
        done: usize,
        /// Tokens of the prompt; of the whole text where it runs once more, because it has outgrown the length up to which its
        /// rotary embedding holds.
        total: usize,
    },
    /// A token was chosen.
    Token(TokenEvent),
    /// The generation is over; nothing follows.
    Done {
        /// Why.
        finish_reason: FinishReason,
        /// Tokens counted.
        usage: Usage,
        /// Time taken.
        timings: Timings,
    },
}

/// A chosen token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEvent {
    /// Its id.
    pub token: u32,
    /// The text that is certain by now; often the token's, sometimes empty, sometimes several tokens'.
    pub text: String,
    /// Its log-probability, where asked for.
    pub logprob: Option<f32>,
    /// The likeliest tokens in its place, where asked for.
    pub alternatives: Vec<Logprob>,
}

/// One conversation: its caches, and which tokens are in them.
pub struct Session {
    tokenizer: Rc<Tokenizer>,
    eos_token_ids: Vec<u32>,
    state: State,
    cached: Vec<u32>,
    prefill_pace: PrefillPace,
}

impl Session {
    /// A session over an empty state.
    pub fn new(tokenizer: Rc<Tokenizer>, eos_token_ids: Vec<u32>, state: State) -> Self {
        Self { tokenizer, eos_token_ids, state, cached: Vec::new(), prefill_pace: PrefillPace::default() }
    }

    /// Tokens that the context holds, prompt and answer together.
    pub fn max_context(&self) -> usize {
        self.state.max_positions()
    }

    /// Tokens that the model knows.
    pub fn vocab_size(&self) -> usize {
        self.state.vocab_size()
    }

    /// The tokens whose keys and values are cached.
    pub fn cached_tokens(&self) -> &[u32] {
        &self.cached
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.state.truncate(0);
        self.cached.clear();
    }

    /// Begins an answer to `prompt`. What the prompt shares with the session's past is not run again.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`] for a prompt that leaves no room for an answer; [`Error::Request`] for an empty
    /// prompt or options out of range.
    pub fn start(&mut self, prompt: &[u32], options: GenerateOptions) -> Result<Generation<'_>> {
        let limit = self.state.max_positions();
        if prompt.is_empty() {
            return Err(Error::request("prompt", "it has no tokens; give some text"));
        }
        if prompt.len() >= limit {
            let excess = prompt.len() + 1 - limit;
            return Err(Error::ContextOverflow { prompt: prompt.len(), limit, excess });
        }
        if options.max_tokens == Some(0) {
            return Err(Error::request("max_tokens", "it must be at least 1"));
        }
        let vocab_size = self.state.vocab_size();
        let sampler = Sampler::new(&options.sampler, prompt, vocab_size)?;
        let stop_strings = StopStrings::new(options.stop)?;
        let reused = self.reuse(prompt);
        // Each token but the last generated takes a position.
        let room = limit - prompt.len() + 1;
        let max_tokens = options.max_tokens.map_or(room, |max| max.min(room));
        let decoder = Decoder::new(
            sampler,
            options.speculation,
            vocab_size,
            prompt.split_at(reused),
            max_tokens,
            options.in_flight.unwrap_or(IN_FLIGHT),
        );
        Ok(Generation {
            state: &mut self.state,
            cached: &mut self.cached,
            prefill_pace: &mut self.prefill_pace,
            eos_token_ids: if options.ignore_eos { &[] } else { &self.eos_token_ids },
            detokenizer: Some(self.tokenizer.detokenizer().after(prompt)),
            stop_strings: Some(stop_strings),
            decoder,
            max_tokens,
            finished: None,
            reported: false,
            usage: Usage { prompt_tokens: prompt.len(), cached_tokens: reused, completion_tokens: 0 },
            clock: Clock::start(),
        })
    }

    /// Keeps the longest common prefix of cache and prompt, short of the prompt's last token, whose logits are needed.
    fn reuse(&mut self, prompt: &[u32]) -> usize {
        let common = self.cached.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        self.state.truncate(common.min(prompt.len() - 1));
        // What the state cannot go back to, or would turn by other frequencies, runs again.
        let reused = self.state.expect(prompt.len());
        self.cached.truncate(reused);
        reused
    }
}

/// A generation under way.
pub struct Generation<'a> {
    state: &'a mut State,
    cached: &'a mut Vec<u32>,
    prefill_pace: &'a mut PrefillPace,
    eos_token_ids: &'a [u32],
    /// Until the end, which takes it.
    detokenizer: Option<Detokenizer<'a>>,
    /// Until the end, which takes them.
    stop_strings: Option<StopStrings>,
    decoder: Decoder,
    max_tokens: usize,
    finished: Option<FinishReason>,
    reported: bool,
    usage: Usage,
    clock: Clock,
}

impl Generation<'_> {
    /// Makes the answer a text of its own, as in a conversation: the space before its first word, with which a text
    /// would go on after the prompt, is not part of it. To be called before the first [`Generation::next`].
    #[must_use]
    pub fn as_answer(mut self) -> Self {
        self.detokenizer = self.detokenizer.map(Detokenizer::at_start);
        self
    }

    /// Does the next piece of work; `None` after [`Event::Done`].
    ///
    /// # Errors
    /// Whatever the backend reports. The session's caches then hold what they held before the failed batch.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        if let Some(finish_reason) = self.finished {
            return Ok(self.report(finish_reason));
        }
        if !self.decoder.has_prompt()
            && let Some(sampled) = self.decoder.next(self.state, self.cached).await?
        {
            return Ok(Some(Event::Token(self.accept(sampled))));
        }
        let total = self.cached.len() + self.decoder.prompt_len();
        self.decoder.prefill(self.state, self.cached, self.prefill_pace).await?;
        self.clock.prefilled();
        Ok(Some(Event::Prefill { done: self.cached.len(), total }))
    }

    fn accept(&mut self, sampled: Sampled) -> TokenEvent {
        let Sampled { token, logprob, alternatives } = sampled;
        self.usage.completion_tokens += 1;
        self.clock.token();
        let ended = self.eos_token_ids.contains(&token);
        let mut text = String::new();
        if !ended
            && let Some(piece) = self.detokenizer.as_mut().and_then(|detokenizer| detokenizer.push(token))
        {
            self.emit(&piece, &mut text);
        }
        if ended {
            self.finished = Some(FinishReason::Stop);
        } else if self.finished.is_none() && self.usage.completion_tokens >= self.max_tokens {
            self.finished = Some(FinishReason::Length);
        }
        if self.finished.is_some() {
            self.flush(&mut text);
        }
        TokenEvent { token, text, logprob, alternatives }
    }

    /// Passes text through the stop strings.
    fn emit(&mut self, piece: &str, text: &mut String) {
        let Some(watched) = self.stop_strings.as_mut().map(|stops| stops.push(piece)) else { return };
        text.push_str(&watched.emit);
        if watched.stopped.is_some() {
            self.finished = Some(FinishReason::Stop);
        }
    }

    /// At the end: what was held back as half a character, or as the beginning of a stop string, is text after all.
    fn flush(&mut self, text: &mut String) {
        if let Some(piece) = self.detokenizer.take().and_then(Detokenizer::finish) {
            self.emit(&piece, text);
        }
        if let Some(stops) = self.stop_strings.take() {
            text.push_str(&stops.finish());
        }
    }

    fn report(&mut self, finish_reason: FinishReason) -> Option<Event> {
        if std::mem::replace(&mut self.reported, true) {
            return None;
        }
        Some(Event::Done { finish_reason, usage: self.usage, timings: self.clock.timings(self.usage) })
    }
}

/// When what happened.
struct Clock {
    start: Instant,
    prefilled: Instant,
    first_token: Option<Instant>,
    last_token: Instant,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { start: now, prefilled: now, first_token: None, last_token: now }
    }

    fn prefilled(&mut self) {
        // Where a text runs once more while it is written, that is part of the writing.
        if self.first_token.is_none() {
            self.prefilled = Instant::now();
        }
    }

    fn token(&mut self) {
        self.last_token = Instant::now();
        self.first_token.get_or_insert(self.last_token);
    }

    fn timings(&self, usage: Usage) -> Timings {
        let first_token = self.first_token.unwrap_or(self.prefilled);
        let prefill = (self.prefilled - self.start).as_secs_f64();
        let decode = (self.last_token - first_token).as_secs_f64();
        let rate = |tokens: usize, seconds: f64| if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
        Timings {
            first_token_ms: (first_token - self.start).as_secs_f64() * 1e3,
            prefill_ms: prefill * 1e3,
            prefill_tokens_per_s: rate(usage.prompt_tokens - usage.cached_tokens, prefill),
            decode_tokens_per_s: rate(usage.completion_tokens.saturating_sub(1), decode),
        }
    }
}
