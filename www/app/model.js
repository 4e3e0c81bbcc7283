// Choosing a model, loading it with progress, and showing errors.

import { Engine, filesFromDataTransfer } from "../pkg/index.js";
import { findOffers, findServed, nameFor } from "./catalog.js";
import { announce, byId, element } from "./dom.js";
import * as format from "./format.js";
import { askFor, markOffer, mayLoad, showOffers } from "./offers.js";
import { openPanel } from "./panel.js";
import * as parameters from "./parameters.js";
import { LoadProgress } from "./progress.js";

/** Emits "ready" with the engine, "leaving" before it goes, and "state" whenever what is shown has to change. */
export const events = new EventTarget();

/** "empty", "loading", "ready" or "failed". */
export let state = "empty";

let engine = null;
let attempt = null;
let lastSource = null;
let offers = [];

/** What the catalog says of the model that is loaded; null where it says nothing. */
export let offer = null;

/** Loads what the address asks for, or the model that the site serves. */
export async function startModel() {
  wirePanel();
  wireDrop();
  byId("cancel-load").addEventListener("click", () => attempt?.abort());
  byId("failure-retry").addEventListener("click", () => load(lastSource));
  for (const button of document.querySelectorAll(".choose button")) {
    button.addEventListener("click", () => openPanel(byId("model-panel")));
  }
  byId("failure-choose").addEventListener("click", () => openPanel(byId("model-panel")));
  const served = await findServed();
  offers = await findOffers(served);
  showOffers(offers, ({ source }) => choose(source));
  const wanted = offers.find(({ id, source }) => (parameters.model ? id === parameters.model : source === served?.source));
  if (wanted && !mayLoad(wanted)) return ask(wanted);
  const source = wanted?.source ?? parameters.model;
  if (source) await load(source);
  else setState("empty");
}

/** Asks before the first load, in the panel in which everything else can be chosen too. */
function ask(wanted) {
  setState("empty");
  openPanel(byId("model-panel"));
  askFor(wanted);
}

/** Loads a model in the place of the present one. */
async function load(source) {
  attempt?.abort();
  const mine = new AbortController();
  attempt = mine;
  lastSource = source;
  leave();
  offer = offers.find((offer) => offer.source === source) ?? null;
  setState("loading");
  const progress = new LoadProgress(source);
  try {
    const loaded = await Engine.load(source, {
      ...parameters.engineOptions,
      backend: byId("model-backend-choice").value,
      weights: byId("model-weights").value,
      signal: mine.signal,
      onProgress: (event) => progress.report(event),
    });
    if (mine.signal.aborted) return loaded.close();
    engine = loaded;
    showInfo(engine.info());
    markOffer(source);
    setState("ready");
    announce(`${nameFor(engine.info(), offer)} is ready`);
    events.dispatchEvent(new CustomEvent("ready", { detail: engine }));
  } catch (error) {
    if (attempt !== mine) return;
    if (error.code === "cancelled") setState("empty");
    else fail(error);
  } finally {
    progress.end();
  }
}

function leave() {
  if (!engine) return;
  events.dispatchEvent(new Event("leaving"));
  engine.close();
  engine = null;
}

/** The engine failed while it ran. It must be loaded again. */
export function broke(error) {
  leave();
  fail(error);
}

function fail(error) {
  byId("failure-code").textContent = (error.code ?? "error").replaceAll("_", " ");
  byId("failure-message").textContent = format.sentence(error.message);
  setState("failed");
}

function setState(next) {
  state = next;
  document.body.dataset.state = next;
  if (next !== "ready") {
    markOffer(null);
    byId("model-name").textContent = { loading: "Loading", failed: "Not loaded" }[next] ?? "Choose a model";
    byId("model-backend").textContent = "";
    byId("model-facts").replaceChildren();
    byId("notice").hidden = true;
  }
  for (const line of document.querySelectorAll(".choose")) line.hidden = next !== "empty";
  events.dispatchEvent(new Event("state"));
}

// What runs

function showInfo(info) {
  const gpu = info.backend === "gpu";
  byId("model-name").textContent = nameFor(info, offer);
  byId("model-backend").textContent = gpu ? "WebGPU" : "CPU";
  const notes = info.warnings.map(format.sentence);
  if (info.fallback_reason) {
    notes.unshift(`The model runs on the CPU: ${format.sentence(info.fallback_reason)}`);
  }
  byId("notice").textContent = notes.join(" ");
  byId("notice").hidden = notes.length === 0;

  const facts = [
    ["Model", info.model],
    ["Architecture", `${info.model_type}, ${info.num_hidden_layers} layers${info.layer_sharing ? ", each runs twice" : ""}`],
    ["Parameters", format.count(info.parameters)],
    ["Weights", `${format.bytes(info.weight_bytes)} in memory`],
    ["Context", `${info.max_context.toLocaleString("en")} tokens`],
    ["Chat template", info.chat_template ? "yes" : "no (base model)"],
    ["Runs on", gpu ? "WebGPU" : "CPU, in WebAssembly"],
    ["Adapter", gpu && (info.adapter.adapter || "the browser does not tell its name")],
    ["Kernels", gpu && `${info.adapter.tier} tier${info.adapter.int8_tiles ? ", 8-bit integer products for prefill" : ""}`],
  ].filter(([, value]) => value);
  byId("model-facts").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]),
  );
}

// Choosing

function wirePanel() {
  const panel = byId("model-panel");
  byId("model-backend-choice").value = parameters.engineOptions.backend;
  byId("model-weights").value = parameters.engineOptions.weights;
  byId("open-model").addEventListener("click", () => openPanel(panel));
  byId("model-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const source = byId("model-source").value.trim();
    if (source) return choose(source);
    complain("Enter a Hugging Face hub id such as org/name, or the web address of a model folder.");
    byId("model-source").focus();
  });
  byId("pick-folder").addEventListener("click", () => byId("folder").click());
  byId("folder").addEventListener("change", ({ target }) => {
    const files = [...target.files];
    // So that the same folder can be picked again.
    target.value = "";
    if (files.length > 0) choose(files);
  });
}

function choose(source) {
  byId("model-error").hidden = true;
  byId("model-panel").close();
  load(source);
}

/** Shows in the open panel what is wrong with a choice. The present model keeps running. */
function complain(words) {
  byId("model-error").textContent = words;
  byId("model-error").hidden = false;
}

/** A folder may be dropped anywhere. */
function wireDrop() {
  const veil = byId("drop");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) veil.hidden = true;
  });
  addEventListener("drop", async (event) => {
    veil.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const reading = filesFromDataTransfer(event.dataTransfer);
    for (const panel of document.querySelectorAll("dialog[open]")) panel.close();
    try {
      await load(await reading);
    } catch (error) {
      openPanel(byId("model-panel"));
      complain(`The browser could not read what was dropped: ${format.sentence(error.message)}`);
    }
  });
}
