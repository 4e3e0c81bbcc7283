//! MobileLLM in the browser tab and on the command line.
//!
//! Bytes become weights, text becomes tokens, tokens become logits, logits become text:
//!
//! ```text
//! checkpoint -> backend weights ─┐
//! text -> tokenizer -> session -> network on a backend -> logits -> sampler -> tokens -> text
//! ```
//!
//! ```no_run
//! use mobilellm::checkpoint::directory::DirectorySource;
//! use mobilellm::engine::{Engine, LoadOptions};
//! use mobilellm::session::{Event, GenerateOptions};
//!
//! # async fn example() -> mobilellm::Result<()> {
//! let engine = Engine::load(&DirectorySource::new("model")?, LoadOptions::default()).await?;
//! let prompt = engine.text_prompt("Once upon a time")?;
//! let mut session = engine.session()?;
//! let mut generation = session.start(&prompt, GenerateOptions::default())?;
//! while let Some(event) = generation.next().await? {
//!     if let Event::Token(token) = event {
//!         print!("{}", token.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod backend;
pub mod bench;
pub mod cancel;
pub mod checkpoint;
pub mod config;
pub mod cpu;
mod decode;
pub mod engine;
pub mod error;
pub mod fidelity;
pub mod generation_config;
pub mod gpu;
pub mod matrix;
pub mod model;
pub mod network;
mod pace;
pub mod quantize;
pub mod sampler;
pub mod session;
pub mod speculate;
pub mod stop;
pub mod tokenizer;
#[cfg(target_arch = "wasm32")]
mod web;

pub use error::{Error, Result};
