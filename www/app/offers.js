// The list of models in the model panel. What is large, or has a licence that wants to be accepted, asks first.

import { mustAsk } from "./catalog.js";
import { announce, byId, element } from "./dom.js";
import * as format from "./format.js";
import { recall, remember } from "./storage.js";

/** Ids of what somebody has agreed to load. */
const AGREED = "agreed-models";

const agreed = () => recall("localStorage", AGREED, []);

/** Whether a model may be loaded without a question. */
export const mayLoad = (offer) => !mustAsk(offer) || agreed().includes(offer.id);

/** Fills the list; `choose` is called with the model that somebody wants, after they have agreed. */
export function showOffers(offers, choose) {
  byId("offers").replaceChildren(...offers.map((offer) => card(offer, choose)));
  byId("offers-part").hidden = offers.length === 0;
}

/** Marks the model that runs. */
export function markOffer(source) {
  for (const item of byId("offers").children) {
    const isCurrent = source !== null && item.dataset.source === source;
    item.classList.toggle("current", isCurrent);
    const button = item.querySelector(".offer-load");
    button.textContent = isCurrent ? "Running" : "Load";
    button.setAttribute("aria-label", `${button.textContent} ${item.querySelector("h4").textContent}`);
    button.disabled = isCurrent;
  }
}

/** Opens the question of a model, as if somebody had pressed its button. */
export function askFor(offer) {
  const item = [...byId("offers").children].find(({ dataset }) => dataset.source === offer.source);
  item?.querySelector(".offer-load").click();
}

function card(offer, choose) {
  const item = element("li", "offer");
  item.dataset.source = offer.source;
  const head = element("div", "offer-head");
  const load = element("button", "button small offer-load", "Load");
  load.type = "button";
  load.setAttribute("aria-label", `Load ${offer.name}`);
  head.append(element("h4", "", offer.name), load);
  item.append(head, element("p", "", offer.about), details(offer));
  load.addEventListener("click", () => {
    if (mayLoad(offer)) return choose(offer);
    item.querySelector(".offer-ask")?.remove();
    item.append(question(offer, choose, load));
    item.querySelector(".offer-ask input, .offer-ask button").focus();
    item.querySelector(".offer-ask").scrollIntoView({ block: "nearest" });
  });
  return item;
}

/** 491 MB from the Hugging Face hub · about 800 MB of memory · 32,768 tokens of context. Licence: Apache-2.0 */
function details({ size, memory, context, license, isHere }) {
  const line = element("p", "fine offer-facts");
  const facts = [
    size && `${quantity(size)} ${isHere ? "from this site" : "from the Hugging Face hub"}`,
    memory && `about ${quantity(memory)} of memory`,
    context && `${context.toLocaleString("en")} tokens of context`,
  ].filter(Boolean);
  line.append(facts.join(" · "));
  if (license) line.append(element("br"), "Licence: ", link(license));
  return line;
}

/** Bytes in words that stay on one line. */
function quantity(size) {
  return format.bytes(size).replace(" ", "\u00a0");
}

function link({ name, url }) {
  const anchor = element("a", "", name);
  anchor.href = url;
  anchor.target = "_blank";
  anchor.rel = "noreferrer";
  return anchor;
}

/** The question before a download. */
function question(offer, choose, opener) {
  const form = element("form", "offer-ask stack");
  const from = offer.isHere ? "this site" : "huggingface.co";
  form.append(element("p", "", `This downloads ${format.bytes(offer.size)} from ${from}. It may cost you money on a mobile connection.`));
  const box = offer.license.accept && acceptance(offer.license);
  const problem = element("p", "form-error");
  problem.setAttribute("role", "alert");
  problem.hidden = true;
  if (box) form.append(box, problem);
  const row = element("div", "row");
  const yes = element("button", "button small primary", "Download");
  const no = element("button", "button small", "Not now");
  no.type = "button";
  row.append(yes, no);
  form.append(row);
  no.addEventListener("click", () => {
    form.remove();
    opener.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const input = box && box.querySelector("input");
    if (input && !input.checked) {
      problem.textContent = "Read the licence and tick the box, or choose another model.";
      problem.hidden = false;
      return input.focus();
    }
    remember("localStorage", AGREED, [...new Set([...agreed(), offer.id])]);
    form.remove();
    choose(offer);
  });
  announce(`${offer.name}: ${format.bytes(offer.size)} to download`);
  return form;
}

function acceptance(license) {
  const label = element("label", "check");
  const box = element("input");
  box.type = "checkbox";
  const words = element("span");
  words.append("I have read and accept the licence: ", link(license));
  label.append(box, words);
  return label;
}
