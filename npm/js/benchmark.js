// The benchmark: how fast a model shape runs on this device, with random weights.

import { Channel } from "./channel.js";
import { loadOptions, positive } from "./engine.js";
import { MobileLLMError, cancelled, invalid, show } from "./errors.js";

/** Measures one shape in a new worker. Aborting ends the worker at once. */
export async function benchmark(options = {}) {
  const { onProgress, signal, ...settings } = options;
  const checkedSettings = checked(settings);
  if (signal?.aborted) throw cancelled();
  const channel = new Channel();
  const abort = () => channel.end(cancelled());
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await channel.call("benchmark", checkedSettings, { onEvent: onProgress });
  } finally {
    signal?.removeEventListener("abort", abort);
    close(channel);
  }
}

/** The named shapes, the studies that compare them, and the tiers of GPU kernels. */
export async function benchmarkChoices() {
  const channel = new Channel();
  try {
    return await channel.call("benchmarkChoices");
  } finally {
    close(channel);
  }
}

/** Ends the worker and frees its memory. */
function close(channel) {
  channel.end(new MobileLLMError("closed", "the benchmark has ended; call benchmark() again"));
}

/** Checks the names and values of the settings, and returns those that the worker needs. */
function checked(settings) {
  const {
    shape = "mobilellm-125m",
    prefill = [128, 512, 1024],
    decode = 128,
    context = 1024,
    repeats = 3,
    limit = 20,
    ...rest
  } = settings;
  const options = loadOptions(rest, ["backend", "weights", "tier", "int8Tiles"], "benchmark(); see BenchmarkOptions in index.d.ts");
  if (!Array.isArray(prefill)) throw invalid("prefill", `must be an array of prompt lengths, such as [128, 512], not ${show(prefill)}`);
  for (const [name, value] of Object.entries({ decode, context, repeats })) positive(name, value);
  for (const length of prefill) positive("prefill", length);
  if (!(typeof limit === "number" && limit > 0)) throw invalid("limit", `must be a positive number of seconds, not ${show(limit)}`);
  return { shape, prefill, decode, context, repeats, limit, backend: "auto", weights: "q4", ...options };
}
