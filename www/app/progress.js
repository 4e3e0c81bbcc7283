// The progress of a load: bytes, speed, remaining time, and whether data arrives at all.

import { byId } from "./dom.js";
import * as format from "./format.js";

/** Milliseconds between two updates of the display. */
const PACE = 100;
/** Milliseconds without a byte after which the page shows that it waits for data. */
const SILENCE = 2000;

/** Shows one load, until it is ended. */
export class LoadProgress {
  #start = performance.now();
  #shown = 0;
  /** When the last bytes came. */
  #last = this.#start;
  #complete = false;
  #watch = setInterval(() => this.#look(), SILENCE / 4);

  constructor(source) {
    byId("loading-name").textContent = nameOf(source);
    this.#show("Reading the configuration", null, "");
  }

  report({ loaded, total }) {
    const now = performance.now();
    this.#last = now;
    this.#complete = total > 0 && loaded >= total;
    if (now - this.#shown < PACE && !this.#complete) return;
    this.#shown = now;
    const elapsed = now - this.#start;
    const speed = (loaded / elapsed) * 1000;
    const facts = total ? [`${format.bytes(loaded)} of ${format.bytes(total)}`] : [format.bytes(loaded)];
    // The speed is unknown before the first bytes.
    if (loaded > 0) facts.push(`${format.bytes(speed)}/s`);
    if (loaded > 0 && total > loaded && elapsed > 1500) facts.push(`${format.remaining((total - loaded) / speed)} left`);
    this.#show(this.#complete ? "Preparing" : "Loading", total ? loaded / total : null, facts.join("  ·  "));
  }

  end() {
    clearInterval(this.#watch);
  }

  #look() {
    const isSilent = performance.now() - this.#last > SILENCE;
    if (isSilent && !this.#complete) byId("loading-stage").textContent = "Waiting for data";
  }

  #show(stage, fraction, facts) {
    byId("loading-stage").textContent = stage;
    byId("loading-facts").textContent = facts;
    const bar = byId("loading-bar");
    if (fraction === null) bar.removeAttribute("value");
    else bar.value = fraction;
  }
}

function nameOf(source) {
  if (typeof source !== "string") return source.name ?? source[0]?.webkitRelativePath?.split("/")[0] ?? "picked files";
  if (!/^https?:/.test(source)) return source;
  const name = source.split("/").filter(Boolean).pop();
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
