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
//! use mobilellm::{DirectorySource, Engine, Event, GenerateOptions, LoadOptions};
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

// What is not re-exported below is no part of the interface: the rooms are open only to the command line, the npm package,
// tests and benchmarks of this repository.
#[doc(hidden)]
pub mod backend;
#[doc(hidden)]
pub mod checkpoint;
#[doc(hidden)]
pub mod engine;
mod error;
#[doc(hidden)]
pub mod generate;
#[doc(hidden)]
pub mod measure;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod tokenizer;

pub use backend::gpu::{Info as GpuInfo, Options as GpuOptions, Tier};
pub use checkpoint::load::{Progress, WeightFormat};
#[cfg(not(target_arch = "wasm32"))]
pub use checkpoint::quantize::{Override, QuantizeOptions, QuantizeReport, quantize_folder};
#[cfg(not(target_arch = "wasm32"))]
pub use checkpoint::source::directory::DirectorySource;
#[cfg(all(feature = "http", not(target_arch = "wasm32")))]
pub use checkpoint::source::http::HttpSource;
pub use checkpoint::source::memory::MemorySource;
pub use checkpoint::source::{ByteStream, Cancel, Source};
pub use engine::{BackendChoice, Engine, Info, LoadOptions, Prompt};
pub use error::{Error, Result};
pub use generate::generation_config::GenerationConfig;
pub use generate::sampler::{Logprob, SamplerOptions};
pub use generate::session::{
    Event, FinishReason, GenerateOptions, Generation, Session, Timings, TokenEvent, Usage,
};
pub use generate::speculate::Speculation;
pub use measure::fidelity::{Comparison, Fidelity};
pub use model::config::BitsAndGroup;
