// The engine, as a page uses it.

import { Channel } from "./channel.js";
import { wellFormed } from "./checks.js";
import { ChatCompletions, TextCompletions } from "./completions.js";
import { MobileLLMError, cancelled, invalid, show, workerFailed } from "./errors.js";
import { LOAD_OPTIONS } from "./options.js";
import { tokenIds } from "./requests.js";
import { resolveSource } from "./source.js";

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
function checked({ stallTimeout = 30_000, ...settings }) {
  positive("stallTimeout", stallTimeout);
  const options = loadOptions(settings, Object.keys(LOAD_OPTIONS), "Engine.load(); see LoadOptions in index.d.ts");
  return { backend: "auto", weights: "auto", ignoreConfigFields: [], ...options, stallTimeout };
}

/**
 * Checks settings as load options and returns those that are set. If the name of a setting is not in `names`, it throws an error:
 * `place` has no such option.
 */
export function loadOptions(settings, names, place) {
  const set = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(set.map(([name, value]) => {
    if (!names.includes(name)) throw invalid(name, `is not an option of ${place}`);
    return [name, LOAD_OPTIONS[name](name, value)];
  }));
}

export function positive(name, value) {
  if (!Number.isInteger(value) || value < 1) throw invalid(name, `must be a positive whole number, not ${show(value)}`);
}
