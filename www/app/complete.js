// The view that completes a text.

import { announce, byId } from "./dom.js";
import * as format from "./format.js";
import { broke } from "./model.js";
import { sampling } from "./settings.js";
import { recall, remember } from "./storage.js";

/** Milliseconds without a key press after which a suggestion is generated. */
const PAUSE = 350;
/** Tokens in a suggestion at most. */
const SUGGESTION_TOKENS = 16;

const draft = byId("draft");
const writeOn = byId("write-on");

let engine = null;
let running = null;
let timer = 0;
let suggestion = "";

/** Connects the view to its controls. */
export function startCompletion() {
  draft.value = recall("sessionStorage", "draft", "");
  draft.addEventListener("input", () => {
    remember("sessionStorage", "draft", draft.value);
    changed();
  });
  draft.addEventListener("keydown", (event) => {
    if (event.key === "Tab" && suggestion && !event.shiftKey) {
      event.preventDefault();
      take();
    } else if (event.key === "Escape") {
      halt();
    }
  });
  byId("take").addEventListener("click", take);
  writeOn.addEventListener("click", () => (running?.long ? halt() : generate({ long: true })));
  show();
}

/** Starts to use a model that has been loaded. */
export function attachCompletion(loaded) {
  engine = loaded;
  draft.disabled = false;
  writeOn.disabled = false;
}

/** Stops using the model, before it is closed. */
export function detachCompletion() {
  halt();
  engine = null;
  draft.disabled = true;
  writeOn.disabled = true;
}

/** Puts the cursor at the end of the text. */
export function focusCompletion() {
  draft.focus();
}

/** Stops the generation and removes the suggestion. */
export function halt() {
  clearTimeout(timer);
  running?.abort();
  running = null;
  suggestion = "";
  show();
}

function changed() {
  halt();
  if (engine && atEnd() && draft.value.trim() !== "") timer = setTimeout(() => generate({ long: false }), PAUSE);
}

function atEnd() {
  return draft.selectionStart === draft.value.length && draft.selectionEnd === draft.value.length;
}

function take() {
  const taken = suggestion;
  halt();
  insert(taken);
  draft.focus();
  draft.setSelectionRange(draft.value.length, draft.value.length);
  changed();
}

/** Appends; where the browser can, as if typed, so that undo works. */
function insert(text) {
  draft.setRangeText(text, draft.value.length, draft.value.length, "end");
  remember("sessionStorage", "draft", draft.value);
  show();
}

async function generate({ long }) {
  halt();
  const mine = new AbortController();
  mine.long = long;
  running = mine;
  show();
  try {
    const { max_tokens: longest, ...rest } = sampling();
    const limit = long ? { ...rest, max_tokens: longest } : { ...rest, temperature: 0, max_tokens: SUGGESTION_TOKENS };
    // A token usually begins with its space. A space at the end of the prompt would lead to bad predictions.
    const prompt = draft.value.replace(/ +$/, "");
    let expectsSpace = prompt !== draft.value;
    const stream = await engine.completions.create({ prompt, stream: true, ...limit }, { signal: mine.signal });
    for await (const chunk of stream) {
      if (running !== mine) break;
      const speed = chunk.timings?.decode_tokens_per_s;
      if (speed) byId("draft-speed").textContent = format.rate(speed);
      let text = chunk.choices[0]?.text ?? "";
      if (expectsSpace && text) {
        text = text.replace(/^ /, "");
        expectsSpace = false;
      }
      if (long) insert(text);
      else {
        // A suggestion ends at the end of the line.
        const [line, ...more] = (suggestion + text).split("\n");
        suggestion = line;
        show();
        if (more.length > 0) break;
      }
      if (long) byId("paper").scrollTop = byId("paper").scrollHeight;
    }
    if (running === mine && suggestion) announce(`Suggestion: ${suggestion}`);
  } catch (error) {
    byId("draft-speed").textContent = format.sentence(error.message);
    if (error.code === "internal" || error.code === "worker" || error.code === "device") broke(error);
  } finally {
    if (running === mine) running = null;
    show();
  }
}

function show() {
  byId("ghost-written").textContent = draft.value;
  // A last empty line has no height of its own.
  byId("ghost-suggestion").textContent = suggestion || "\u200b";
  byId("take").hidden = suggestion === "";
  writeOn.textContent = running?.long ? "Stop" : "Continue";
}
