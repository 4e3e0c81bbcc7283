// Calls to the worker. Each call has an id, may send events while it runs, and can be cancelled.

import { MobileLLMError, cancelled, workerFailed } from "./errors.js";

/** The end of the channel on the main thread. */
export class Channel {
  #worker;
  #calls = new Map();
  #nextId = 1;
  #ended = null;

  constructor() {
    // Bundlers recognise this form. It also works without a bundler.
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "mobilellm" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => this.end(workerFailed("engine", event));
  }

  /**
   * Calls a method of the worker.
   *
   * `onEvent` receives the events of the call while it runs. When `signal` aborts, the worker is asked to stop, and the
   * promise settles when it has stopped. `transfer` lists the parts of `params` that are transferred to the worker.
   */
  call(method, params, { onEvent, signal, transfer = [] } = {}) {
    if (this.#ended) return Promise.reject(this.#ended);
    if (signal?.aborted) return Promise.reject(cancelled());
    const id = this.#nextId++;
    const abort = () => this.#worker.postMessage({ id, method: "cancel" });
    signal?.addEventListener("abort", abort, { once: true });
    const promise = new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject, onEvent }));
    this.#worker.postMessage({ id, method, params }, transfer);
    return promise.finally(() => signal?.removeEventListener("abort", abort));
  }

  /** Stops the worker at once. Calls that still run fail with `error`. */
  end(error) {
    if (this.#ended) return;
    this.#ended = error;
    this.#worker.terminate();
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }

  #receive({ id, event, result, error, fatal }) {
    if (fatal) return this.end(new MobileLLMError(fatal.code, fatal.message));
    const call = this.#calls.get(id);
    if (!call) return;
    if (event !== undefined) return call.onEvent?.(event);
    this.#calls.delete(id);
    if (error) call.reject(new MobileLLMError(error.code, error.message));
    else call.resolve(result);
  }
}
