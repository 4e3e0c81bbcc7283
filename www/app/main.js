// The page: one model, two things to do with it.

import { attachChat, detachChat, focusChat, startChat } from "./chat.js";
import { attachCompletion, detachCompletion, focusCompletion, halt, startCompletion } from "./complete.js";
import { byId } from "./dom.js";
import * as model from "./model.js";
import { startPanels } from "./panel.js";
import { adoptRecommendation, startSettings } from "./settings.js";
import { current, startTabs } from "./tabs.js";

/** Shows the one view that the model's state and the chosen tab call for. */
function show() {
  const panel = current();
  const busy = model.state === "loading" || model.state === "failed";
  byId("loading").hidden = model.state !== "loading";
  byId("failure").hidden = model.state !== "failed";
  byId("chat").hidden = busy || panel !== "chat";
  byId("complete").hidden = busy || panel !== "complete";
}

function focus() {
  if (current() === "chat") focusChat();
  else focusCompletion();
}

startPanels();
startSettings();
startChat();
startCompletion();
startTabs(() => {
  halt();
  show();
});

model.events.addEventListener("state", show);
model.events.addEventListener("leaving", () => {
  detachChat();
  detachCompletion();
});
model.events.addEventListener("ready", ({ detail: engine }) => {
  adoptRecommendation(model.offer?.sampling ?? engine.info().generation);
  attachChat(engine, model.offer);
  attachCompletion(engine);
  if (!document.querySelector("dialog[open]")) focus();
});
model.startModel();
