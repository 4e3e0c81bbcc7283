// The engine's thread. It holds one engine, and answers the calls of channel.js.

import init, { Canceller, WebEngine, benchmark, benchmarkChoices, onPanic } from "./mobilellm.js";
import { ReadAhead } from "./read-ahead.js";

let engine = null;
let lastGeneration = Promise.resolve();
const cancellers = new Map();

async function start() {
  await init();
  onPanic((message) => {
    const text = `the engine broke, which is a bug in it: ${message}`;
    postMessage({ fatal: { code: "internal", message: text } });
  });
}

const methods = {
  async load({ source, options, reader }, report) {
    await start();
    engine = await WebEngine.load(source, new ReadAhead(reader), options, report);
    return engine.info();
  },

  // One at a time: the conversations share the key/value cache.
  generate(request, report, canceller) {
    const generation = lastGeneration.then(() => engine.generate(request, canceller, report));
    lastGeneration = generation.catch(() => {});
    return generation;
  },

  // After what was asked for before: both need the engine's memory.
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
