// The settings panel: the system prompt and the sampler's options, kept between visits.

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

const form = byId("settings-form");

function fill(values) {
  for (const [name, value] of Object.entries(values)) {
    if (form.elements[name]) form.elements[name].value = value;
  }
  showSliders();
}

function showSliders() {
  for (const output of form.querySelectorAll("output")) {
    output.textContent = Number(output.closest("label").querySelector("input").value).toFixed(2);
  }
}

/** Makes the panel work. */
export function startSettings() {
  fill({ ...DEFAULTS, ...recall("localStorage", "settings", {}) });
  form.addEventListener("input", () => {
    showSliders();
    remember("localStorage", "settings", Object.fromEntries(new FormData(form)));
  });
  byId("reset-settings").addEventListener("click", () => {
    fill(DEFAULTS);
    remember("localStorage", "settings", DEFAULTS);
  });
  byId("open-settings").addEventListener("click", () => openPanel(byId("settings-panel")));
}

/** The system prompt, or an empty string. */
export function systemPrompt() {
  return form.elements.system.value.trim();
}

/** The sampler's options as the API takes them; fields that are empty or nonsense are left to the model. */
export function sampling() {
  const options = {};
  for (const name of ["temperature", "top_p", "min_p", "repetition_penalty", "top_k", "max_tokens", "seed"]) {
    const input = form.elements[name];
    if (input.value !== "" && input.validity.valid) options[name] = Number(input.value);
  }
  if (form.elements.stop.value !== "") options.stop = form.elements.stop.value;
  return options;
}
