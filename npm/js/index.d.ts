/** Where a checkpoint comes from. */
export type Source =
  /**
   * A hub id (`"org/name"`, `"org/name@revision"`), or the URL of a folder that holds `config.json`: absolute, or
   * relative to the page when it begins with `./`, `../` or `/`.
   */
  | string
  | URL
  /** The files of a folder, as `<input type="file" webkitdirectory>` or a drop gives them. */
  | FileList
  | Iterable<File>
  /** What `showDirectoryPicker()` gives. */
  | FileSystemDirectoryHandle;

export interface LoadOptions {
  /** Called as the weights arrive, several times a second. */
  onProgress?: (progress: Progress) => void;
  /** Stops the load at once and frees what it has taken. */
  signal?: AbortSignal;
  /** `"auto"` takes WebGPU where it works and the CPU otherwise; {@link Info.fallback_reason} then says why. */
  backend?: "auto" | "gpu" | "cpu";
  /** How the weights lie in memory; they are converted as they arrive. `"auto"` suits the checkpoint. */
  weights?: "auto" | "stored" | "f32" | "f16" | "q8" | "q4";
  /**
   * Forces a tier of GPU kernels, for tests and measurements: `"software"`, `"portable"`, `"subgroups"` or `"f16"`. One that
   * the adapter cannot have is an error.
   */
  tier?: string;
  /**
   * Whether the GPU multiplies prompts in 8-bit integers, where weights have 4 or 8 bits. By default that is measured, and
   * {@link Adapter.int8_tiles} says what came of it; force it where results must be the same on every start.
   */
  int8Tiles?: boolean;
  /** Longest context in tokens that memory is set aside for; the model's own by default. */
  maxContext?: number;
  /**
   * Fields of the model's `config.json` to ignore although the engine does not know them. By default it refuses a model with
   * unknown fields, because they may change what the model computes.
   */
  ignoreConfigFields?: string[];
  /** Milliseconds that a server may be silent before the load fails; 30,000 by default. */
  stallTimeout?: number;
}

export interface Progress {
  /** Bytes of weights that have arrived. */
  loaded: number;
  /** Bytes of weights in all; 0 while that is unknown. */
  total: number;
  /** Tensors that are in place. */
  tensors: number;
  /** Tensors in all; 0 while that is unknown. */
  totalTensors: number;
}

/** What runs, and where. */
export interface Info {
  /** The model's name: its folder, or its hub id. */
  model: string;
  /** Where the checkpoint came from. */
  source: string;
  model_type: string;
  parameters: number;
  num_hidden_layers: number;
  /** Each block runs twice (MobileLLM-LS). */
  layer_sharing: boolean;
  hidden_size: number;
  vocab_size: number;
  /** Tokens that prompt and answer may have together. */
  max_context: number;
  /** Bytes of the weights as they lie in memory. */
  weight_bytes: number;
  backend: "gpu" | "cpu";
  /** The GPU, where it computes. */
  adapter: Adapter | null;
  /** Why the CPU computes although nobody asked for it. */
  fallback_reason: string | null;
  /** Whether the model has a chat template; where not, see {@link ChatParams.chat_format}. */
  chat_template: boolean;
  /** What its `generation_config.json` recommends; requests that leave these open follow it. */
  generation: GenerationDefaults;
  /** What looked odd while loading. */
  warnings: string[];
}

/** How a model's makers recommend to generate; null where they say nothing. */
export interface GenerationDefaults {
  /** Any of these tokens ends an answer. */
  eos_token_ids: number[];
  do_sample: boolean;
  temperature: number | null;
  top_k: number | null;
  top_p: number | null;
  min_p: number | null;
  repetition_penalty: number | null;
}

/** The GPU as the browser describes it; browsers may leave names empty. */
export interface Adapter {
  adapter: string;
  driver: string;
  device_type: string;
  /** It is a CPU underneath. */
  software: boolean;
  /** Which kernels run. */
  tier: string;
  /** Prompts are multiplied in 8-bit integers where weights have 4 or 8 bits. */
  int8_tiles: boolean;
  [more: string]: unknown;
}

/** A model that is ready to answer. It lives in a worker of its own. */
export class Engine {
  private constructor();
  /**
   * Loads a checkpoint.
   *
   * @throws {MobileLLMError} that says what is wrong, where, and what to do.
   */
  static load(source: Source, options?: LoadOptions): Promise<Engine>;

  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: Completions;

  /** The ids of a text, with the special tokens that the model's tokenizer adds. */
  tokenize(text: string): Promise<number[]>;
  /** The text of ids, without special tokens. */
  detokenize(ids: ArrayLike<number>): Promise<string>;
  /**
   * Measures how far the engine's predictions are from those of its own weights multiplied in 32-bit floats, on a text.
   * Waits for what was asked for before.
   */
  fidelity(options?: FidelityOptions): Promise<Fidelity>;
  info(): Info;
  /** Ends the worker and frees its memory; what still runs fails with the code `"closed"`. */
  close(): void;
}

export interface FidelityOptions {
  /** The text to compare on; some 900 tokens of English by default. */
  text?: string;
  /** Tokens that are read in one go; 512 by default. */
  chunk?: number;
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Ends the measurement. */
  signal?: AbortSignal;
}

/** What {@link Engine.fidelity} found; `mobilellm fidelity --json` prints the same. */
export interface Fidelity {
  /** Positions compared. */
  positions: number;
  /** Mean Kullback-Leibler divergence of the predictions from the exact ones, in nats. */
  mean_kl: number;
  /** 99 of 100 positions have no larger one. */
  p99_kl: number;
  max_kl: number;
  /** Share of positions at which both find the same token likeliest, 0 to 1. */
  top1_agreement: number;
  /** Root mean square of the difference of the logits, relative to that of the exact ones. */
  logit_error: number;
  perplexity: number;
  /** Perplexity with exact products. */
  reference_perplexity: number;
}

/** Parameters that both endpoints know. Any other is refused by name. */
export interface SamplingParams {
  /** Most tokens to generate; what the context leaves room for by default. */
  max_tokens?: number | null;
  /** 0 takes the likeliest token every time. */
  temperature?: number | null;
  /** Takes from the smallest set of tokens with this much probability. */
  top_p?: number | null;
  /** Takes from this many of the likeliest tokens; 0 for all. */
  top_k?: number | null;
  /** Takes from the tokens that are at least this times as likely as the likeliest. */
  min_p?: number | null;
  /** The same seed gives the same text on the same backend. */
  seed?: number | null;
  /** Strings that end the text, and do not appear in it. */
  stop?: string | string[] | null;
  frequency_penalty?: number | null;
  presence_penalty?: number | null;
  /** Divides the scores of tokens that occurred; 1 does nothing. */
  repetition_penalty?: number | null;
  /** Added to the scores of tokens, by token id. */
  logit_bias?: Record<number, number> | null;
  /** Accepted and ignored: an engine has one model. */
  model?: string | null;
  /** Only 1. */
  n?: 1 | null;
  stream_options?: { include_usage?: boolean } | null;
  user?: string;
  metadata?: unknown;
  store?: boolean | null;
  service_tier?: string | null;
  /** As in {@link CallOptions}. */
  signal?: AbortSignal;
  /** Goes on after the token that ends a text, for measuring. */
  ignore_eos?: boolean | null;
  /**
   * Whether to guess several tokens at once where the text repeats itself; it changes no output. `"auto"`, the default,
   * guesses while that is faster.
   */
  speculation?: "auto" | "on" | "off" | null;
  /** Milliseconds of work that a GPU may be given ahead, 30 by default: what a cancel waits for at most. */
  in_flight_ms?: number | null;
}

/** What steers a call and is no part of the request. */
export interface CallOptions {
  /** Stops the generation: a stream then ends, a whole answer is rejected with the code `"cancelled"`. */
  signal?: AbortSignal;
  /** Called while the prompt is read, which takes a while when it is long. */
  onPrefill?: (progress: { done: number; total: number }) => void;
}

export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant" | "tool" | (string & {});
  content?: string | { type: "text"; text: string }[] | null;
  [more: string]: unknown;
}

export interface ChatParams extends SamplingParams {
  messages: ChatMessage[];
  max_completion_tokens?: number | null;
  logprobs?: boolean | null;
  /** Up to 20; needs `logprobs`. */
  top_logprobs?: number | null;
  /**
   * How the conversation becomes text: by the model's template, or, for base models, which have none, as a plain
   * dialogue of `User:` and `Assistant:`. `"template"` by default.
   */
  chat_format?: "template" | "plain" | null;
}

export interface CompletionParams extends SamplingParams {
  /** Text, or token ids. */
  prompt: string | number[] | [string];
  /** How many alternatives to report for each token, up to 20. */
  logprobs?: number | null;
  /** Puts the prompt before the completion. */
  echo?: boolean | null;
}

export interface ChatCompletions {
  create(params: ChatParams & { stream: true }, options?: CallOptions): Promise<CompletionStream<ChatCompletionChunk>>;
  create(params: ChatParams & { stream?: false | null }, options?: CallOptions): Promise<ChatCompletion>;
  create(
    params: ChatParams & { stream?: boolean | null },
    options?: CallOptions,
  ): Promise<ChatCompletion | CompletionStream<ChatCompletionChunk>>;
}

export interface Completions {
  create(params: CompletionParams & { stream: true }, options?: CallOptions): Promise<CompletionStream<Completion>>;
  create(params: CompletionParams & { stream?: false | null }, options?: CallOptions): Promise<Completion>;
  create(
    params: CompletionParams & { stream?: boolean | null },
    options?: CallOptions,
  ): Promise<Completion | CompletionStream<Completion>>;
}

/** Pieces as they are generated. Leaving the loop stops the generation. */
export interface CompletionStream<Chunk> extends AsyncIterable<Chunk> {
  /** Aborting it stops the generation. */
  readonly controller: AbortController;
  /** Newline-delimited JSON. */
  toReadableStream(): ReadableStream<Uint8Array>;
}

/** `"stop"`: the model ended its text, or a stop string did. `"length"`: a limit was reached. */
export type FinishReason = "stop" | "length";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Prompt tokens that were in the cache already. */
  prompt_tokens_details: { cached_tokens: number };
}

/** How fast it went; not in OpenAI's API. */
export interface Timings {
  first_token_ms: number;
  prefill_ms: number;
  /** Of the prompt's tokens that were not cached. */
  prefill_tokens_per_s: number;
  /** After the first token. */
  decode_tokens_per_s: number;
}

export interface TokenLogprob {
  token: string;
  logprob: number;
  bytes: number[];
}

export interface ChatLogprobs {
  content: (TokenLogprob & { top_logprobs: TokenLogprob[] })[];
  refusal: null;
}

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: {
    index: 0;
    message: { role: "assistant"; content: string; refusal: null };
    logprobs: ChatLogprobs | null;
    finish_reason: FinishReason;
  }[];
  usage: Usage;
  timings: Timings;
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: {
    index: 0;
    delta: { role?: "assistant"; content?: string };
    logprobs: ChatLogprobs | null;
    finish_reason: FinishReason | null;
  }[];
  /** In the last chunk of the choice; and in a chunk of its own with `stream_options: { include_usage: true }`. */
  usage?: Usage;
  timings?: Timings;
}

export interface Completion {
  id: string;
  object: "text_completion";
  created: number;
  model: string;
  choices: {
    index: 0;
    text: string;
    logprobs: {
      tokens: string[];
      token_logprobs: number[];
      top_logprobs: Record<string, number>[];
      text_offset: number[];
    } | null;
    finish_reason: FinishReason | null;
  }[];
  usage?: Usage;
  timings?: Timings;
}

export type ErrorCode =
  /** A file of the checkpoint is not there. */
  | "missing_file"
  /** A file of the checkpoint is broken. */
  | "invalid_file"
  /** The checkpoint asks for something that this engine does not do. */
  | "unsupported"
  /** Bytes could not be read from the server or the disk. */
  | "fetch_failed"
  /** The prompt does not fit into the context. */
  | "context_length_exceeded"
  /** A parameter is wrong. */
  | "invalid_request"
  /** The chat template is missing or broken. */
  | "chat_template"
  /** The device has not enough of something. */
  | "limit_exceeded"
  /** The GPU is missing, was lost, or failed. */
  | "device"
  /** There is not enough memory, on the GPU or for the tab. */
  | "out_of_memory"
  /** The caller aborted. */
  | "cancelled"
  /** The engine was closed. */
  | "closed"
  /** The worker could not be started. */
  | "worker"
  /** A bug in the engine. */
  | "internal";

/** Everything that this package throws. The message says what was wrong, where, and what to do. */
export class MobileLLMError extends Error {
  constructor(code: ErrorCode, message: string, options?: ErrorOptions);
  readonly name: "MobileLLMError";
  readonly code: ErrorCode;
}

/** The files of what was dropped on a page: a folder, or files. Call it in the drop handler, before any `await`. */
export function filesFromDataTransfer(dataTransfer: DataTransfer): Promise<File[]>;

/** The shape of a decoder, in the words of `config.json`; embeddings are tied. */
export interface Shape {
  /** What reports call it. */
  name: string;
  num_hidden_layers: number;
  hidden_size: number;
  /** They divide `hidden_size`. */
  num_attention_heads: number;
  /** They divide `num_attention_heads`. */
  num_key_value_heads: number;
  intermediate_size: number;
  vocab_size: number;
  /** Each block runs twice in a row (MobileLLM-LS). */
  layer_sharing?: boolean;
}

export interface BenchmarkOptions {
  /** A published shape such as `"mobilellm-125m"` (the default), `"LAYERSxHIDDEN"` such as `"12x768"`, or all sizes. */
  shape?: string | Shape;
  backend?: "auto" | "gpu" | "cpu";
  /** `"q4"` by default. */
  weights?: "auto" | "stored" | "f32" | "f16" | "q8" | "q4";
  /** Forces a tier of GPU kernels: `"software"`, `"portable"`, `"subgroups"` or `"f16"`. */
  tier?: string;
  /** As in {@link LoadOptions}. */
  int8Tiles?: boolean;
  /** Lengths of prompts; 128, 512 and 1024 by default. */
  prefill?: number[];
  /** Tokens to write; 128 by default. */
  decode?: number;
  /** Tokens of the long context that they are written after; 1024 by default. */
  context?: number;
  /** Everything is run so often, and the median reported; 3 by default. */
  repeats?: number;
  /** Seconds that any one run may take; what would take longer is cut short or left out. 20 by default. */
  limit?: number;
  onProgress?: (stage: BenchmarkStage) => void;
  /** Ends the measurement at once. */
  signal?: AbortSignal;
}

export interface BenchmarkStage {
  name: "load" | "prefill" | "decode" | "kernels" | "ceiling";
  /** Length of the prompt or the context, 0 where there is none. */
  tokens: number;
  /** From 0 to 1. */
  done: number;
}

/** What a measurement found; `mobilellm bench --json` prints the same. */
export interface BenchmarkReport {
  version: string;
  /** The browser or the processor. */
  machine: { name: string; system: string; threads: number };
  shape: Required<Shape>;
  source: string;
  parameters: number;
  weights: string;
  weight_bytes: number;
  backend: "gpu" | "cpu";
  adapter: Adapter | null;
  fallback_reason: string | null;
  /** Milliseconds, in order: they add up to the time from a running engine to the first token. */
  load: { init_ms: number; load_ms: number; prepare_ms: number; first_token_ms: number };
  prefill: { tokens: number; ms: number; tokens_per_s: number; runs: number }[];
  decode: {
    context: number;
    tokens: number;
    ms_per_token: number;
    tokens_per_s: number;
    runs: number;
    weight_bytes: number;
    cache_bytes: number;
    /** What the GPU was asked for, a token. */
    per_token: {
      dispatches: number;
      submits: number;
      readbacks: number;
      bytes_read: number;
      writes: number;
      bytes_written: number;
    } | null;
    /** What the device's launches and its memory allow; `reached` is 1 where nothing could be faster. */
    bound: { launch_ms: number; memory_ms: number; reached: number } | null;
  }[];
  /** Microseconds on the GPU, by kind of kernel, of a pass over `rows` tokens. */
  kernels: { rows: number; context: number; us: number; kernels: { kernel: string; dispatches: number; us: number }[] }[];
  /** What the GPU does when it does nothing else. */
  ceiling: {
    dispatch_us: number;
    record_us: number;
    round_trip_us: number;
    copy_bytes_per_s: number;
    copied_bytes: number;
  } | null;
  /** What was not measured, and why. */
  left_out: string[];
}

/** Measures how fast a shape runs here. Weights are random and made on the spot: nothing is downloaded. */
export function benchmark(options?: BenchmarkOptions): Promise<BenchmarkReport>;

/** The published shapes with their parameters, the studies made of them, and the tiers that an adapter may have. */
export function benchmarkChoices(): Promise<{
  shapes: (Required<Shape> & { parameters: number })[];
  studies: { name: string; title: string; about: string; shapes: Required<Shape>[] }[];
  tiers: string[];
}>;
