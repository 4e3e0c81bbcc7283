//! What the command line accepts, and the help that teaches it.

#![allow(clippy::doc_markdown, reason = "these comments are the help text, which is no markdown")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Run small Llama-shaped language models: MobileLLM, SmolLM2, Llama.
///
/// A model is a folder or an address that holds config.json, a tokenizer and *.safetensors, as checkpoints lie on the
/// Hugging Face hub; a hub name such as HuggingFaceTB/SmolLM2-135M-Instruct works too.
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
  mobilellm quantize DIR DIR-4bit --bits 4 --group-size 64";

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
    /// Tokens that the context holds [default: the model's, at most 4096].
    #[arg(long, value_name = "N")]
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
pub(crate) enum Weights {
    #[default]
    Auto,
    F32,
    F16,
    Q8,
    Q4,
}

/// How tokens are chosen.
#[derive(Args)]
pub(crate) struct SamplingFlags {
    /// Stop after this many tokens [default: until the model ends or the context is full].
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// 0 always takes the likeliest token; higher is more varied.
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub(crate) temperature: f32,
    /// Choose among the likeliest tokens that together reach this probability.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub(crate) top_p: f32,
    /// Choose among this many of the likeliest tokens; 0 means all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Choose among tokens at least this likely relative to the likeliest.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(crate) min_p: f32,
    /// Make tokens that were seen before less likely; 1 is off.
    #[arg(long, value_name = "R", default_value_t = 1.0)]
    pub(crate) repetition_penalty: f32,
    /// Subtract this from a token's logit for each time it was generated.
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) frequency_penalty: f32,
    /// Subtract this from a token's logit once it was generated.
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) presence_penalty: f32,
    /// Same seed, same text.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// End where this text comes; may be given several times.
    #[arg(long, value_name = "STR")]
    pub(crate) stop: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) model: ModelFlags,
    #[command(flatten)]
    pub(crate) text: GenerateText,
    /// What the model is told before the message; with --chat.
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub(crate) system: Option<String>,
    /// Chat with a model that has no template, as "User: ... Assistant: ..."; with --chat.
    #[arg(long, requires = "chat")]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
    /// Log-probabilities of the chosen tokens and of this many alternatives, in the JSON.
    #[arg(long, value_name = "N", requires = "json")]
    pub(crate) logprobs: Option<usize>,
    /// Print one JSON object at the end instead of streaming text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct GenerateText {
    /// The text to continue.
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// The message to answer.
    #[arg(long, value_name = "TEXT")]
    pub(crate) chat: Option<String>,
}

#[derive(Args)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) model: ModelFlags,
    /// What the model is told before the conversation.
    #[arg(long, value_name = "TEXT")]
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
    pub(crate) r#override: Vec<String>,
    /// Largest file, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    pub(crate) max_shard_size: u64,
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
