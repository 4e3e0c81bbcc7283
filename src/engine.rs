//! A loaded checkpoint: weights on a backend, a tokenizer, and a description of both.

use std::rc::Rc;
use std::str::FromStr;

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
use crate::checkpoint::source::files::{CONFIG_LIMIT, TOKENIZER_LIMIT, read_optional, read_required};
use crate::error::{Error, Result};
use crate::generate::generation_config::GenerationConfig;
use crate::generate::session::Session;
use crate::model::config::{self, Config};
use crate::model::network::Network;
use crate::options::load;
use crate::tokenizer::{ChatFormat, ChatOptions, Tokenizer, TokenizerFiles};

/// Default limit of the context in positions, because the caches grow with the context.
const DEFAULT_CONTEXT: usize = 4096;

/// Maximum size in bytes of the table of rotary sines and cosines for all positions.
const ROTARY_TABLE_LIMIT: usize = 1 << 30;

/// Where to compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// A hardware GPU if there is one, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, even an emulated one; an error if there is none.
    Gpu,
}

impl BackendChoice {
    /// All choices, in the order of the help texts.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Gpu, Self::Cpu];

    /// The name on the command line and in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
        }
    }
}

impl FromStr for BackendChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|backend| backend.name() == name);
        found.ok_or_else(|| load::BACKEND.not_a_word(name))
    }
}

/// How to load.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// Where to compute.
    pub backend: BackendChoice,
    /// Which kind of GPU, and which tier of its kernels.
    pub gpu: gpu::GpuOptions,
    /// A device that is already open: several engines can share it, and `gpu` is then not used. `None` opens one.
    pub device: Option<Gpu>,
    /// Number format of the weights in memory.
    pub weights: WeightFormat,
    /// Positions of a session's context; `None` means the maximum of the model, at most 4096.
    pub max_context: Option<usize>,
    /// Fields of `config.json` to ignore, although the engine does not know them. It refuses all other unknown fields.
    pub ignore_config_fields: Vec<String>,
    /// If true, a checkpoint without a tokenizer is an error before its weights are read. If false, it is an error only
    /// when a call needs the tokenizer.
    pub needs_text: bool,
    /// Called for each piece of data that arrives.
    pub progress: Option<&'a mut dyn FnMut(Progress)>,
    /// Flag that stops the load.
    pub cancel: Cancel,
}

/// Facts about a loaded engine, for people.
#[derive(Debug, Clone, Serialize)]
pub struct Info {
    /// Where the checkpoint came from.
    pub source: String,
    /// `llama` or `mobilellm`.
    pub model_type: String,
    /// Number of weights in the checkpoint.
    pub parameters: u64,
    /// Number of stored blocks.
    pub num_hidden_layers: usize,
    /// Whether each block runs twice.
    pub layer_sharing: bool,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Positions of a session's context.
    pub max_context: usize,
    /// Bytes of the weights in memory.
    pub weight_bytes: u64,
    /// `cpu` or `gpu`.
    pub backend: &'static str,
    /// The GPU, if the backend is a GPU.
    pub adapter: Option<gpu::GpuInfo>,
    /// Why the CPU computes, if the caller did not choose it.
    pub fallback_reason: Option<String>,
    /// Whether the checkpoint has a chat template.
    pub chat_template: bool,
    /// Generation settings that the checkpoint recommends.
    pub generation: GenerationConfig,
    /// Unusual facts that the load found in the checkpoint.
    pub warnings: Vec<String>,
}

/// A prompt ready to run.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Texts that end an answer in this chat format, besides the end-of-sequence tokens of the model.
    pub stop: Vec<String>,
}

/// A loaded checkpoint. All sessions share its weights.
pub struct Engine {
    model: Model,
    tokenizer: Result<Rc<Tokenizer>>,
    info: Info,
}

impl Engine {
    /// Loads a checkpoint. Everything that can be checked without the weights is checked before they are read.
    ///
    /// # Errors
    /// Anything that [`Error`] lists; the message names the file and the remedy.
    pub async fn load(source: &dyn Source, options: LoadOptions<'_>) -> Result<Self> {
        let LoadOptions {
            backend,
            gpu,
            device,
            weights,
            max_context,
            ignore_config_fields,
            needs_text,
            progress,
            cancel,
        } = options;
        // The GPU compiles and runs its self-test while the files arrive. An error in the files is returned at once,
        // and it comes before an error of the device.
        let opened = Opened::read(source, max_context, &ignore_config_fields, needs_text, &cancel);
        let (opened, target) = try_join(opened, Target::choose(backend, gpu, device).map(Ok)).await?;
        let target = target?;
        let Opened { checkpoint, max_context, generation, tokenizer } = opened;
        let mut network = Network::new(checkpoint.config.clone());
        let mut sink = target.weights(&network);
        let report = checkpoint.load(weights, &mut sink, progress.unwrap_or(&mut |_| ())).await?;
        if report.head_is_embedding {
            network.config.decoder.tied_embeddings = true;
            network = Network::new(network.config);
        }
        if let Some(divisors) = &report.frequency_divisors {
            network.config.decoder.divide_frequencies(divisors);
        }
        if let Target::Gpu(gpu) = &target {
            gpu.compiled().await;
        }
        let info = target.info(source, &network, max_context, &report, tokenizer.as_ref().ok(), generation);
        let model = Model::new(network, sink);
        Ok(Self { model, tokenizer, info })
    }

    /// Facts about the loaded checkpoint.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Shape and kernel calls of the network.
    #[doc(hidden)]
    pub fn network(&self) -> &Network {
        &self.model.network
    }

    /// The GPU, if the backend is a GPU.
    #[doc(hidden)]
    pub fn gpu(&self) -> Option<&Gpu> {
        self.model.gpu()
    }

    /// Generation settings that the checkpoint recommends.
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.info.generation
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::Missing`] if the checkpoint has no tokenizer.
    pub fn tokenizer(&self) -> Result<&Rc<Tokenizer>> {
        self.tokenizer.as_ref().map_err(Clone::clone)
    }

    /// An empty state, to run token ids without a tokenizer.
    ///
    /// # Errors
    /// [`Error::Limit`] if the device cannot hold the caches.
    pub fn state(&self) -> Result<State> {
        self.model.new_state(self.info.max_context, Products::Fast)
    }

    /// An empty state for `max_positions` tokens with a choice of arithmetic, such as exact f32 products as a
    /// reference.
    ///
    /// # Errors
    /// [`Error::Limit`] if the device cannot hold the caches.
    pub fn state_with(&self, max_positions: usize, products: Products) -> Result<State> {
        self.model.new_state(max_positions, products)
    }

    /// A new conversation.
    ///
    /// # Errors
    /// [`Error::Missing`] without a tokenizer, [`Error::Limit`] if the device cannot hold the caches.
    pub fn session(&self) -> Result<Session> {
        let tokenizer = self.tokenizer()?.clone();
        // Some fine-tuned checkpoints name the token that ends a turn only in the settings of the tokenizer.
        let ends = [&self.info.generation.eos_token_ids, tokenizer.eos_token_ids()].concat();
        Ok(Session::new(tokenizer, ends, self.state()?))
    }

    /// The tokens of a text to continue. They begin with the special tokens that the model expects.
    ///
    /// # Errors
    /// [`Error::Missing`] without a tokenizer.
    pub fn text_prompt(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer()?.encode(text, true)
    }

    /// The tokens of a conversation, up to the place where the assistant's answer begins.
    ///
    /// The text of control tokens in the messages stays text: see [`Engine::chat_prompt_with`] for another choice.
    ///
    /// # Errors
    /// [`Error::Template`] if the model has no chat template and `plain` is false.
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

/// Everything of a checkpoint except the weights, read and checked.
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
        // In parallel, because each file costs a round trip to the server. An error in the checkpoint itself is
        // returned at once, and it comes before an error in the tokenizer files.
        let texts = texts_beside(source, cancel).map(Ok);
        let (checkpoint, files) =
            try_join(Checkpoint::open_ignoring(source, ignored_fields, cancel), texts).await?;
        let files = files?;
        let max_context = context(&checkpoint.config, max_context)?;
        let generation = GenerationConfig::parse(files.generation_config.as_deref(), &checkpoint.config)?;
        let tokenizer = match checkpoint.metadata() {
            Some(metadata) => Tokenizer::from_gguf(metadata, checkpoint.config.vocab_size),
            None => Tokenizer::load(&files, checkpoint.config.vocab_size),
        };
        match unless_missing(tokenizer)? {
            Err(missing) if needs_text => Err(missing),
            tokenizer => Ok(Self { checkpoint, max_context, generation, tokenizer }),
        }
    }
}

/// Reads the files beside the weights that concern text. A GGUF file has them inside.
async fn texts_beside(source: &dyn Source, cancel: &Cancel) -> Result<TokenizerFiles> {
    match source.gguf(cancel).await? {
        Some(_) => Ok(TokenizerFiles::default()),
        None => text_files(source, cancel).await,
    }
}

/// Reads the tokenizer files and `generation_config.json`, in parallel if the source can do that.
///
/// # Errors
/// [`Error::Fetch`] if a file exists but cannot be read, [`Error::Invalid`] if a file is too large.
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

/// Reads the tokenizer alone.
///
/// # Errors
/// [`Error::Missing`] where there is none; whatever is wrong with the files that it needs.
pub async fn load_tokenizer(source: &dyn Source, cancel: &Cancel) -> Result<Tokenizer> {
    if source.gguf(cancel).await?.is_some() {
        let checkpoint = Checkpoint::open(source, cancel).await?;
        if let Some(metadata) = checkpoint.metadata() {
            return Tokenizer::from_gguf(metadata, checkpoint.config.vocab_size);
        }
    }
    let config = read_required(source, config::FILE, CONFIG_LIMIT, cancel).await?;
    let files = text_files(source, cancel).await?;
    Tokenizer::load(&files, Config::parse(&config)?.vocab_size)
}

/// The tokenizer. The inner error means that the checkpoint has none: an error only when a call needs it.
fn unless_missing(tokenizer: Result<Tokenizer>) -> Result<Result<Rc<Tokenizer>>> {
    match tokenizer {
        Ok(tokenizer) => Ok(Ok(Rc::new(tokenizer))),
        Err(missing @ Error::Missing { .. }) => Ok(Err(missing)),
        Err(error) => Err(error),
    }
}

/// The size of the context: the wanted one, if the model was trained for that many positions.
fn context(config: &Config, wanted: Option<usize>) -> Result<usize> {
    let pairs = config.head_dim / 2 * config.decoder.rotary.len().max(1);
    // A file may claim any number of positions, but the rotary tables for all of them are allocated at once: two f32 for
    // each pair.
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
    async fn choose(choice: BackendChoice, options: gpu::GpuOptions, open: Option<Gpu>) -> Result<Self> {
        match (choice, open) {
            (BackendChoice::Cpu, _) => Ok(Self::Cpu { fallback_reason: None }),
            (_, Some(gpu)) => Ok(Self::Gpu(Box::new(gpu))),
            (BackendChoice::Gpu, None) => Ok(Self::Gpu(Box::new(Gpu::open(options).await?))),
            (BackendChoice::Auto, None) => Ok(match Self::hardware(options).await {
                Ok(gpu) => Self::Gpu(Box::new(gpu)),
                // Only the problem: its remedy is to use the CPU, which happens here.
                Err(Error::Device { problem, .. }) => Self::Cpu { fallback_reason: Some(problem) },
                Err(error) => Self::Cpu { fallback_reason: Some(error.to_string()) },
            }),
        }
    }

    /// A hardware GPU. An emulated one is refused before its self-test, which would take seconds.
    async fn hardware(options: gpu::GpuOptions) -> Result<Gpu> {
        let mut gpu = Gpu::connect(options).await?;
        if gpu.info().software {
            // Some browsers hide the name of the adapter.
            let problem = match gpu.info().adapter.as_str() {
                "" => "the only GPU is emulated in software".to_owned(),
                name => format!("the only GPU, {name}, is emulated in software"),
            };
            return Err(Error::device(problem, ""));
        }
        gpu.choose_kernels(options).await?;
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
            layer_sharing: config.decoder.shares_layers(),
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

    /// A folder with a broken configuration, on a server that answers some requests late or never.
    struct Slow {
        files: MemorySource,
        /// How often the read of the configuration waits, unless a tokenizer file was requested.
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
    fn the_tokenizer_is_requested_while_the_configuration_arrives() {
        let source = Slow::new(1000, false);
        load_error(&source, BackendChoice::Cpu);
        assert!(source.texts_asked.get());
    }

    #[test]
    fn a_broken_configuration_is_reported_at_once_and_before_other_errors() {
        let silent_texts = Slow::new(0, true);
        // With a GPU or without one, and although the GPU answers first.
        let slow_files = Slow::new(1000, false);
        for (source, backend) in [(silent_texts, BackendChoice::Cpu), (slow_files, BackendChoice::Gpu)] {
            let error = load_error(&source, backend);
            assert!(error.contains(config::FILE), "{error}");
        }
    }
}
