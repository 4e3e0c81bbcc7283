//! `mobilellm chat`: a conversation in the terminal. The key/value cache is kept between messages.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use mobilellm::engine::Engine;
use mobilellm::generate::sampler::SamplerOptions;
use mobilellm::generate::session::{Event, FinishReason, Session};
use rustyline::error::ReadlineError;
use serde_json::{Value, json};

use crate::flags::Chat;
use crate::generate::options;
use crate::load;
use crate::output::{line, print};

const HELP: &str = "Type a message and press Enter. Ctrl-C stops an answer; Ctrl-D or /exit ends the program.
/clear deletes the conversation, /system TEXT sets the system prompt, /retry repeats the last answer, /help shows this text.";

pub(crate) fn run(flags: &Chat) -> Result<()> {
    pollster::block_on(async {
        let loaded = load::engine(&flags.model, true).await?;
        let mut conversation = Conversation::new(&loaded.engine, flags)?;
        let mut lines = rustyline::DefaultEditor::new()?;
        if std::io::stdin().is_terminal() {
            line(HELP)?;
        }
        loop {
            match lines.readline("> ") {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => {
                    lines.add_history_entry(line.as_str())?;
                    if !conversation.run_line(line.trim()).await? {
                        return Ok(());
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    })
}

/// The conversation so far.
struct Conversation<'a> {
    engine: &'a Engine,
    flags: &'a Chat,
    session: Session,
    system: Option<String>,
    messages: Vec<Value>,
    /// Number of answers that were started.
    answers: u64,
    interrupted: Arc<AtomicBool>,
}

/// Sampling options for models that recommend none.
fn default_sampling() -> SamplerOptions {
    SamplerOptions { temperature: 0.7, top_p: 0.95, min_p: 0.05, ..SamplerOptions::default() }
}

impl<'a> Conversation<'a> {
    fn new(engine: &'a Engine, flags: &'a Chat) -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = interrupted.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
        let session = engine.session()?;
        Ok(Self {
            engine,
            flags,
            session,
            system: flags.system.clone(),
            messages: Vec::new(),
            answers: 0,
            interrupted,
        })
    }

    /// Runs one line of input. Returns false to end the program.
    async fn run_line(&mut self, typed: &str) -> Result<bool> {
        match typed.split_once(' ').unwrap_or((typed, "")) {
            ("/exit" | "/quit", _) => return Ok(false),
            ("/help", _) => line(HELP)?,
            ("/clear", _) => self.messages.clear(),
            ("/system", text) => self.system = (!text.is_empty()).then(|| text.to_owned()),
            ("/retry", _) => {
                if self.messages.last().is_some_and(|message| message["role"] == "assistant") {
                    self.messages.pop();
                }
                if self.messages.is_empty() {
                    line("There is nothing to answer yet. Type a message first.")?;
                } else {
                    self.answer().await;
                }
            }
            (command, _) if command.starts_with('/') => {
                line(format_args!("{command} is not a command.\n{HELP}"))?;
            }
            _ => {
                self.messages.push(json!({"role": "user", "content": typed}));
                self.answer().await;
            }
        }
        Ok(true)
    }

    /// Answers the last message. An error is printed, and the conversation continues.
    async fn answer(&mut self) {
        match self.generate().await {
            Ok(text) => self.messages.push(json!({"role": "assistant", "content": text})),
            Err(error) => {
                eprintln!("error: {error:#}");
                self.messages.pop();
            }
        }
    }

    async fn generate(&mut self) -> Result<String> {
        let system = self.system.iter().map(|text| json!({"role": "system", "content": text}));
        let messages: Vec<Value> = system.chain(self.messages.iter().cloned()).collect();
        let prompt = self.engine.chat_prompt_with(
            &messages,
            &[],
            &self.flags.control_tokens.chat_options(self.flags.plain),
        )?;
        let mut options =
            options(&self.flags.sampling, self.engine.generation_config().sampler(default_sampling()));
        // Each answer has another seed, so that /retry gives another text. The seeds are the same in every chat.
        options.sampler.seed = options.sampler.seed.wrapping_add(self.answers);
        self.answers += 1;
        options.stop.extend(prompt.stop);
        self.interrupted.store(false, Ordering::Relaxed);
        let mut generation = self.session.start(&prompt.tokens, options)?.as_answer();
        let mut text = String::new();
        while let Some(event) = generation.next().await? {
            match event {
                Event::Token(token) => {
                    print(&token.text)?;
                    text.push_str(&token.text);
                }
                Event::Done { finish_reason: FinishReason::Length, .. } => print(" [token limit reached]")?,
                Event::Prefill { .. } | Event::Done { .. } => {}
            }
            if self.interrupted.load(Ordering::Relaxed) {
                print(" [stopped]")?;
                break;
            }
        }
        print("\n")?;
        Ok(text)
    }
}
