// The report of one shape: first the main numbers, then the details of the time.

import { element } from "../app/dom.js";
import { bytes, count, rate } from "../app/format.js";
import { bars, figure, stack, table } from "./chart.js";
import { saving } from "./save.js";

const milliseconds = (value) => `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
const microseconds = (value) => `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} µs`;
const some = (value) => value.toFixed(value < 10 && !Number.isInteger(value) ? 2 : 0);

/** The device that computed, in words. */
export function where({ backend, adapter, machine, fallback_reason: reason }) {
  const integers = adapter?.int8_tiles ? ", 8-bit integer products for prefill" : "";
  if (backend === "gpu") return `WebGPU on ${adapter.adapter || "an adapter without a name"}, ${adapter.tier} kernels${integers}`;
  return `CPU, 1 of ${machine.threads} threads${reason ? ` (GPU not used: ${reason})` : ""}`;
}

export function showReport(report) {
  const article = element("article", "card result");
  article.dataset.shape = report.shape.name;
  const head = element("header", "stack");
  head.append(
    element("h3", "display small", report.shape.name),
    element("p", "quiet", `${count(report.parameters)} parameters in ${bytes(report.weight_bytes)}. ${where(report)}.`),
    headline(report),
  );
  article.append(head, ...figures(report));
  for (const left of report.left_out) article.append(element("p", "fine", `Not measured: ${left}.`));
  article.append(saving(report, `bench-${report.shape.name}`));
  return article;
}

function headline({ decode, prefill, load }) {
  const list = element("dl", "headline");
  const best = prefill.reduce((best, next) => (next.tokens_per_s > (best?.tokens_per_s ?? 0) ? next : best), null);
  for (const [term, value] of [
    ["Decode", decode[0] ? rate(decode[0].tokens_per_s) : "-"],
    ["Prefill", best ? rate(best.tokens_per_s) : "-"],
    ["Time to first token (cold)", milliseconds(load.first_token_ms)],
  ]) {
    const pair = element("div");
    pair.append(element("dt", "", term), element("dd", "", value));
    list.append(pair);
  }
  return list;
}

function figures(report) {
  return [
    prefillSpeed(report),
    decodeSpeed(report),
    perToken(report),
    loading(report),
    ...report.kernels.map(kernels),
    ceiling(report),
  ].filter((node) => node !== null);
}

function prefillSpeed({ prefill }) {
  if (prefill.length === 0) return null;
  const rows = prefill.map(({ tokens, tokens_per_s }) => ({
    label: `prompt of ${tokens}`,
    value: tokens_per_s,
    text: rate(tokens_per_s),
  }));
  const cells = prefill.map(({ tokens, ms, tokens_per_s, runs }) => [
    String(tokens),
    milliseconds(ms),
    tokens_per_s.toFixed(1),
    String(runs),
  ]);
  return figure(
    "Prefill",
    "Time from a prompt to the first token of the answer. Median of the runs.",
    bars("Prefill, prompt tokens per second", rows),
    table("Prefill", ["Prompt length", "Time", "Tokens/s", "Runs"], cells),
  );
}

function decodeSpeed({ decode }) {
  if (decode.length === 0) return null;
  const rows = decode.map(({ context, tokens_per_s, bound }) => ({
    label: `after ${context} tokens`,
    value: tokens_per_s,
    of: bound && bound.reached > 0 && bound.reached < 1 ? tokens_per_s / bound.reached : undefined,
    text: rate(tokens_per_s),
  }));
  const cells = decode.map(({ context, ms_per_token, tokens_per_s, bound }) => [
    String(context),
    milliseconds(ms_per_token),
    tokens_per_s.toFixed(1),
    bound ? `${Math.round(100 * bound.reached)} %` : "-",
  ]);
  const bounded = decode.some(({ bound }) => bound);
  return figure(
    "Decode",
    bounded
      ? "Generating one token after the other. Median of the runs. The pale bar shows the limit that kernel launches and memory set."
      : "Generating one token after the other. Median of the runs.",
    bars("Decode, tokens per second", rows),
    table("Decode", ["Context", "Time per token", "Tokens/s", "Of the limit"], cells),
  );
}

function perToken({ decode }) {
  const first = decode.find(({ per_token }) => per_token);
  if (!first) return null;
  const { per_token: token, weight_bytes: weights, cache_bytes: cache, bound } = first;
  const rows = [
    { label: "limit: kernel launches only", value: bound.launch_ms, text: milliseconds(bound.launch_ms) },
    { label: "limit: memory only", value: bound.memory_ms, text: milliseconds(bound.memory_ms) },
    { label: "measured", value: first.ms_per_token, text: milliseconds(first.ms_per_token), mark: true },
  ];
  const cells = [
    ["Dispatches", some(token.dispatches)],
    ["Submits", some(token.submits)],
    ["Readbacks", `${some(token.readbacks)}, ${bytes(token.bytes_read)}`],
    ["Writes", `${some(token.writes)}, ${bytes(token.bytes_written)}`],
    ["Weights read", bytes(weights)],
    ["Keys and values read", bytes(cache)],
  ];
  return figure(
    "Decode: GPU work per token",
    "What one decoded token costs on the GPU, and two limits: the time if the kernels did nothing, and the time if only memory " +
      "reads counted.",
    bars("Milliseconds per token", rows),
    table("GPU work per token", ["Work", "Per token"], cells),
  );
}

function loading({ load, backend }) {
  const parts = [
    [backend === "gpu" ? "Open and test the GPU" : "Open the backend", load.init_ms],
    ["Make and load random weights", load.load_ms],
    ["Make caches and pipelines", load.prepare_ms],
    ["First token (cold)", load.first_token_ms],
  ].map(([label, value]) => ({ label, value, text: milliseconds(value) }));
  const total = parts.reduce((sum, { value }) => sum + value, 0);
  return figure(
    "Start-up",
    `${milliseconds(total)} from a running engine to the first token. Downloads are not included: neither the engine nor, ` +
      "because the weights are random, a model.",
    stack("Milliseconds until the first token", parts),
    table("Start-up", ["Step", "Time"], parts.map(({ label, text }) => [label, text]), { legend: true }),
  );
}

function kernels({ rows, context, us: total, kernels }) {
  const share = (us) => `${((100 * us) / total).toFixed(0)} %`;
  const sorted = kernels.toSorted((a, b) => b.us - a.us);
  // The chart shows the eight largest; the table shows all.
  const largest = sorted.slice(0, 8).map(({ kernel, us }) => ({ label: kernel, value: us, text: share(us) }));
  const cells = sorted.map(({ kernel, dispatches, us }) => [
    kernel,
    `${dispatches} × ${microseconds(us / dispatches)}`,
    microseconds(us),
  ]);
  const what = rows === 1 ? `1 token after ${context}` : `${rows} tokens after ${context}`;
  return figure(
    `Kernels: ${what}`,
    `${milliseconds(total / 1000)} on the GPU, measured with GPU timestamps where the browser offers them.`,
    bars(`Share of each kernel for ${what}`, largest),
    table(`Kernels for ${what}`, ["Kernel", "Launches × time", "Total"], cells),
  );
}

function ceiling({ ceiling }) {
  if (!ceiling) return null;
  const cells = [
    ["Launch of a dependent kernel", microseconds(ceiling.dispatch_us)],
    ["Recording and submitting one launch", microseconds(ceiling.record_us)],
    ["Round trip to the GPU", microseconds(ceiling.round_trip_us)],
    [`Copying ${bytes(ceiling.copied_bytes)}`, `${bytes(ceiling.copy_bytes_per_s)}/s`],
  ];
  const node = element("figure", "figure");
  const caption = element("figcaption");
  caption.append(element("h4", "", "Limits of this device"));
  node.append(caption, table("Limits of this device", ["Operation", "Best value"], cells));
  return node;
}
