// The settings panel: the system prompt and the sampling options. Values that the user changed are kept between visits.
// All other values are those that the model recommends.

import { byId } from "./dom.js";
import { openPanel } from "./panel.js";
import { recall, remember } from "./storage.js";

const DEFAULTS = {
  system: "",
  temperature: "0.7",
  top_p: "0.95",
  min_p: "0.05",
  repetition_penalty: "1.1",
  top_k: "40",
  max_tokens: "512",
  seed: "",
  stop: "",
};

/** Values that switch an option off: for a model that recommends some sampling options, but not this one. */
const OFF = { temperature: 1, top_p: 1, min_p: 0, repetition_penalty: 1, top_k: 0 };

const form = byId("settings-form");

let defaults = DEFAULTS;
/** The values that the user changed, by field. */
let changed = recall("localStorage", "settings", {});

function fill() {
  for (const [name, value] of Object.entries({ ...defaults, ...changed })) {
    if (form.elements[name]) form.elements[name].value = value;
  }
  showSliders();
}

function change(values) {
  changed = values;
  remember("localStorage", "settings", changed);
}

function showSliders() {
  for (const output of form.querySelectorAll("output")) {
    output.textContent = Number(output.closest("label").querySelector("input").value).toFixed(2);
  }
}

/** Makes the panel work. */
export function startSettings() {
  fill();
  form.addEventListener("input", ({ target }) => {
    showSliders();
    change({ ...changed, [target.name]: target.value });
  });
  byId("reset-settings").addEventListener("click", () => {
    change({});
    fill();
  });
  byId("open-settings").addEventListener("click", () => openPanel(byId("settings-panel")));
}

/** Takes over what the catalog or a model's `generation_config.json` recommends, as a whole. */
export function adoptRecommendation(generation) {
  const recommended = Object.entries(OFF).filter(([name]) => (generation[name] ?? null) !== null);
  const isSilent = recommended.length === 0 && !generation.do_sample;
  const values = Object.entries(OFF).map(([name, off]) => [name, String(generation[name] ?? off)]);
  defaults = isSilent ? DEFAULTS : { ...DEFAULTS, ...Object.fromEntries(values) };
  fill();
}

/** The system prompt, or an empty string. */
export function systemPrompt() {
  return form.elements.system.value.trim();
}

/** The sampling options in the form of the API. Fields that are empty or invalid are left out. */
export function sampling() {
  const options = {};
  for (const name of ["temperature", "top_p", "min_p", "repetition_penalty", "top_k", "max_tokens", "seed"]) {
    const input = form.elements[name];
    if (input.value !== "" && input.validity.valid) options[name] = Number(input.value);
  }
  if (form.elements.stop.value !== "") options.stop = form.elements.stop.value;
  return options;
}
