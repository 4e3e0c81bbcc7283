// The chat view.

import { nameFor } from "./catalog.js";
import { announce, byId, element, iconButton } from "./dom.js";
import * as format from "./format.js";
import { broke } from "./model.js";
import { sampling, systemPrompt } from "./settings.js";
import { recall, remember } from "./storage.js";

/** For models of which nobody has found out what they answer well. */
const IDEAS = [
  "Tell me a short story about a lighthouse",
  "Why is the sky blue?",
  "Give me three ideas for a rainy afternoon",
];

const list = byId("conversation");
const message = byId("message");
const scroller = byId("scroller");

/** The messages so far, in order: { role, content }. */
let turns = recall("sessionStorage", "conversation", []);
let engine = null;
let running = null;
/** Base models have no template of their own. */
let chatFormat = "template";

/** Connects the chat view to its controls. */
export function startChat() {
  suggest(IDEAS);
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send(message.value);
  });
  message.addEventListener("input", () => {
    fitHeight();
    showControls();
  });
  message.addEventListener("keydown", (event) => {
    // While an input method is composing a character, Enter confirms that character.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send(message.value);
    }
  });
  byId("stop").addEventListener("click", stop);
  byId("clear").addEventListener("click", clear);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running && !document.querySelector("dialog[open]")) stop();
  });
  for (const turn of turns) list.append(turnElement(turn).node);
  showControls();
}

/** Starts to use a model that has been loaded; `offer` is what the catalog says of it, if anything. */
export function attachChat(loaded, offer) {
  engine = loaded;
  suggest(offer?.suggestions.length ? offer.suggestions : IDEAS);
  const info = engine.info();
  const size = `${nameFor(info, offer)} has ${format.count(info.parameters)} parameters`;
  const place = `runs on your ${info.backend === "gpu" ? "GPU" : "CPU"}`;
  const habit = info.chat_template ? "" : " It is a base model and was not trained to chat, so its answers may be strange.";
  byId("welcome-text").textContent = `${size} and ${place}. What you type stays on your device.${habit}`;
  chatFormat = info.chat_template ? "template" : "plain";
  message.disabled = false;
  showControls();
}

/** Stops using the model, before it is closed. */
export function detachChat() {
  stop();
  engine = null;
  message.disabled = true;
  showControls();
}

/** Puts the cursor where the next message is written, but opens no keyboard on phones. */
export function focusChat() {
  if (!matchMedia("(pointer: coarse)").matches) message.focus();
}

function suggest(ideas) {
  byId("ideas").replaceChildren(...ideas.map(idea));
}

function idea(text) {
  const item = element("li");
  const button = element("button", "button", text);
  button.type = "button";
  button.addEventListener("click", () => send(text));
  item.append(button);
  return item;
}

function send(text) {
  if (!engine || running || text.trim() === "") return;
  message.value = "";
  fitHeight();
  list.querySelector(".turn > .problem:only-child")?.parentElement.remove();
  add({ role: "user", content: text });
  answer();
}

function add(turn) {
  turns.push(turn);
  remember("sessionStorage", "conversation", turns);
  const view = turnElement(turn);
  list.append(view.node);
  toEnd();
  return view;
}

/** Asks for the last answer again. */
function retry() {
  if (!engine || running) return;
  if (turns.at(-1)?.role === "assistant") {
    turns.pop();
    list.lastElementChild.remove();
  }
  answer();
}

async function answer() {
  const request = conversationSoFar();
  const turn = { role: "assistant", content: "" };
  const view = add(turn);
  view.node.classList.add("streaming");
  const clock = new Clock();
  running = new AbortController();
  showControls();
  announce("The model is answering");
  let finishReason = null;
  try {
    const stream = await engine.chat.completions.create(
      { messages: request, stream: true, chat_format: chatFormat, ...sampling() },
      { signal: running.signal, onPrefill: ({ done, total }) => view.say(`Reading the prompt: ${done} of ${total} tokens`) },
    );
    for await (const chunk of stream) {
      const [choice] = chunk.choices;
      finishReason = choice?.finish_reason ?? finishReason;
      if (chunk.usage) clock.finish(chunk.usage, chunk.timings);
      if (!choice?.delta.content) continue;
      clock.tick();
      turn.content += choice.delta.content;
      following(() => {
        view.say("");
        view.text.append(choice.delta.content);
      });
      byId("speed").textContent = clock.speed();
    }
    following(() => view.say(ending(clock, finishReason)));
  } catch (error) {
    const words = format.sentence(error.message);
    if (error.code === "context_length_exceeded") takeBack(words);
    else following(() => view.fail(words));
    if (error.code === "internal" || error.code === "worker" || error.code === "device") broke(error);
  } finally {
    running = null;
    // The buttons below the answer appear now, which may add a line.
    following(() => view.node.classList.remove("streaming"));
    byId("speed").textContent = "";
    remember("sessionStorage", "conversation", turns);
    showControls();
    announce(turn.content || "No answer");
    if (document.activeElement === document.body || document.activeElement === byId("stop")) focusChat();
  }
}

/** Puts a message that is too long back into the input field. In the conversation it would make every later one too long. */
function takeBack(words) {
  const [question] = turns.splice(-2);
  for (let count = 2; count > 0; count -= 1) list.lastElementChild.remove();
  if (message.value === "") message.value = question.content;
  fitHeight();
  const item = element("li", "turn");
  item.append(problem(words));
  list.append(item);
  toEnd();
}

/** An error message. Screen readers read it at once. */
function problem(words) {
  const node = element("p", "problem", words);
  node.setAttribute("role", "alert");
  return node;
}

function conversationSoFar() {
  const system = systemPrompt();
  const messages = turns.filter(({ content }) => content !== "");
  return system ? [{ role: "system", content: system }, ...messages] : [...messages];
}

function ending(clock, finishReason) {
  const why = { length: "stopped at the token limit", null: "stopped" }[finishReason];
  return [clock.speed(), clock.firstToken(), why].filter(Boolean).join("  ·  ");
}

function stop() {
  running?.abort();
}

function clear() {
  stop();
  turns = [];
  remember("sessionStorage", "conversation", turns);
  list.replaceChildren();
  showControls();
  announce("The conversation is empty");
  focusChat();
}

/** Tokens and time. */
class Clock {
  #start = performance.now();
  #first = null;
  #last = null;
  #pieces = 0;
  #timings = null;

  tick() {
    this.#last = performance.now();
    this.#first ??= this.#last;
    this.#pieces += 1;
  }

  finish(usage, timings) {
    this.#timings = timings;
  }

  speed() {
    if (this.#timings?.decode_tokens_per_s) return format.rate(this.#timings.decode_tokens_per_s);
    if (this.#pieces < 3) return "";
    return format.rate(((this.#pieces - 1) / (this.#last - this.#first)) * 1000);
  }

  firstToken() {
    return this.#first === null ? "" : `time to first token ${format.seconds(this.#first - this.#start)}`;
  }
}

function turnElement({ role, content }) {
  const node = element("li", `turn ${role}`);
  node.append(element("span", "visually-hidden", role === "user" ? "You: " : "Model: "));
  const text = element("div", "text", content);
  node.append(text);
  const after = element("div", "after");
  const facts = element("span");
  if (role === "assistant") {
    after.append(
      iconButton("retry", "Retry", "action retry", retry),
      copyButton(text),
      facts,
    );
    node.append(after);
  }
  return {
    node,
    text,
    say: (words) => (facts.textContent = words),
    fail: (words) => after.before(problem(words)),
  };
}

/** A button that copies the current text of an element, and shows whether that worked. */
function copyButton(text) {
  const button = iconButton("copy", "Copy", "action", async () => {
    const word = await copied(text.textContent);
    button.lastChild.data = word;
    announce(word);
    setTimeout(() => (button.lastChild.data = "Copy"), 1500);
  });
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    // Only secure pages have a clipboard, and the browser may forbid this page to write to it.
    return "Not copied: the browser did not allow it";
  }
}

function showControls() {
  const ready = engine !== null && running === null;
  byId("send").hidden = running !== null;
  byId("stop").hidden = running === null;
  byId("send").disabled = !ready || message.value.trim() === "";
  byId("clear").hidden = turns.length === 0;
  byId("welcome").hidden = turns.length > 0;
  for (const button of document.querySelectorAll(".ideas button, .action.retry")) button.disabled = !ready;
}

function fitHeight() {
  message.style.height = "auto";
  message.style.height = `${message.scrollHeight}px`;
}

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
}

/** Adds something at the end and scrolls to it, unless the user has scrolled away from the end. */
function following(show) {
  const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  show();
  if (below < 120) toEnd();
}
