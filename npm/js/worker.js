// The engine worker. It holds one engine and answers the calls of channel.js.

import init, { Canceller, WebEngine, benchmark, benchmarkChoices, onPanic } from "./mobilellm.js";
import { ReadAhead } from "./read-ahead.js";

let engine = null;
let lastGeneration = Promise.resolve();
const cancellers = new Map();

async function start() {
  await init();
  onPanic((message) => {
    const text = `the engine crashed. This is a bug in mobilellm: please report it with this message, then load the model again. ${message}`;
    postMessage({ fatal: { code: "internal", message: text } });
  });
}

const methods = {
  async load({ source, options, reader }, report) {
    await start();
    engine = await WebEngine.load(source, new ReadAhead(reader), options, report);
    return engine.info();
  },

  // One generation at a time: all requests share one key/value cache.
  generate(request, report, canceller) {
    const generation = lastGeneration.then(() => engine.generate(request, canceller, report));
    lastGeneration = generation.catch(() => {});
    return generation;
  },

  // Waits for earlier generations: both need the memory of the engine.
  fidelity(settings, report, canceller) {
    const comparison = lastGeneration.then(() => engine.fidelity(settings, canceller, report));
    lastGeneration = comparison.catch(() => {});
    return comparison;
  },

  tokenize: ({ text }) => Array.from(engine.tokenize(text)),
  detokenize: ({ ids }) => engine.detokenize(ids),

  async benchmark(settings, report) {
    await start();
    return benchmark(settings, report);
  },

  async benchmarkChoices() {
    await start();
    return benchmarkChoices();
  },
};

async function answer({ id, method, params }) {
  const canceller = ["generate", "fidelity"].includes(method) ? new Canceller() : null;
  if (canceller) cancellers.set(id, canceller);
  try {
    const result = await methods[method](params, (event) => postMessage({ id, event }), canceller);
    postMessage({ id, result });
  } catch (error) {
    postMessage({ id, error: { code: error?.code ?? "internal", message: error?.message ?? String(error) } });
  } finally {
    cancellers.delete(id);
    canceller?.free();
  }
}

onmessage = ({ data }) => {
  if (data.method === "cancel") cancellers.get(data.id)?.cancel();
  else answer(data);
};
