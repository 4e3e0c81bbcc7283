//! A checkpoint made ready: weights on a backend, a tokenizer, and what to say of them.

use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{try_join, try_join_all};
use serde::Serialize;
use serde_json::Value;

use crate::backend::Products;
use crate::backend::cpu;
use crate::backend::gpu::{self, Gpu};
use crate::backend::{Loading, Model, State};
use crate::checkpoint::load::inspect::Parameters;
use crate::checkpoint::load::{Checkpoint, LoadReport, Progress, WeightFormat};
use crate::checkpoint::source::Cancel;
use crate::checkpoint::source::Source;
use crate::checkpoint::source::files::{TOKENIZER_LIMIT, read_optional};
use crate::error::{Error, Result};
use crate::generate::generation_config::GenerationConfig;
use crate::generate::session::Session;
use crate::model::config::Config;
use crate::model::network::Network;
use crate::tokenizer::{ChatFormat, ChatOptions, Tokenizer, TokenizerFiles};

/// Positions of a context when the caller names none and the model allows more: caches grow with it.
const DEFAULT_CONTEXT: usize = 4096;

/// Bytes that the rotations of all positions may take.
const ROTARY_TABLE_LIMIT: usize = 1 << 30;

/// Where to compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// A hardware GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, even one that is emulated; an error where there is none.
    Gpu,
}

/// How to load.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// Where to compute.
    pub backend: BackendChoice,
    /// Which kind of GPU, and which tier of its kernels.
    pub gpu: gpu::GpuOptions,
    /// How to hold the weights.
    pub weights: WeightFormat,
    /// Positions of a session's context; `None` takes the model's, at most 4096.
    pub max_context: Option<usize>,
    /// Fields of `config.json` that are passed over although the engine does not know what they mean; it refuses others.
    pub ignore_config_fields: Vec<String>,
    /// Refuses a checkpoint without a tokenizer before its weights are read; else that is an error only once text is
    /// asked for.
    pub needs_text: bool,
    /// Is told of each piece that arrives.
    pub progress: Option<&'a mut dyn FnMut(Progress)>,
    /// Stops the load.
    pub cancel: Cancel,
}

/// What a loaded engine is, for people.
#[derive(Debug, Clone, Serialize)]
pub struct Info {
    /// Where the checkpoint came from.
    pub source: String,
    /// `llama` or `mobilellm`.
    pub model_type: String,
    /// Weights in the checkpoint.
    pub parameters: u64,
    /// Stored blocks.
    pub num_hidden_layers: usize,
    /// Blocks run twice each.
    pub layer_sharing: bool,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Positions of a session's context.
    pub max_context: usize,
    /// Bytes of the weights as held.
    pub weight_bytes: u64,
    /// `cpu` or `gpu`.
    pub backend: &'static str,
    /// The GPU, where it computes.
    pub adapter: Option<gpu::GpuInfo>,
    /// Why the CPU computes although nobody asked for it.
    pub fallback_reason: Option<String>,
    /// Whether the checkpoint has a chat template.
    pub chat_template: bool,
    /// What the checkpoint recommends for generating.
    pub generation: GenerationConfig,
    /// What looked odd while loading.
    pub warnings: Vec<String>,
}

/// A prompt ready to run.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Texts that end an answer in this format, besides the model's own end.
    pub stop: Vec<String>,
}

/// A loaded checkpoint. Sessions share its weights.
pub struct Engine {
    model: Model,
    tokenizer: Result<Rc<Tokenizer>>,
    info: Info,
}

impl Engine {
    /// Loads a checkpoint: what can fail without the weights fails before they are read.
    ///
    /// # Errors
    /// Anything that [`Error`] lists; the message names the file and the remedy.
    pub async fn load(source: &dyn Source, options: LoadOptions<'_>) -> Result<Self> {
        let LoadOptions {
            backend,
            gpu,
            weights,
            max_context,
            ignore_config_fields,
            needs_text,
            progress,
            cancel,
        } = options;
        // The GPU compiles and computes for its self-test while the files arrive. What is wrong with them is said at
        // once, and before what is wrong with the device.
        let opened = Opened::read(source, max_context, &ignore_config_fields, needs_text, &cancel);
        let (opened, target) = try_join(opened, Target::choose(backend, gpu).map(Ok)).await?;
        let target = target?;
        let Opened { checkpoint, max_context, generation, tokenizer } = opened;
        let mut network = Network::new(checkpoint.config.clone());
        let mut sink = target.weights(&network);
        let report = checkpoint.load(weights, &mut sink, progress.unwrap_or(&mut |_| ())).await?;
        if report.head_is_embedding {
            network.config.decoder.tied_embeddings = true;
            network = Network::new(network.config);
        }
        if let Target::Gpu(gpu) = &target {
            gpu.compiled().await;
        }
        let info = target.info(source, &network, max_context, &report, tokenizer.as_ref().ok(), generation);
        let model = Model::new(network, sink);
        Ok(Self { model, tokenizer, info })
    }

    /// What was loaded.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Shape and kernel calls.
    #[doc(hidden)]
    pub fn network(&self) -> &Network {
        &self.model.network
    }

    /// The device, where it is a GPU.
    #[doc(hidden)]
    pub fn gpu(&self) -> Option<&Gpu> {
        self.model.gpu()
    }

    /// The checkpoint's own generation defaults.
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.info.generation
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::Missing`] where the checkpoint has none.
    pub fn tokenizer(&self) -> Result<&Rc<Tokenizer>> {
        self.tokenizer.as_ref().map_err(Clone::clone)
    }

    /// An empty state, for running tokens without a tokenizer.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device cannot hold the caches.
    pub fn state(&self) -> Result<State> {
        self.model.new_state(self.info.max_context, Products::Fast)
    }

    /// An empty state for `max_positions` tokens that multiplies in a way of its own, such as in f32 to compare with.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device cannot hold the caches.
    pub fn state_with(&self, max_positions: usize, products: Products) -> Result<State> {
        self.model.new_state(max_positions, products)
    }

    /// A new conversation.
    ///
    /// # Errors
    /// [`Error::Missing`] without a tokenizer, [`Error::Limit`] where the device cannot hold the caches.
    pub fn session(&self) -> Result<Session> {
        let tokenizer = self.tokenizer()?.clone();
        // A fine-tuned checkpoint may have its end of turn in the tokenizer's settings alone.
        let ends = [&self.info.generation.eos_token_ids, tokenizer.eos_token_ids()].concat();
        Ok(Session::new(tokenizer, ends, self.state()?))
    }

    /// The tokens of a text to continue, with the special tokens that the model expects before it.
    ///
    /// # Errors
    /// [`Error::Missing`] without a tokenizer.
    pub fn text_prompt(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer()?.encode(text, true)
    }

    /// The tokens of a conversation, up to where the assistant's answer begins.
    ///
    /// The text of control tokens in the messages stays text: see [`Engine::chat_prompt_with`] for another choice.
    ///
    /// # Errors
    /// [`Error::Template`] where the model has no chat template and `plain` is false.
    pub fn chat_prompt(&self, messages: &[Value], tools: &[Value], plain: bool) -> Result<Prompt> {
        let format = if plain { ChatFormat::Plain } else { ChatFormat::Template };
        self.chat_prompt_with(messages, tools, &ChatOptions { format, ..ChatOptions::default() })
    }

    /// The tokens of a conversation, with all options.
    ///
    /// # Errors
    /// As [`Tokenizer::chat_tokens`].
    pub fn chat_prompt_with(
        &self,
        messages: &[Value],
        tools: &[Value],
        options: &ChatOptions,
    ) -> Result<Prompt> {
        let tokens = self.tokenizer()?.chat_tokens(messages, tools, options)?.ids;
        let stop = options.format.stop_strings().iter().map(ToString::to_string).collect();
        Ok(Prompt { tokens, stop })
    }
}

/// All of a checkpoint but its weights, read and checked.
struct Opened<'a> {
    checkpoint: Checkpoint<'a>,
    max_context: usize,
    generation: GenerationConfig,
    tokenizer: Result<Rc<Tokenizer>>,
}

impl<'a> Opened<'a> {
    async fn read(
        source: &'a dyn Source,
        max_context: Option<usize>,
        ignored_fields: &[String],
        needs_text: bool,
        cancel: &Cancel,
    ) -> Result<Self> {
        // Side by side, because each file costs a way to the server and back. What is wrong with the checkpoint itself
        // is said at once, and before what is wrong with its texts.
        let texts = text_files(source, cancel).map(Ok);
        let (checkpoint, files) =
            try_join(Checkpoint::open_ignoring(source, ignored_fields, cancel), texts).await?;
        let files = files?;
        let max_context = context(&checkpoint.config, max_context)?;
        let generation = GenerationConfig::parse(files.generation_config.as_deref(), &checkpoint.config)?;
        let tokenizer = tokenizer(&files, checkpoint.config.vocab_size)?;
        match tokenizer {
            Err(missing) if needs_text => Err(missing),
            tokenizer => Ok(Self { checkpoint, max_context, generation, tokenizer }),
        }
    }
}

/// Reads the files that concern text, side by side where the source can.
///
/// # Errors
/// [`Error::Fetch`] where a file is there but cannot be read, [`Error::Invalid`] where one is absurdly large.
pub async fn text_files(source: &dyn Source, cancel: &Cancel) -> Result<TokenizerFiles> {
    let mut files = TokenizerFiles::default();
    let (older, newer): (Vec<_>, Vec<_>) =
        TokenizerFiles::NAMES.into_iter().partition(|name| TokenizerFiles::is_older(name));
    read_into(&mut files, &newer, source, cancel).await?;
    if files.tokenizer_json.is_none() {
        read_into(&mut files, &older, source, cancel).await?;
    }
    Ok(files)
}

async fn read_into(
    files: &mut TokenizerFiles,
    names: &[&str],
    source: &dyn Source,
    cancel: &Cancel,
) -> Result<()> {
    let reads = names.iter().map(|name| read_optional(source, name, TOKENIZER_LIMIT, cancel));
    for (name, bytes) in names.iter().zip(try_join_all(reads).await?) {
        if let Some(slot) = files.slot(name) {
            *slot = bytes;
        }
    }
    Ok(())
}

/// The tokenizer; that there is none is only an error once text is asked for.
fn tokenizer(files: &TokenizerFiles, vocab_size: usize) -> Result<Result<Rc<Tokenizer>>> {
    match Tokenizer::load(files, vocab_size) {
        Ok(tokenizer) => Ok(Ok(Rc::new(tokenizer))),
        Err(missing @ Error::Missing { .. }) => Ok(Err(missing)),
        Err(error) => Err(error),
    }
}

/// The context's size: what was asked for, within what the model was trained for.
fn context(config: &Config, wanted: Option<usize>) -> Result<usize> {
    let pairs = config.head_dim / 2;
    // Whatever a file claims: the table of rotations is made at once, two f32 a pair.
    let most = config.max_position_embeddings.min(ROTARY_TABLE_LIMIT / (8 * pairs));
    match wanted {
        None => Ok(most.min(DEFAULT_CONTEXT)),
        Some(context) if (1..=most).contains(&context) => Ok(context),
        Some(context) => Err(Error::request(
            "max_context",
            format!("{context} is not between 1 and the model's {most} positions"),
        )),
    }
}

/// The backend that was chosen.
enum Target {
    Cpu { fallback_reason: Option<String> },
    Gpu(Box<Gpu>),
}

impl Target {
    async fn choose(choice: BackendChoice, options: gpu::GpuOptions) -> Result<Self> {
        match choice {
            BackendChoice::Cpu => Ok(Self::Cpu { fallback_reason: None }),
            BackendChoice::Gpu => Ok(Self::Gpu(Box::new(Gpu::open(options).await?))),
            BackendChoice::Auto => Ok(match Self::hardware(options).await {
                Ok(gpu) => Self::Gpu(Box::new(gpu)),
                // What to do about it is done.
                Err(Error::Device { problem, .. }) => Self::Cpu { fallback_reason: Some(problem) },
                Err(error) => Self::Cpu { fallback_reason: Some(error.to_string()) },
            }),
        }
    }

    /// A GPU that is one; others are not even tested, which takes them seconds.
    async fn hardware(options: gpu::GpuOptions) -> Result<Gpu> {
        let mut gpu = Gpu::connect(options).await?;
        if gpu.info().software {
            // Some browsers keep the adapter's name to themselves.
            let problem = match gpu.info().adapter.as_str() {
                "" => "the only GPU is emulated in software".to_owned(),
                name => format!("the only GPU, {name}, is emulated in software"),
            };
            return Err(Error::device(problem, ""));
        }
        gpu.prove(options).await?;
        Ok(gpu)
    }

    fn weights(&self, network: &Network) -> Loading {
        match self {
            Self::Cpu { .. } => Loading::Cpu(cpu::CpuWeights::default()),
            Self::Gpu(gpu) => Loading::Gpu(gpu::GpuWeights::new(gpu, network)),
        }
    }

    fn info(
        self,
        source: &dyn Source,
        network: &Network,
        max_context: usize,
        report: &LoadReport,
        tokenizer: Option<&Rc<Tokenizer>>,
        generation: GenerationConfig,
    ) -> Info {
        let config = &network.config;
        let (backend, adapter, fallback_reason) = match self {
            Self::Cpu { fallback_reason } => ("cpu", None, fallback_reason),
            Self::Gpu(gpu) => ("gpu", Some(gpu.info().clone()), None),
        };
        Info {
            source: source.location(),
            model_type: config.model_type.clone(),
            parameters: Parameters::of(config).total,
            num_hidden_layers: config.num_hidden_layers,
            layer_sharing: config.decoder.block.runs > 1,
            hidden_size: config.hidden_size,
            vocab_size: config.vocab_size,
            max_context,
            weight_bytes: report.weight_bytes,
            backend,
            adapter,
            fallback_reason,
            chat_template: tokenizer.is_some_and(|tokenizer| tokenizer.has_chat_template()),
            generation,
            warnings: report.warnings.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::task::Poll;

    use futures_util::future::{LocalBoxFuture, poll_fn};

    use super::*;
    use crate::checkpoint::source::ByteStream;
    use crate::checkpoint::source::memory::MemorySource;
    use crate::model::config;

    /// A folder with a broken configuration, on a server that answers some things late or never.
    struct Slow {
        files: MemorySource,
        /// How often the configuration lets others go first, unless a file of the tokenizer was asked for.
        turns: usize,
        texts_never_answer: bool,
        texts_asked: Cell<bool>,
    }

    impl Slow {
        fn new(turns: usize, texts_never_answer: bool) -> Self {
            let files = MemorySource::new().with(config::FILE, "{").with("tokenizer.json", "{");
            Self { files, turns, texts_never_answer, texts_asked: Cell::new(false) }
        }
    }

    impl Source for Slow {
        fn location(&self) -> String {
            self.files.location()
        }

        fn open<'a>(
            &'a self,
            file: &'a str,
            cancel: &'a Cancel,
        ) -> LocalBoxFuture<'a, Result<Option<Box<dyn ByteStream>>>> {
            async move {
                if file == config::FILE {
                    let mut left = self.turns;
                    poll_fn(|context| {
                        if left == 0 || self.texts_asked.get() {
                            return Poll::Ready(());
                        }
                        left -= 1;
                        context.waker().wake_by_ref();
                        Poll::Pending
                    })
                    .await;
                } else {
                    self.texts_asked.set(true);
                    if self.texts_never_answer {
                        pending::<()>().await;
                    }
                }
                self.files.open(file, cancel).await
            }
            .boxed_local()
        }
    }

    fn load_error(source: &Slow, backend: BackendChoice) -> String {
        let options = LoadOptions { backend, ..LoadOptions::default() };
        pollster::block_on(Engine::load(source, options))
            .err()
            .map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn the_tokenizer_is_asked_for_while_the_configuration_is_on_its_way() {
        let source = Slow::new(1000, false);
        load_error(&source, BackendChoice::Cpu);
        assert!(source.texts_asked.get());
    }

    #[test]
    fn a_broken_configuration_is_said_at_once_and_before_anything_else() {
        let silent_texts = Slow::new(0, true);
        // Whether or not there is a GPU here, and although it answers first.
        let slow_files = Slow::new(1000, false);
        for (source, backend) in [(silent_texts, BackendChoice::Cpu), (slow_files, BackendChoice::Gpu)] {
            let error = load_error(&source, backend);
            assert!(error.contains(config::FILE), "{error}");
        }
    }
}
