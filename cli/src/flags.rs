//! The flags of the command line. Their comments are the help text.

#![allow(clippy::doc_markdown, reason = "these comments are the help text, which is not markdown")]

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use mobilellm::backend::gpu::{GpuOptions, Tier};
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::quantize::Override;
use mobilellm::engine::BackendChoice;
use mobilellm::generate::sampler::MAX_LOGPROBS;
use mobilellm::measure::bench::{Shape, Study, studies};
use mobilellm::measure::fidelity::CHUNK;
use mobilellm::options::load;
use mobilellm::tokenizer::{ChatFormat, ChatOptions, ControlTokens};

use crate::option::{self, Switch};
use crate::sampling::SamplingFlags;

/// Run small Llama-shaped language models: MobileLLM, SmolLM2, Llama.
///
/// A model is a folder or a URL with config.json, a tokenizer and *.safetensors files, as on the Hugging Face hub. A hub
/// name such as HuggingFaceTB/SmolLM2-135M-Instruct works too. Add @REVISION for a revision other than main.
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
    /// Chat with a model in the terminal.
    Chat(Chat),
    /// Write the logits of every token to a safetensors file.
    Logits(Logits),
    /// Show the prompt that the chat template of a model makes of a conversation.
    Render(Render),
    /// Show the tokens of a text.
    Tokenize(Tokenize),
    /// Show the text of token ids.
    Detokenize(Detokenize),
    /// Write a 4-bit or 8-bit copy of a checkpoint, in the format that MLX reads.
    Quantize(Quantize),
    /// Show facts about a checkpoint: shape, parameters, dtypes, memory, tokenizer.
    Inspect(Inspect),
    /// Measure accuracy: compare the predictions with those in 32-bit floats, or with those of another checkpoint.
    Fidelity(Fidelity),
    /// Measure speed on this device: prefill, decode, time to first token, and each GPU kernel.
    Bench(Bench),
}

/// The model and its backend.
#[derive(Args)]
pub(crate) struct ModelFlags {
    /// Model folder or GGUF file, http(s) URL, or Hugging Face hub name (owner/name, owner/name/file.gguf, owner/name:Q4_K_M).
    #[arg(long, short, value_name = "DIR|URL")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) backend: BackendFlags,
    #[arg(long, help = option::help(&load::WEIGHTS), value_parser = option::word::<WeightFormat>(&load::WEIGHTS),
        default_value = "auto")]
    pub(crate) weights: WeightFormat,
    #[arg(long, value_name = "NAME", help = option::help(&load::IGNORE_CONFIG_FIELDS))]
    pub(crate) ignore_config_field: Vec<String>,
    #[arg(long, value_name = "N", help = option::help(&load::MAX_CONTEXT), value_parser = option::whole::<usize>(&load::MAX_CONTEXT))]
    pub(crate) context: Option<usize>,
    /// Do not show progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Where to compute, and with which kernels.
#[derive(Args)]
pub(crate) struct BackendFlags {
    #[arg(long, help = option::help(&load::BACKEND), value_parser = option::word::<BackendChoice>(&load::BACKEND),
        default_value = "auto")]
    pub(crate) backend: BackendChoice,
    #[arg(long, help = option::help(&load::TIER), value_parser = option::word::<Tier>(&load::TIER))]
    tier: Option<Tier>,
    #[arg(long, value_name = "WHEN", help = option::help(&load::INT8_TILES), value_parser = option::switch(&load::INT8_TILES),
        default_value = "auto")]
    int8_tiles: Switch,
}

impl BackendFlags {
    /// The GPU's part of them.
    pub(crate) fn gpu(&self) -> GpuOptions {
        GpuOptions { tier: self.tier, int8_tiles: self.int8_tiles.0, ..GpuOptions::default() }
    }
}

/// Parses a whole number in a range.
fn whole(low: u32, high: u32) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(u64::from(low)..=u64::from(high))
}

fn study(name: &str) -> Result<Study, String> {
    let names: Vec<_> = studies().iter().map(|study| study.name).collect();
    studies()
        .into_iter()
        .find(|study| study.name == name)
        .ok_or(format!("it must be one of {}", names.join(", ")))
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
    /// System prompt: the model reads it before the message; needs --chat.
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt", allow_hyphen_values = true)]
    pub(crate) system: Option<String>,
    /// Format the chat as "User: ... Assistant: ...", for models without a chat template; needs --chat.
    #[arg(long, conflicts_with = "prompt")]
    pub(crate) plain: bool,
    /// File with the functions that the model may call: a JSON list of tools in the format of OpenAI's API; needs --chat.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "plain"])]
    pub(crate) tools: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) control_tokens: ControlTokensFlag,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
    /// Add log-probabilities to the JSON: of each chosen token, and of this many alternatives.
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
    /// System prompt: the model reads it before the conversation.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) system: Option<String>,
    /// Format the chat as "User: ... Assistant: ...", for models without a chat template.
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) control_tokens: ControlTokensFlag,
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
    /// File to write: one tensor `logits`, f32, of shape [n_tokens, vocab_size].
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Render {
    /// Model folder, http(s) URL or Hugging Face hub name.
    #[arg(long, short, value_name = "DIR|URL")]
    pub(crate) model: String,
    /// JSON file with the messages: a list of {"role": ..., "content": ...}.
    #[arg(long, value_name = "FILE")]
    pub(crate) messages: PathBuf,
    /// JSON file with a list of tools in OpenAI's format.
    #[arg(long, value_name = "FILE")]
    pub(crate) tools: Option<PathBuf>,
    /// End with the last message, not with the beginning of an answer.
    #[arg(long)]
    pub(crate) no_generation_prompt: bool,
    /// Use the plain format "User: ... Assistant: ..." instead of the chat template of the model.
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) control_tokens: ControlTokensFlag,
    /// Print {"text": ..., "ids": [...]}.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whether the text of control tokens in messages counts.
#[derive(Args, Clone, Copy)]
pub(crate) struct ControlTokensFlag {
    /// Let the text of control tokens in messages, such as <|im_end|>, become control tokens. Without this flag only the
    /// chat template makes control tokens. Use it only for messages that you trust.
    #[arg(long)]
    pub(crate) trust_control_tokens: bool,
}

impl ControlTokensFlag {
    /// How a conversation becomes a prompt.
    pub(crate) fn chat_options(self, plain: bool) -> ChatOptions {
        ChatOptions {
            format: if plain { ChatFormat::Plain } else { ChatFormat::Template },
            control_tokens: if self.trust_control_tokens {
                ControlTokens::Anywhere
            } else {
                ControlTokens::OfTemplate
            },
            ..ChatOptions::default()
        }
    }
}

#[derive(Args)]
pub(crate) struct Tokenize {
    /// Model folder or GGUF file, http(s) URL, or Hugging Face hub name (owner/name, owner/name/file.gguf, owner/name:Q4_K_M).
    #[arg(long, short, value_name = "DIR|URL")]
    pub(crate) model: String,
    /// The text to tokenize.
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: String,
    /// Do not add special tokens.
    #[arg(long)]
    pub(crate) no_special: bool,
    /// Print {"ids": [...], "tokens": [...]}.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Detokenize {
    /// Model folder or GGUF file, http(s) URL, or Hugging Face hub name (owner/name, owner/name/file.gguf, owner/name:Q4_K_M).
    #[arg(long, short, value_name = "DIR|URL")]
    pub(crate) model: String,
    /// Token ids, separated by commas or spaces.
    #[arg(value_delimiter = ',', required = true)]
    pub(crate) ids: Vec<u32>,
    /// Leave special tokens out of the text.
    #[arg(long)]
    pub(crate) skip_special: bool,
    /// Print {"text": ...}.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Quantize {
    /// The float checkpoint, or a GGUF file: folder or file, http(s) URL or hub name.
    pub(crate) source: String,
    /// The folder to write; it must be empty or must not exist.
    pub(crate) destination: PathBuf,
    /// Bits per weight.
    #[arg(long, value_parser = ["4", "8"], default_value = "4")]
    pub(crate) bits: String,
    /// Number of columns in a group; each group has one scale and one bias.
    #[arg(long, value_parser = ["32", "64", "128"], default_value = "64")]
    pub(crate) group_size: String,
    /// Other bits for a module and everything below it: model.embed_tokens=8, or model.layers.0=8:32 with its own group
    /// size, or lm_head=none to keep it in floats. May be given several times.
    #[arg(long, value_name = "MODULE=BITS")]
    pub(crate) r#override: Vec<Override>,
    /// Maximum size of a weights file, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) max_shard_size: u64,
    /// Do not compare the predictions of the copy with those of the source at the end.
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Do not show progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Args)]
pub(crate) struct Inspect {
    /// Model folder or GGUF file, http(s) URL, or Hugging Face hub name (owner/name, owner/name/file.gguf, owner/name:Q4_K_M).
    pub(crate) model: String,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Fidelity {
    #[command(flatten)]
    pub(crate) model: ModelFlags,
    /// Reference to compare with: f32 (the same weights, computed in 32-bit floats), or another checkpoint with the same
    /// tokenizer (folder, http(s) URL or hub name), computed in 32-bit floats on the CPU.
    #[arg(long, value_name = "f32|DIR|URL", default_value = "f32")]
    pub(crate) against: String,
    /// File with the text to compare on [default: a built-in text of about 900 tokens].
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,
    /// Tokens per chunk; each chunk is read separately.
    #[arg(long, value_name = "N", value_parser = whole(2, u32::MAX), default_value_t = CHUNK)]
    pub(crate) chunk: usize,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Bench {
    /// Model shape: mobilellm-125m, -ls-125m, -350m, -ls-350m, -600m, -1b, -1.5b, smollm2-135m, or LAYERSxHIDDEN such as
    /// 12x768.
    #[arg(long, value_name = "SHAPE", value_parser = Shape::parse, default_value = "mobilellm-125m")]
    pub(crate) shape: Shape,
    #[command(flatten)]
    pub(crate) size: SizeFlags,
    /// Measure all shapes of a study instead: layer-sharing or depth.
    #[arg(long, value_name = "NAME", value_parser = study, conflicts_with_all = ["shape", "model"])]
    pub(crate) study: Option<Study>,
    /// Measure a checkpoint instead of random weights: folder, http(s) URL or hub name.
    #[arg(long, short, value_name = "DIR|URL", conflicts_with = "shape")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) backend: BackendFlags,
    #[arg(long, help = option::help(&load::WEIGHTS), value_parser = option::word::<WeightFormat>(&load::WEIGHTS),
        default_value = "q4")]
    pub(crate) weights: WeightFormat,
    /// Prompt lengths for the prefill measurement, in tokens, separated by commas.
    #[arg(long, value_name = "LENGTHS", value_delimiter = ',', value_parser = whole(1, u32::MAX), default_value = "128,512,1024")]
    pub(crate) prefill: Vec<usize>,
    /// Tokens to decode.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = whole(1, u32::MAX))]
    pub(crate) decode: usize,
    /// Length of the long context for the decode measurement, in tokens.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = whole(1, u32::MAX))]
    pub(crate) context: usize,
    /// Number of runs of each measurement; the median is reported.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole(1, u32::MAX))]
    pub(crate) repeat: usize,
    /// Time limit of one run, in seconds; a measurement that would take longer is shortened or left out.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = seconds)]
    pub(crate) limit: f64,
    /// Print one JSON object per shape, one per line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not show progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Sizes that replace those of the named shape.
#[derive(Args)]
pub(crate) struct SizeFlags {
    /// Number of query heads; it must divide the hidden size.
    #[arg(long, value_name = "N")]
    pub(crate) heads: Option<usize>,
    /// Number of key/value heads; it must divide the number of query heads.
    #[arg(long, value_name = "N")]
    pub(crate) kv_heads: Option<usize>,
    /// Feed-forward width.
    #[arg(long, value_name = "N")]
    pub(crate) ffn: Option<usize>,
    /// Number of tokens in the vocabulary.
    #[arg(long, value_name = "N")]
    pub(crate) vocab: Option<usize>,
    /// Run each block twice in a row (layer sharing).
    #[arg(long)]
    pub(crate) layer_sharing: bool,
}
