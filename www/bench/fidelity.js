// The accuracy of the fast arithmetic: loads a model and compares its predictions with those of the same weights computed in
// 32-bit floats.

import { Engine } from "../pkg/index.js";
import { findServed } from "../app/catalog.js";
import { byId, element } from "../app/dom.js";
import { bytes, count } from "../app/format.js";
import { table } from "./chart.js";
import { where } from "./report.js";
import { saving } from "./save.js";

const form = byId("fidelity-form");

/** The address of the model that the site serves, or an empty string. */
export async function defaultModel() {
  return (await findServed())?.source ?? "";
}

/** Loads the model that the form names and compares. `tell` receives the current step and the share that is done, 0 to 1. */
export async function measureFidelity(options, signal, tell) {
  const { model, weights } = Object.fromEntries(new FormData(form));
  const load = ({ loaded, total }) => tell("loading the model", total > 0 ? (0.5 * loaded) / total : 0);
  const { backend, tier, int8Tiles } = options;
  const engine = await Engine.load(model.trim() || (await defaultModel()), {
    backend,
    tier,
    int8Tiles,
    weights,
    signal,
    onProgress: load,
  });
  try {
    const compare = ({ done, total }) => tell(`${done} of ${total} tokens compared`, 0.5 + (0.5 * done) / total);
    const fidelity = await engine.fidelity({ signal, onProgress: compare });
    return { info: engine.info(), weights, fidelity };
  } finally {
    engine.close();
  }
}

export function showFidelity(result) {
  const { info, weights, fidelity } = result;
  const article = element("article", "card result");
  article.dataset.fidelity = info.model;
  const head = element("header", "stack");
  const machine = { threads: navigator.hardwareConcurrency };
  head.append(
    element("h3", "display small", `${info.model}: fidelity`),
    element("p", "quiet", `${count(info.parameters)} parameters in ${bytes(info.weight_bytes)}. ${where({ ...info, machine })}.`),
  );
  const nats = (value) => value.toFixed(5);
  const percent = (share) => `${(100 * share).toFixed(2)} %`;
  const rows = [
    ["Mean KL divergence", `${nats(fidelity.mean_kl)} nats`],
    ["99th percentile of the KL divergence", nats(fidelity.p99_kl)],
    ["Largest KL divergence", nats(fidelity.max_kl)],
    ["Same most likely token", percent(fidelity.top1_agreement)],
    ["Relative error of the logits", percent(fidelity.logit_error)],
    ["Perplexity", fidelity.perplexity.toFixed(3)],
    ["Perplexity in 32-bit floats", fidelity.reference_perplexity.toFixed(3)],
    ["Tokens compared", String(fidelity.positions)],
  ];
  const note =
    "The fast arithmetic of this device, compared with the same weights in 32-bit floats. 0 nats and 100 % mean: no difference.";
  article.append(
    head,
    element("p", "fine", note),
    table("Fidelity", ["Measure", "Value"], rows),
    saving({ model: info.model, weights, backend: info.backend, adapter: info.adapter, ...fidelity }, "fidelity"),
  );
  return article;
}
