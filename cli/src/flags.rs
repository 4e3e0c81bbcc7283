//! What the command line accepts, and the help that teaches it.

#![allow(clippy::doc_markdown, reason = "these comments are the help text, which is no markdown")]

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, RangedU64ValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use mobilellm::backend::gpu::Tier;
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::quantize::Override;
use mobilellm::engine::BackendChoice;
use mobilellm::generate::sampler::MAX_LOGPROBS;
use mobilellm::generate::speculate::Speculation;
use mobilellm::measure::bench::{Shape, Study, studies};
use mobilellm::measure::fidelity::CHUNK;

/// Run small Llama-shaped language models: MobileLLM, SmolLM2, Llama.
///
/// A model is a folder or an address that holds config.json, a tokenizer and *.safetensors, as checkpoints lie on the
/// Hugging Face hub; a hub name such as HuggingFaceTB/SmolLM2-135M-Instruct works too, with
/// @REVISION where you want another than main.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  mobilellm generate --model DIR --prompt \"Once upon a time\" --max-tokens 100
  mobilellm generate --model DIR --chat \"What is the capital of France?\" --temperature 0.7 --seed 1
  mobilellm chat --model HuggingFaceTB/SmolLM2-135M-Instruct
  mobilellm quantize DIR DIR-4bit --bits 4 --group-size 64
  mobilellm bench --shape mobilellm-125m";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Continue a text, or answer one chat message.
    Generate(Generate),
    /// Talk to a model; the conversation is kept until you leave.
    Chat(Chat),
    /// Write the logits of every position to a safetensors file.
    Logits(Logits),
    /// Show the tokens of a text.
    Tokenize(Tokenize),
    /// Show the text of token ids.
    Detokenize(Detokenize),
    /// Write a 4- or 8-bit copy of a checkpoint, in the layout that MLX reads.
    Quantize(Quantize),
    /// Say what a checkpoint is: shape, parameters, dtypes, memory, tokenizer.
    Inspect(Inspect),
    /// Measure how far a run's predictions are from those of exact arithmetic, or of another checkpoint.
    Fidelity(Fidelity),
    /// Measure how fast a shape runs here, with random weights.
    Bench(Bench),
}

/// Which model, and where it runs.
#[derive(Args)]
pub(crate) struct ModelFlags {
    /// Folder, http(s) address or hub name of the checkpoint.
    #[arg(long, short, value_name = "DIR|URL")]
    pub(crate) model: String,
    /// Where to compute; auto takes a hardware GPU where there is one.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) backend: Backend,
    /// How to hold the weights; auto keeps what the checkpoint has, and 8 bits for large float checkpoints.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) weights: Weights,
    /// Force a tier of GPU kernels: software, portable, subgroups or f16 [default: the best that the adapter has].
    #[arg(long, value_name = "TIER", value_parser = tier)]
    pub(crate) tier: Option<Tier>,
    /// Multiply prompts in 8-bit integers on the GPU where weights have 4 or 8 bits; auto measures whether it is faster,
    /// so that only on and off give the same text on every start.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) int8_tiles: Int8Tiles,
    /// Ignore a field of config.json that the engine does not know and would refuse; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) ignore_config_field: Vec<String>,
    /// Tokens that the context holds [default: the model's, at most 4096].
    #[arg(long, value_name = "N", value_parser = whole(1, u32::MAX))]
    pub(crate) context: Option<usize>,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Backend {
    #[default]
    Auto,
    Cpu,
    Gpu,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Int8Tiles {
    #[default]
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Weights {
    #[default]
    Auto,
    Stored,
    F32,
    F16,
    Q8,
    Q4,
}

/// How tokens are chosen.
#[derive(Args)]
pub(crate) struct SamplingFlags {
    /// Stop after this many tokens [default: until the model ends or the context is full].
    #[arg(long, value_name = "N", value_parser = whole(1, u32::MAX))]
    pub(crate) max_tokens: Option<usize>,
    /// 0 always takes the likeliest token; higher is more varied [default: 0; `mobilellm chat` does as the
    /// model recommends].
    #[arg(long, value_name = "T", value_parser = within(0.0, 100.0), allow_negative_numbers = true)]
    pub(crate) temperature: Option<f32>,
    /// Choose among the likeliest tokens that together reach this probability; 1 is off.
    #[arg(long, value_name = "P", value_parser = within(0.0, 1.0), allow_negative_numbers = true)]
    pub(crate) top_p: Option<f32>,
    /// Choose among this many of the likeliest tokens; 0 is off.
    #[arg(long, value_name = "K", value_parser = whole(0, u32::MAX))]
    pub(crate) top_k: Option<usize>,
    /// Choose among tokens at least this likely relative to the likeliest; 0 is off.
    #[arg(long, value_name = "P", value_parser = within(0.0, 1.0), allow_negative_numbers = true)]
    pub(crate) min_p: Option<f32>,
    /// Make tokens that were seen before less likely; 1 is off.
    #[arg(long, value_name = "R", value_parser = within(0.01, 100.0), allow_negative_numbers = true)]
    pub(crate) repetition_penalty: Option<f32>,
    /// Subtract this from a token's logit for each time it was generated; 0 is off.
    #[arg(long, value_name = "F", value_parser = within(-100.0, 100.0), allow_negative_numbers = true)]
    pub(crate) frequency_penalty: Option<f32>,
    /// Subtract this from a token's logit once it was generated; 0 is off.
    #[arg(long, value_name = "F", value_parser = within(-100.0, 100.0), allow_negative_numbers = true)]
    pub(crate) presence_penalty: Option<f32>,
    /// Same seed, same text [default: another one every time].
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// End where this text comes; may be given several times.
    #[arg(long, value_name = "STR", value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub(crate) stop: Vec<String>,
    /// Guess several tokens at once where the text repeats itself: it changes no output, and "auto" does it while it is
    /// faster.
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "on", "off"], default_value = "auto")]
    speculate: String,
}

impl SamplingFlags {
    pub(crate) fn speculation(&self) -> Speculation {
        Speculation::from_name(&self.speculate).unwrap_or_default()
    }
}

/// Reads a number of a range; outside of it is wrong usage, known before the model is loaded.
fn within(low: f32, high: f32) -> impl Fn(&str) -> Result<f32, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("it must be a number from {low} to {high}")),
    }
}

/// Reads a whole number of a range.
fn whole(low: u32, high: u32) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(u64::from(low)..=u64::from(high))
}

fn tier(name: &str) -> Result<Tier, String> {
    let names: Vec<_> = Tier::ALL.iter().map(|tier| tier.name()).collect();
    Tier::from_name(name).ok_or(format!("it is one of {}", names.join(", ")))
}

fn study(name: &str) -> Result<Study, String> {
    let names: Vec<_> = studies().iter().map(|study| study.name).collect();
    studies().into_iter().find(|study| study.name == name).ok_or(format!("it is one of {}", names.join(", ")))
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 => Ok(seconds),
        _ => Err("it must be a positive number of seconds".to_owned()),
    }
}

#[derive(Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) model: ModelFlags,
    #[command(flatten)]
    pub(crate) text: GenerateText,
    /// What the model is told before the message; with --chat.
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt", allow_hyphen_values = true)]
    pub(crate) system: Option<String>,
    /// Chat with a model that has no template, as "User: ... Assistant: ..."; with --chat.
    #[arg(long, conflicts_with = "prompt")]
    pub(crate) plain: bool,
    /// Functions that the model may call: a JSON list of tools in OpenAI's form; with --chat.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "plain"])]
    pub(crate) tools: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
    /// Log-probabilities of the chosen tokens and of this many alternatives, in the JSON.
    #[arg(long, value_name = "N", requires = "json", value_parser = whole(0, MAX_LOGPROBS as u32))]
    pub(crate) logprobs: Option<usize>,
    /// Print one JSON object at the end instead of streaming text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct GenerateText {
    /// The text to continue.
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) prompt: Option<String>,
    /// The message to answer.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) chat: Option<String>,
}

#[derive(Args)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) model: ModelFlags,
    /// What the model is told before the conversation.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) system: Option<String>,
    /// Chat with a model that has no template, as "User: ... Assistant: ...".
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
}

#[derive(Args)]
pub(crate) struct Logits {
    #[command(flatten)]
    pub(crate) model: ModelFlags,
    /// Token ids, separated by commas.
    #[arg(long, value_name = "IDS", value_delimiter = ',', required = true)]
    pub(crate) tokens: Vec<u32>,
    /// The file to write: tensor `logits`, f32 [n_tokens, vocab_size].
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Tokenize {
    /// Folder, http(s) address or hub name of the checkpoint.
    #[arg(long, short, value_name = "DIR|URL")]
    pub(crate) model: String,
    /// The text.
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: String,
    /// Leave out the special tokens that the tokenizer would add.
    #[arg(long)]
    pub(crate) no_special: bool,
    /// Print {"ids": [...], "tokens": [...]}.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Detokenize {
    /// Folder, http(s) address or hub name of the checkpoint.
    #[arg(long, short, value_name = "DIR|URL")]
    pub(crate) model: String,
    /// Token ids, separated by commas or spaces.
    #[arg(value_delimiter = ',', required = true)]
    pub(crate) ids: Vec<u32>,
    /// Leave out special tokens.
    #[arg(long)]
    pub(crate) skip_special: bool,
    /// Print {"text": ...}.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Quantize {
    /// The float checkpoint: folder, http(s) address or hub name.
    pub(crate) source: String,
    /// The folder to make; it must not exist or be empty.
    pub(crate) destination: PathBuf,
    /// Bits a weight.
    #[arg(long, value_parser = ["4", "8"], default_value = "4")]
    pub(crate) bits: String,
    /// Columns that share a scale and a bias.
    #[arg(long, value_parser = ["32", "64", "128"], default_value = "64")]
    pub(crate) group_size: String,
    /// Other bits for a module and all below it, such as model.embed_tokens=8, model.layers.0=8:32 (with a group of its
    /// own) or lm_head=none; may be given several times.
    #[arg(long, value_name = "MODULE=BITS")]
    pub(crate) r#override: Vec<Override>,
    /// Largest file, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) max_shard_size: u64,
    /// Do not compare the copy's predictions with the source's at the end.
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Args)]
pub(crate) struct Inspect {
    /// Folder, http(s) address or hub name of the checkpoint.
    pub(crate) model: String,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Fidelity {
    #[command(flatten)]
    pub(crate) model: ModelFlags,
    /// What to compare with: f32, the same weights multiplied in single precision, or another checkpoint with the same
    /// tokenizer (folder, http(s) address or hub name), computed in single precision on the CPU.
    #[arg(long, value_name = "f32|DIR|URL", default_value = "f32")]
    pub(crate) against: String,
    /// The text to compare on [default: a built-in one of some 900 tokens].
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,
    /// Tokens that are read in one go, each chunk by itself.
    #[arg(long, value_name = "N", value_parser = whole(2, u32::MAX), default_value_t = CHUNK)]
    pub(crate) chunk: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Bench {
    /// mobilellm-125m, -ls-125m, -350m, -ls-350m, -600m, -1b, -1.5b, smollm2-135m, or LAYERSxHIDDEN such as 12x768.
    #[arg(long, value_name = "SHAPE", value_parser = Shape::parse, default_value = "mobilellm-125m")]
    pub(crate) shape: Shape,
    #[command(flatten)]
    pub(crate) size: SizeFlags,
    /// Measure the shapes of a study instead: layer-sharing or depth.
    #[arg(long, value_name = "NAME", value_parser = study, conflicts_with_all = ["shape", "model"])]
    pub(crate) study: Option<Study>,
    /// Measure a checkpoint instead of random weights: folder, http(s) address or hub name.
    #[arg(long, short, value_name = "DIR|URL", conflicts_with = "shape")]
    pub(crate) model: Option<String>,
    /// Where to compute; auto takes a hardware GPU where there is one.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) backend: Backend,
    /// Force a tier of GPU kernels: software, portable, subgroups or f16 [default: the best that the adapter has].
    #[arg(long, value_name = "TIER", value_parser = tier)]
    pub(crate) tier: Option<Tier>,
    /// Multiply prompts in 8-bit integers on the GPU where weights have 4 or 8 bits; auto measures whether it is faster.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) int8_tiles: Int8Tiles,
    /// How to hold the weights.
    #[arg(long, value_enum, default_value = "q4")]
    pub(crate) weights: Weights,
    /// Lengths of the prompts, separated by commas.
    #[arg(long, value_name = "LENGTHS", value_delimiter = ',', value_parser = whole(1, u32::MAX), default_value = "128,512,1024")]
    pub(crate) prefill: Vec<usize>,
    /// Tokens to write.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = whole(1, u32::MAX))]
    pub(crate) decode: usize,
    /// Tokens of the long context to write them after.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = whole(1, u32::MAX))]
    pub(crate) context: usize,
    /// Run everything so often, and report the median.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole(1, u32::MAX))]
    pub(crate) repeat: usize,
    /// Seconds that any one run may take; what would take longer is cut short or left out.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = seconds)]
    pub(crate) limit: f64,
    /// Print one JSON object a shape, each on a line of its own.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Sizes that differ from the named shape's.
#[derive(Args)]
pub(crate) struct SizeFlags {
    /// Query heads; they divide the width.
    #[arg(long, value_name = "N")]
    pub(crate) heads: Option<usize>,
    /// Key/value heads; they divide the query heads.
    #[arg(long, value_name = "N")]
    pub(crate) kv_heads: Option<usize>,
    /// Width of the gated feed-forward activation.
    #[arg(long, value_name = "N")]
    pub(crate) ffn: Option<usize>,
    /// Tokens in the vocabulary.
    #[arg(long, value_name = "N")]
    pub(crate) vocab: Option<usize>,
    /// Run each block twice in a row.
    #[arg(long)]
    pub(crate) layer_sharing: bool,
}

impl From<Backend> for BackendChoice {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Auto => Self::Auto,
            Backend::Cpu => Self::Cpu,
            Backend::Gpu => Self::Gpu,
        }
    }
}

impl From<Int8Tiles> for Option<bool> {
    fn from(when: Int8Tiles) -> Self {
        match when {
            Int8Tiles::Auto => None,
            Int8Tiles::On => Some(true),
            Int8Tiles::Off => Some(false),
        }
    }
}

impl From<Weights> for WeightFormat {
    fn from(weights: Weights) -> Self {
        match weights {
            Weights::Auto => Self::Auto,
            Weights::Stored => Self::Stored,
            Weights::F32 => Self::F32,
            Weights::F16 => Self::F16,
            Weights::Q8 => Self::Q8,
            Weights::Q4 => Self::Q4,
        }
    }
}
