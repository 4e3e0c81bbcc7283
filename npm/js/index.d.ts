/** Where the checkpoint is. */
export type Source =
  /**
   * A Hugging Face hub id, or the URL of a folder that contains `config.json`, of a GGUF file, or of the `pieces.json` of a folder
   * in which large files are cut into pieces. Hub ids are `"org/name"`, and for GGUF files `"org/name/file.gguf"` or
   * `"org/name:Q4_K_M"` (the file of that quantisation); `"@revision"` may follow. The URL is absolute, or relative to the page if
   * it begins with `./`, `../` or `/`.
   */
  | string
  | URL
  /** A GGUF file that the user picked. */
  | File
  /** The files of a folder, from `<input type="file" webkitdirectory>` or from a drop. */
  | FileList
  | Iterable<File>
  /** The result of `showDirectoryPicker()`. */
  | FileSystemDirectoryHandle;

export interface LoadOptions {
  /** Called several times a second while the weights arrive. */
  onProgress?: (progress: Progress) => void;
  /** Stops the load at once and frees its memory. */
  signal?: AbortSignal;
  // Begin of the load options, made by `cargo xtask options`.
  /** Backend. auto uses the GPU if a hardware GPU works, and the CPU otherwise. Default: auto. */
  backend?: "auto" | "gpu" | "cpu";
  /**
   * Number format of the weights in memory. They are converted while they arrive. stored keeps the format of the checkpoint;
   * auto does too, but converts large float checkpoints to 8 bits. Default: auto.
   */
  weights?: "auto" | "stored" | "f32" | "f16" | "q8" | "q4";
  /**
   * Force a tier of GPU kernels, for tests and measurements. A tier that the GPU does not support is an error. Default: the
   * highest that the GPU supports.
   */
  tier?: "software" | "portable" | "subgroups" | "f16";
  /**
   * Use 8-bit integer products for prefill on the GPU, for weights of 4 or 8 bits. Without a choice the engine measures which
   * is faster, so its choice may change between starts, and the text with it.
   */
  int8Tiles?: boolean;
  /** Maximum context in tokens, for which memory is reserved. Default: the maximum of the model, at most 4096. */
  maxContext?: number;
  /**
   * Ignore a field of config.json that the engine does not know. It refuses unknown fields, because they may change what the
   * model computes. It may also be a list of strings.
   */
  ignoreConfigFields?: string | string[];
  // End of the load options.
  /** The load fails if the server sends no byte for this many milliseconds. Default: 30,000. */
  stallTimeout?: number;
}

export interface Progress {
  /** Bytes of weights that have arrived. */
  loaded: number;
  /** Total bytes of weights; 0 while unknown. */
  total: number;
  /** Tensors that are loaded. */
  tensors: number;
  /** Total number of tensors; 0 while unknown. */
  totalTensors: number;
}

/** Facts about the loaded model and its backend. */
export interface Info {
  /** Name of the model: the name of its folder, or its hub id. */
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
  /** Maximum number of tokens of prompt and answer together. */
  max_context: number;
  /** Bytes of the weights in memory. */
  weight_bytes: number;
  backend: "gpu" | "cpu";
  /** The GPU; null if the model runs on the CPU. */
  adapter: Adapter | null;
  /** Why `backend: "auto"` uses the CPU; null otherwise. */
  fallback_reason: string | null;
  /** Whether the model has a chat template. If not, see {@link ChatParams.chat_format}. */
  chat_template: boolean;
  /** The recommendations of `generation_config.json`. They are the defaults of requests. */
  generation: GenerationDefaults;
  /** Problems that were found while loading and did not stop the load. */
  warnings: string[];
}

/** Sampling options that the authors of the model recommend; null if they recommend nothing. */
export interface GenerationDefaults {
  /** Each of these tokens ends an answer. */
  eos_token_ids: number[];
  do_sample: boolean;
  temperature: number | null;
  top_k: number | null;
  top_p: number | null;
  min_p: number | null;
  repetition_penalty: number | null;
}

/** The GPU, as the browser describes it. Browsers may leave names empty. */
export interface Adapter {
  adapter: string;
  driver: string;
  device_type: string;
  /** The GPU is emulated by the CPU. */
  software: boolean;
  /** The tier of GPU kernels in use. */
  tier: string;
  /** Whether prefill uses 8-bit integer products for weights of 4 or 8 bits. */
  int8_tiles: boolean;
  [more: string]: unknown;
}

/** A loaded model. It runs in its own worker. */
export class Engine {
  private constructor();
  /**
   * Loads a checkpoint.
   *
   * @throws {MobileLLMError} The message says what is wrong, where, and what to do.
   */
  static load(source: Source, options?: LoadOptions): Promise<Engine>;

  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: Completions;

  /** The token ids of a text, with the special tokens that the tokenizer of the model adds. */
  tokenize(text: string): Promise<number[]>;
  /** The text of token ids, without special tokens. */
  detokenize(ids: ArrayLike<number>): Promise<string>;
  /**
   * Measures the accuracy of the fast arithmetic on a text: compares the predictions with those of the same weights computed
   * in 32-bit floats. Waits for earlier requests.
   */
  fidelity(options?: FidelityOptions): Promise<Fidelity>;
  info(): Info;
  /** Ends the worker and frees its memory. Calls that still run fail with the code `"closed"`. */
  close(): void;
}

export interface FidelityOptions {
  /** The text to compare on. Default: about 900 tokens of English. */
  text?: string;
  /** Tokens per chunk; each chunk is read separately. Default: 512. */
  chunk?: number;
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Stops the measurement. */
  signal?: AbortSignal;
}

/** The result of {@link Engine.fidelity}. `mobilellm fidelity --json` prints the same. */
export interface Fidelity {
  /** Number of positions compared. */
  positions: number;
  /** Mean Kullback-Leibler divergence of the predictions from those in 32-bit floats, in nats. */
  mean_kl: number;
  /** 99th percentile of the divergence, in nats. */
  p99_kl: number;
  max_kl: number;
  /** Share of positions at which both have the same most likely token, 0 to 1. */
  top1_agreement: number;
  /** Root mean square of the difference of the logits, divided by the root mean square of the logits in 32-bit floats. */
  logit_error: number;
  perplexity: number;
  /** Perplexity in 32-bit floats. */
  reference_perplexity: number;
}

/** Parameters of both endpoints. An unknown parameter is an error that names it. */
export interface SamplingParams {
  // Begin of the request options, made by `cargo xtask options`.
  /** Maximum number of tokens to generate. Default: until the model ends its text or the context is full. */
  max_tokens?: number | null;
  /**
   * 0 always chooses the most likely token; higher values give more varied text. From 0 to 100. Default: the recommendation
   * of the model, or 1.
   */
  temperature?: number | null;
  /**
   * Choose from the smallest set of most likely tokens whose probabilities sum to at least this value; 1 is off. From 0 to 1.
   * Default: the recommendation of the model, or 1.
   */
  top_p?: number | null;
  /** Choose from this many of the most likely tokens; 0 is off. Default: the recommendation of the model, or 0. */
  top_k?: number | null;
  /**
   * Choose from tokens whose probability is at least this value times that of the most likely token; 0 is off. From 0 to 1.
   * Default: the recommendation of the model, or 0.
   */
  min_p?: number | null;
  /** Random seed; the same seed gives the same text on the same backend. Default: a new seed every time. */
  seed?: number | null;
  /** Stop at this string, which does not become part of the text. It may also be a list of strings. */
  stop?: string | string[] | null;
  /** Subtract this from a token's logit for each time it was generated; 0 is off. From -2 to 2. Default: 0. */
  frequency_penalty?: number | null;
  /** Subtract this from a token's logit once it was generated; 0 is off. From -2 to 2. Default: 0. */
  presence_penalty?: number | null;
  /**
   * Make tokens that already occurred less likely; 1 is off. From 0.01 to 100. Default: the recommendation of the model, or
   * 1.
   */
  repetition_penalty?: number | null;
  /** Values that are added to the logits of tokens, by token id. From -100 to 100. */
  logit_bias?: Record<number, number> | null;
  /** Continue after an end-of-sequence token, for measurements. Default: false. */
  ignore_eos?: boolean | null;
  /**
   * Speculative decoding: guess several tokens at once where the text repeats itself, and check them. It never changes the
   * output. auto does it while it is faster. Default: auto.
   */
  speculation?: "auto" | "on" | "off" | null;
  /** Milliseconds of work that the GPU may receive in advance. A cancel waits for this work. From 0 to 60000. Default: 30. */
  in_flight_ms?: number | null;
  // End of the request options.
  /** Accepted and ignored, because an engine has only one model. */
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
}

/** Options of a call. They are not part of the request. */
export interface CallOptions {
  /** Stops the generation. A stream then ends; a call without `stream` fails with the code `"cancelled"`. */
  signal?: AbortSignal;
  /** Called with the progress of the prefill. A long prompt takes a while. */
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
   * How the messages become a prompt: `"template"` (the default) uses the chat template of the model. `"plain"` writes a
   * dialogue of `User:` and `Assistant:`, for base models, which have no template.
   */
  chat_format?: "template" | "plain" | null;
  /**
   * Which control tokens count. `"template"` (the default): those that the chat template writes; the text of a control token
   * in a message, such as `<|im_end|>`, stays text. `"anywhere"`: those in messages too, for messages that you trust.
   */
  control_tokens?: "template" | "anywhere" | null;
}

export interface CompletionParams extends SamplingParams {
  /** Text, or token ids. */
  prompt: string | number[] | [string];
  /** Number of alternatives to report for each token, up to 20. */
  logprobs?: number | null;
  /** Returns the prompt in front of the completion. */
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

/** The chunks of an answer while it is generated. Leaving the loop stops the generation. */
export interface CompletionStream<Chunk> extends AsyncIterable<Chunk> {
  /** Aborting it stops the generation. */
  readonly controller: AbortController;
  /** Newline-delimited JSON. */
  toReadableStream(): ReadableStream<Uint8Array>;
}

/** `"stop"`: the model ended its answer, or a stop string occurred. `"length"`: `max_tokens` or the context limit was reached. */
export type FinishReason = "stop" | "length";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Prompt tokens that were still in the cache from an earlier request. */
  prompt_tokens_details: { cached_tokens: number };
}

/** Speed of the generation. Not part of OpenAI's API. */
export interface Timings {
  first_token_ms: number;
  prefill_ms: number;
  /** Only prompt tokens that were not cached count. */
  prefill_tokens_per_s: number;
  /** Only tokens after the first one count. */
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
  /** In the last chunk of the choice. With `stream_options: { include_usage: true }` also in an additional last chunk. */
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
  /** A file of the checkpoint is missing. */
  | "missing_file"
  /** A file of the checkpoint is invalid. */
  | "invalid_file"
  /** The checkpoint needs a feature that the engine does not have. */
  | "unsupported"
  /** Bytes could not be read from the server or the disk. */
  | "fetch_failed"
  /** The prompt does not fit into the context. */
  | "context_length_exceeded"
  /** An option or a parameter is wrong. */
  | "invalid_request"
  /** The chat template is missing or does not work. */
  | "chat_template"
  /** The model needs more than the device offers, for example memory. */
  | "limit_exceeded"
  /** The GPU is missing, was lost, or failed. */
  | "device"
  /** There is not enough memory, on the GPU or for the tab. */
  | "out_of_memory"
  /** The caller aborted the call. */
  | "cancelled"
  /** The engine was closed. */
  | "closed"
  /** A worker could not start, or failed. */
  | "worker"
  /** A bug in the engine. */
  | "internal";

/** The only error type of this package. The message says what is wrong, where, and what to do. */
export class MobileLLMError extends Error {
  constructor(code: ErrorCode, message: string, options?: ErrorOptions);
  readonly name: "MobileLLMError";
  readonly code: ErrorCode;
}

/** The files that were dropped on a page: those of a folder, or single files. Call it in the drop handler, before any `await`. */
export function filesFromDataTransfer(dataTransfer: DataTransfer): Promise<File[]>;

/** The shape of a model, with the names of `config.json`. Embeddings are tied. */
export interface Shape {
  /** Name of the shape in reports. */
  name: string;
  num_hidden_layers: number;
  hidden_size: number;
  /** Must divide `hidden_size`. */
  num_attention_heads: number;
  /** Must divide `num_attention_heads`. */
  num_key_value_heads: number;
  intermediate_size: number;
  vocab_size: number;
  /** Each block runs twice in a row (MobileLLM-LS). */
  layer_sharing?: boolean;
  /** Further fields of `config.json`, for other families: `model_type` and what that family reads. */
  fields?: Record<string, unknown>;
}

export interface BenchmarkOptions extends Pick<LoadOptions, "backend" | "tier" | "int8Tiles"> {
  /** A named shape such as `"mobilellm-125m"` (the default), `"LAYERSxHIDDEN"` such as `"12x768"`, or an object with all sizes. */
  shape?: string | Shape;
  /** Default: `"q4"`. */
  weights?: LoadOptions["weights"];
  /** Prompt lengths for the prefill measurement. Default: 128, 512 and 1024. */
  prefill?: number[];
  /** Tokens to decode. Default: 128. */
  decode?: number;
  /** Length of the long context for the decode measurement, in tokens. Default: 1024. */
  context?: number;
  /** Number of runs of each measurement; the median is reported. Default: 3. */
  repeats?: number;
  /** Time limit of one run in seconds. A measurement that would take longer is shortened or left out. Default: 20. */
  limit?: number;
  onProgress?: (stage: BenchmarkStage) => void;
  /** Stops the measurement at once. */
  signal?: AbortSignal;
}

export interface BenchmarkStage {
  name: "load" | "prefill" | "decode" | "kernels" | "ceiling";
  /** Length of the prompt or the context; 0 if there is none. */
  tokens: number;
  /** From 0 to 1. */
  done: number;
}

/** The result of a benchmark. `mobilellm bench --json` prints the same. */
export interface BenchmarkReport {
  version: string;
  /** The browser, or the processor. */
  machine: { name: string; system: string; threads: number };
  shape: Required<Shape>;
  source: string;
  parameters: number;
  weights: string;
  weight_bytes: number;
  backend: "gpu" | "cpu";
  adapter: Adapter | null;
  fallback_reason: string | null;
  /** Times in milliseconds, in order. Their sum is the time from a running engine to the first token. */
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
    /** GPU work per token. */
    per_token: {
      dispatches: number;
      submits: number;
      readbacks: number;
      bytes_read: number;
      writes: number;
      bytes_written: number;
    } | null;
    /**
     * Lower limits of the time per token: `launch_ms` for kernel launches alone, `memory_ms` for memory reads alone. `reached` is
     * the share of the possible speed, from 0 to 1.
     */
    bound: { launch_ms: number; memory_ms: number; reached: number } | null;
  }[];
  /** Microseconds on the GPU for a pass over `rows` tokens, by kernel. */
  kernels: { rows: number; context: number; us: number; kernels: { kernel: string; dispatches: number; us: number }[] }[];
  /** Limits of the device: the best launch, record, round-trip and copy times. */
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

/** Measures how fast a model shape runs on this device. The weights are random numbers; nothing is downloaded. */
export function benchmark(options?: BenchmarkOptions): Promise<BenchmarkReport>;

/** The named shapes with their parameter counts, the studies that compare them, and the tiers of GPU kernels. */
export function benchmarkChoices(): Promise<{
  shapes: (Required<Shape> & { parameters: number })[];
  studies: { name: string; title: string; about: string; shapes: Required<Shape>[] }[];
  tiers: string[];
}>;
