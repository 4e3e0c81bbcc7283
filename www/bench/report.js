// One shape's report: the numbers people ask for first, then where the time goes.

import { element } from "../app/dom.js";
import { bytes, count, rate } from "../app/format.js";
import { bars, figure, stack, table } from "./chart.js";
import { saving } from "./save.js";

const milliseconds = (value) => `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
const microseconds = (value) => `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} µs`;
const some = (value) => value.toFixed(value < 10 && !Number.isInteger(value) ? 2 : 0);

/** What computed. */
export function where({ backend, adapter, machine, fallback_reason: reason }) {
  const integers = adapter?.int8_tiles ? ", prompts in 8-bit integers" : "";
  if (backend === "gpu") return `WebGPU on ${adapter.adapter || "an unnamed adapter"}, kernels: ${adapter.tier}${integers}`;
  return `CPU, one of ${machine.threads} threads${reason ? `, because ${reason}` : ""}`;
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
  for (const left of report.left_out) article.append(element("p", "fine", `Left out: ${left}.`));
  article.append(saving(report, `bench-${report.shape.name}`));
  return article;
}

function headline({ decode, prefill, load }) {
  const list = element("dl", "headline");
  const best = prefill.reduce((best, next) => (next.tokens_per_s > (best?.tokens_per_s ?? 0) ? next : best), null);
  for (const [term, value] of [
    ["Writing", decode[0] ? rate(decode[0].tokens_per_s) : "-"],
    ["Reading", best ? rate(best.tokens_per_s) : "-"],
    ["First token ever", milliseconds(load.first_token_ms)],
  ]) {
    const pair = element("div");
    pair.append(element("dt", "", term), element("dd", "", value));
    list.append(pair);
  }
  return list;
}

function figures(report) {
  return [
    reading(report),
    writing(report),
    asked(report),
    loading(report),
    ...report.kernels.map(kernels),
    ceiling(report),
  ].filter((node) => node !== null);
}

function reading({ prefill }) {
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
    "Reading",
    "From a prompt to the first token after it, the median of the runs.",
    bars("Prompt tokens a second", rows),
    table("Reading prompts", ["Prompt", "Time", "Tokens/s", "Runs"], cells),
  );
}

function writing({ decode }) {
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
    "Writing",
    bounded
      ? "The pale track ends where this device's launches and memory allow no more."
      : "One token after the other, the median of the runs.",
    bars("Tokens written a second", rows),
    table("Writing tokens", ["After", "A token", "Tokens/s", "Of possible"], cells),
  );
}

function asked({ decode }) {
  const first = decode.find(({ per_token }) => per_token);
  if (!first) return null;
  const { per_token: token, weight_bytes: weights, cache_bytes: cache, bound } = first;
  const rows = [
    { label: "dispatches alone", value: bound.launch_ms, text: milliseconds(bound.launch_ms) },
    { label: "memory alone", value: bound.memory_ms, text: milliseconds(bound.memory_ms) },
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
    "A token",
    "What one token asks of the GPU, and the least time for it: if its kernels did nothing, and if only memory counted.",
    bars("Milliseconds a token", rows),
    table("What a token needs", ["Needed", "A token"], cells),
  );
}

function loading({ load, backend }) {
  const parts = [
    [backend === "gpu" ? "Open and test the device" : "Open", load.init_ms],
    ["Make random weights and load them", load.load_ms],
    ["Make caches and pipelines", load.prepare_ms],
    ["First token", load.first_token_ms],
  ].map(([label, value]) => ({ label, value, text: milliseconds(value) }));
  const total = parts.reduce((sum, { value }) => sum + value, 0);
  return figure(
    "Starting",
    `From a running engine to the first token in ${milliseconds(total)}. What a page downloads, the engine and a model, ` +
      "is not part of it: these weights are made on the spot.",
    stack("Milliseconds until the first token", parts),
    table("Starting", ["Step", "Time"], parts.map(({ label, text }) => [label, text]), { legend: true }),
  );
}

function kernels({ rows, context, us: total, kernels }) {
  const share = (us) => `${((100 * us) / total).toFixed(0)} %`;
  const sorted = kernels.toSorted((a, b) => b.us - a.us);
  // Beyond the eighth they are slivers; the table has them all.
  const largest = sorted.slice(0, 8).map(({ kernel, us }) => ({ label: kernel, value: us, text: share(us) }));
  const cells = sorted.map(({ kernel, dispatches, us }) => [
    kernel,
    `${dispatches} × ${microseconds(us / dispatches)}`,
    microseconds(us),
  ]);
  const what = rows === 1 ? `one token after ${context}` : `${rows} tokens after ${context}`;
  return figure(
    `Kernels: ${what}`,
    `${milliseconds(total / 1000)} on the GPU, by its own clock where it lends it.`,
    bars(`Share of each kernel for ${what}`, largest),
    table(`Kernels for ${what}`, ["Kernel", "Each", "Together"], cells),
  );
}

function ceiling({ ceiling }) {
  if (!ceiling) return null;
  const cells = [
    ["A dependent dispatch", microseconds(ceiling.dispatch_us)],
    ["Recording and submitting it", microseconds(ceiling.record_us)],
    ["There and back", microseconds(ceiling.round_trip_us)],
    [`Copying ${bytes(ceiling.copied_bytes)}`, `${bytes(ceiling.copy_bytes_per_s)}/s`],
  ];
  const node = element("figure", "figure");
  const caption = element("figcaption");
  caption.append(element("h4", "", "What this device can do"));
  node.append(caption, table("What this device can do", ["What", "At best"], cells));
  return node;
}
