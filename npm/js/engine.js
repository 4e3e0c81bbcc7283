// The engine, as a page uses it.

import { Channel } from "./channel.js";
import { wellFormed } from "./checks.js";
import { ChatCompletions, TextCompletions } from "./completions.js";
import { MobileLLMError, cancelled, invalid, show, workerFailed } from "./errors.js";
import { tokenIds } from "./requests.js";
import { resolveSource } from "./source.js";

export const BACKENDS = ["auto", "gpu", "cpu"];
export const WEIGHTS = ["auto", "stored", "f32", "f16", "q8", "q4"];

export class Engine {
  #channel;
  #info;

  constructor(channel, info) {
    this.#channel = channel;
    this.#info = info;
    this.chat = { completions: new ChatCompletions(channel, info.model) };
    this.completions = new TextCompletions(channel, info.model);
  }

  static async load(source, options = {}) {
    const { onProgress, signal, ...settings } = options;
    const engineOptions = checked(settings);
    const resolved = await resolveSource(source);
    if (signal?.aborted) throw cancelled();
    const channel = new Channel();
    const { port1, port2 } = new MessageChannel();
    // Files that the user picked are read without fetch.
    const reader = resolved.kind === "url" ? startReader(port1, channel, resolved.pieces) : null;
    // Ending the worker frees everything at once: the connection, the memory and the GPU.
    const abort = () => channel.end(cancelled());
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const { pieces, ...source } = resolved;
      const params = { source, options: engineOptions, reader: port2 };
      const info = await channel.call("load", params, { onEvent: onProgress, transfer: [port2] });
      return new Engine(channel, info);
    } catch (error) {
      channel.end(error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      reader?.terminate();
    }
  }

  async tokenize(text) {
    if (typeof text !== "string") throw invalid("text", `must be a string, not ${show(text)}`);
    return this.#channel.call("tokenize", { text: wellFormed(text) });
  }

  async detokenize(ids) {
    return this.#channel.call("detokenize", { ids: tokenIds("ids", ids) });
  }

  async fidelity(options = {}) {
    const { text, chunk, onProgress, signal, ...rest } = options;
    const [unknown] = Object.keys(rest);
    if (unknown) throw invalid(unknown, "is not an option of fidelity(); the options are text, chunk, onProgress and signal");
    if (text !== undefined && typeof text !== "string") throw invalid("text", `must be a string, not ${show(text)}`);
    if (chunk !== undefined) positive("chunk", chunk);
    const settings = { text: text === undefined ? undefined : wellFormed(text), chunk };
    return this.#channel.call("fidelity", settings, { onEvent: onProgress, signal });
  }

  info() {
    return structuredClone(this.#info);
  }

  close() {
    this.#channel.end(new MobileLLMError("closed", "the engine was closed; load it again with Engine.load()"));
  }

  [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() {
    this.close();
  }
}

/** Starts the worker that reads files while the engine computes. If that worker fails, the channel ends. */
function startReader(port, channel, pieces) {
  const worker = new Worker(new URL("./reader.js", import.meta.url), { type: "module", name: "mobilellm-reader" });
  worker.onerror = (event) => channel.end(workerFailed("reader", event));
  worker.postMessage(pieces ?? null, [port]);
  return worker;
}

/** Checks the names and values of the load options, and returns those that the worker needs. */
function checked(settings) {
  const {
    backend = "auto",
    weights = "auto",
    tier,
    int8Tiles,
    maxContext,
    ignoreConfigFields = [],
    stallTimeout = 30_000,
    ...rest
  } = settings;
  const [unknown] = Object.keys(rest);
  if (unknown) throw invalid(unknown, "is not an option of Engine.load(); see LoadOptions in index.d.ts");
  oneOf("backend", backend, BACKENDS);
  oneOf("weights", weights, WEIGHTS);
  maybe("int8Tiles", int8Tiles);
  if (maxContext !== undefined) positive("maxContext", maxContext);
  if (!Array.isArray(ignoreConfigFields) || ignoreConfigFields.some((name) => typeof name !== "string")) {
    throw invalid("ignoreConfigFields", `must be a list of names, not ${show(ignoreConfigFields)}`);
  }
  positive("stallTimeout", stallTimeout);
  return { backend, weights, tier, int8Tiles, maxContext, ignoreConfigFields, stallTimeout };
}

export function maybe(name, value) {
  if (![undefined, true, false].includes(value)) throw invalid(name, `must be true or false, not ${show(value)}`);
}

export function oneOf(name, value, values) {
  if (!values.includes(value)) throw invalid(name, `must be one of ${values.join(", ")}, not ${show(value)}`);
}

export function positive(name, value) {
  if (!Number.isInteger(value) || value < 1) throw invalid(name, `must be a positive whole number, not ${show(value)}`);
}
