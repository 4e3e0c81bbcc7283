//! Small language models, in a browser tab and in a program: MobileLLM (arXiv 2402.14905) and other Llama-shaped models.
//!
//! A model is a folder with the files that checkpoints have on the Hugging Face hub. [`Engine::load`] streams its
//! weights to the GPU, or to the CPU if there is no GPU. A [`Session`] holds one conversation, and [`Session::start`]
//! answers a prompt token by token.
//!
//! Complete a text:
//!
//! ```
//! use mobilellm::{DirectorySource, Engine, Event, GenerateOptions, LoadOptions};
//!
//! # fn main() -> mobilellm::Result<()> {
//! pollster::block_on(async {
//!     let source = DirectorySource::new("models/mobilellm-47m-chat")?;
//!     let engine = Engine::load(&source, LoadOptions::default()).await?;
//!     let prompt = engine.text_prompt("Once upon a time")?;
//!     let mut session = engine.session()?;
//!     let options = GenerateOptions { max_tokens: Some(8), ..GenerateOptions::default() };
//!     let mut generation = session.start(&prompt, options)?;
//!     while let Some(event) = generation.next().await? {
//!         if let Event::Token(token) = event {
//!             print!("{}", token.text);
//!         }
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Chat, and offer functions that the model may call. Messages and tools have the form of OpenAI's API:
//!
//! ```
//! # use mobilellm::{DirectorySource, Engine, LoadOptions};
//! use serde_json::json;
//!
//! # fn main() -> mobilellm::Result<()> {
//! # pollster::block_on(async {
//! # let source = DirectorySource::new("models/mobilellm-47m-chat")?;
//! # let engine = Engine::load(&source, LoadOptions::default()).await?;
//! let messages = [json!({ "role": "user", "content": "What is the weather in Paris?" })];
//! let tools = [json!({ "type": "function", "function": {
//!     "name": "get_weather",
//!     "description": "Get the weather in a city",
//!     "parameters": { "type": "object", "properties": { "city": { "type": "string" } } },
//! } })];
//! let prompt = engine.chat_prompt(&messages, &tools, false)?;
//! // `prompt.tokens` goes to `Session::start`, `prompt.stop` into its options.
//! assert!(prompt.tokens.len() > 10);
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! Choose every token yourself: a [`State`] gives the logits.
//!
//! ```
//! # use mobilellm::{DirectorySource, Engine, LoadOptions};
//! use mobilellm::Wanted;
//!
//! # fn main() -> mobilellm::Result<()> {
//! # pollster::block_on(async {
//! # let source = DirectorySource::new("models/mobilellm-47m-chat")?;
//! # let engine = Engine::load(&source, LoadOptions::default()).await?;
//! let mut state = engine.state()?;
//! let logits = state.forward(&engine.text_prompt("Once upon")?, Wanted::Last).await?;
//! let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
//! # assert!(best.is_some());
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! Make a copy with 8 bits per weight, and measure how far its predictions are from those of the original:
//!
//! ```no_run
//! # use mobilellm::{DirectorySource, Engine, LoadOptions};
//! use mobilellm::{BitsAndGroup, Cancel, Comparison, QuantizeOptions, quantize_folder};
//!
//! # fn main() -> mobilellm::Result<()> {
//! # pollster::block_on(async {
//! let original = DirectorySource::new("model")?;
//! let options = QuantizeOptions {
//!     default: BitsAndGroup { bits: 8, group_size: 64 },
//!     overrides: Vec::new(),
//!     max_shard_size: 1 << 30,
//! };
//! quantize_folder(&original, "model-8bit".as_ref(), &options, &mut |_| (), &Cancel::default()).await?;
//! let original = Engine::load(&original, LoadOptions::default()).await?;
//! let copy = Engine::load(&DirectorySource::new("model-8bit")?, LoadOptions::default()).await?;
//! let mut comparison = Comparison::with_reference(&copy, &original, "Some text to compare on.", 512)?;
//! while comparison.next().await?.is_some() {}
//! println!("mean KL {}", comparison.report().mean_kl);
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! Larger programs are in the folder `examples` of the repository. The feature `http` adds `HttpSource`, which reads models from a
//! server or from the hub.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

// Only the items that are re-exported below are part of the interface. The modules are public only for the command
// line, the npm package, the tests and the benchmarks of this repository.
#[doc(hidden)]
pub mod backend;
#[doc(hidden)]
pub mod checkpoint;
#[doc(hidden)]
pub mod engine;
mod error;
#[doc(hidden)]
pub mod generate;
mod jinja;
#[doc(hidden)]
pub mod measure;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod options;
#[doc(hidden)]
pub mod tokenizer;

pub use backend::gpu::{Gpu, GpuInfo, GpuOptions, Tier};
pub use backend::{Products, State, Wanted};
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
pub use tokenizer::Tokenizer;
